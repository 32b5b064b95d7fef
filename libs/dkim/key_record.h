#pragma once

// The public key record of a selector: the TXT record at <selector>._domainkey.<domain> (RFC 6376
// §3.6.1).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::dkim {

enum class KeyType : uint8_t { kRsa, kEd25519 };

struct KeyRecord {
  KeyType type = KeyType::kRsa;
  std::string key;                // p=, decoded; empty: revoked
  bool allows_sha256 = true;      // h= is missing or has sha256
  bool for_email = true;          // s= is missing or has "email" or "*"
  bool for_tls_reports = true;    // the same with "tlsrpt" (RFC 8460 §3)
  bool testing = false;           // t=y
  bool same_domain_only = false;  // t=s: the domain of i= must be d= itself
};

// InvalidArgument for a syntax error, another version, an unknown key type, or no p= tag. Unknown
// tags, flags and services are ignored.
absl::StatusOr<KeyRecord> ParseKeyRecord(std::string_view text);

}  // namespace godwit::dkim

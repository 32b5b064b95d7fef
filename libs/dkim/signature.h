#pragma once

// The DKIM-Signature header field, parsed (RFC 6376 §3.5), and the ARC-Message-Signature, which is
// the same but for i= and v= (RFC 8617 §4.1.2).
//
// Parsing judges syntax only. Whether a signature is acceptable (algorithm, expiry, From signed,
// l=) is decided in verify.cc.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/dkim/canonical.h"

namespace godwit::dkim {

enum class Algorithm : uint8_t {
  kRsaSha256,
  kEd25519Sha256,  // RFC 8463
  kRsaSha1,        // known, never accepted (RFC 8301 §3.1)
  kUnknown,
};

enum class SignatureForm : uint8_t { kDkim, kArcMessage };

struct Signature {
  Algorithm algorithm = Algorithm::kUnknown;
  std::string algorithm_text;  // "rsa-sha256", as written
  std::string signature;       // b=, decoded
  std::string b_text;          // b= without white space, not decoded
  std::string body_hash;       // bh=, decoded
  Canonicalization header_canonicalization = Canonicalization::kSimple;
  Canonicalization body_canonicalization = Canonicalization::kSimple;
  std::string domain;                      // d=, as A-labels, lower case
  std::string selector;                    // s=, likewise
  std::vector<std::string> signed_fields;  // h=, in its order
  std::string identity;                    // i=, decoded; "@" + domain when there is none
  std::string identity_domain;             // its domain, as A-labels
  std::optional<uint64_t> body_length;     // l=
  bool dns_txt = true;                     // q= has dns/txt
  std::optional<absl::Time> timestamp;     // t=
  std::optional<absl::Time> expiration;    // x=
  int instance = 0;                        // ARC's i=: 1..50

  bool Signs(std::string_view field_name) const;
};

// `value` is what stands behind "DKIM-Signature:". InvalidArgument for a syntax error or a missing
// tag.
absl::StatusOr<Signature> ParseSignature(std::string_view value, SignatureForm form);

// base64 with white space anywhere (§3.2); InvalidArgument else.
absl::StatusOr<std::string> DecodeBase64String(std::string_view text);

// `raw`, a whole signature field, with the value of its b= tag removed together with all white
// space around it (§3.7). The field has passed ParseSignature().
std::string WithoutSignatureValue(std::string_view raw);

}  // namespace godwit::dkim

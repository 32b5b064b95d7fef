#pragma once

// The SPF record of a domain, parsed (RFC 7208 §4.5, §4.6, §12).
//
// The whole record is checked before anything is evaluated: a syntax error anywhere is a PermError,
// whatever stands before it (§4.6). Macro strings are checked here and expanded in macro.h.
//
//   auto record = ParseRecord("v=spf1 ip4:192.0.2.0/24 include:_spf.example.net -all");
//   if (!record.ok()) ...  // PermError; the message says which term and why

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/ip_address.h"

namespace godwit::spf {

// The character that stands in front of a mechanism (§4.6.2); none means '+'.
enum class Qualifier : char { kPass = '+', kFail = '-', kSoftFail = '~', kNeutral = '?' };

enum class MechanismKind { kAll, kInclude, kA, kMx, kPtr, kIp4, kIp6, kExists };

struct Mechanism {
  Qualifier qualifier = Qualifier::kPass;
  MechanismKind kind = MechanismKind::kAll;
  std::string domain_spec;  // a checked macro string; empty: the current domain
  base::IpAddress network;  // ip4, ip6
  int prefix_v4 = 32;       // a, mx, ip4
  int prefix_v6 = 128;      // a, mx, ip6
  std::string text;         // as it was written, with its qualifier: "-all"

  // The terms of §4.6.4 that count towards the limit of ten.
  bool asks_dns() const {
    return kind != MechanismKind::kAll && kind != MechanismKind::kIp4 &&
           kind != MechanismKind::kIp6;
  }
};

struct Record {
  std::vector<Mechanism> mechanisms;
  std::optional<std::string> redirect;  // a checked macro string
  std::optional<std::string> exp;
};

// §4.5: the text is "v=spf1" alone or followed by a space, in either case.
bool IsSpfRecord(std::string_view text);

// InvalidArgument for every syntax error. `text` must be an SPF record by IsSpfRecord().
absl::StatusOr<Record> ParseRecord(std::string_view text);

}  // namespace godwit::spf

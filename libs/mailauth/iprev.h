#pragma once

// The "iprev" method (RFC 8601 §3): the names of the client's address by PTR, confirmed by looking
// these names up again. Pure, asks in rounds.

#include <cstdint>
#include <string>
#include <string_view>

#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"

namespace godwit::mailauth {

enum class IprevCode : uint8_t { kPass, kFail, kTempError, kPermError };
std::string_view IprevName(IprevCode code);  // "pass"

struct IprevResult {
  IprevCode code = IprevCode::kPermError;
  std::string name;    // the first confirmed name; for fail the first name claimed
  std::string reason;  // for people
};

// At most ten names are confirmed, like SPF's ptr; the rest is ignored, and names with other octets
// than letters, digits, ".", "-" and "_".
base::DnsStep<IprevResult> CheckIprev(const base::IpAddress& ip, const base::DnsAnswers& answers);

}  // namespace godwit::mailauth

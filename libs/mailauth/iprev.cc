#include "libs/mailauth/iprev.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/idna/domain.h"

namespace godwit::mailauth {
namespace {

constexpr size_t kMaxNames = 10;

IprevResult Outcome(IprevCode code, std::string_view name, std::string_view reason) {
  return {.code = code, .name = std::string(name), .reason = std::string(reason)};
}

// DNS carries any octets; what is no host name (with the underscore that is seen in practice) would
// be read as syntax where the name is shown.
bool IsHostName(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return base::IsAlnum(c) || c == '.' || c == '-' || c == '_'; });
}

// At most kMaxNames host names, in the order of the answer.
std::vector<std::string> ClaimedNames(const base::DnsAnswer& ptr) {
  std::vector<std::string> names;
  for (const std::string& text : ptr.texts) {
    auto name = idna::ToAscii(text);
    if (name && IsHostName(*name) && names.size() < kMaxNames) names.push_back(*std::move(name));
  }
  return names;
}

}  // namespace

std::string_view IprevName(IprevCode code) {
  switch (code) {
    case IprevCode::kPass: return "pass";
    case IprevCode::kFail: return "fail";
    case IprevCode::kTempError: return "temperror";
    case IprevCode::kPermError: return "permerror";
  }
  return "permerror";
}

base::DnsStep<IprevResult> CheckIprev(const base::IpAddress& ip, const base::DnsAnswers& answers) {
  const base::IpAddress address = ip.Unmapped();
  const base::DnsQuestion reverse{address.ReverseName(), base::DnsType::kPtr};
  const auto ptr = answers.find(reverse);
  if (ptr == answers.end()) return std::vector<base::DnsQuestion>{reverse};
  // RFC 8601 §3: the four results.
  if (ptr->second.outcome == base::DnsOutcome::kTempFail) {
    return Outcome(IprevCode::kTempError, "", "no answer from DNS for the address");
  }
  const std::vector<std::string> names = ClaimedNames(ptr->second);
  if (names.empty()) return Outcome(IprevCode::kPermError, "", "the address has no name");

  const auto type = address.is_v4() ? base::DnsType::kA : base::DnsType::kAaaa;
  std::set<base::DnsQuestion> missing;
  bool temporary = false;
  std::string confirmed;
  for (const std::string& name : names) {
    const auto found = answers.find({name, type});
    if (found == answers.end()) {
      missing.insert({name, type});
      continue;
    }
    const auto& addresses = found->second.addresses;
    temporary = temporary || found->second.outcome == base::DnsOutcome::kTempFail;
    const bool match = std::find(addresses.begin(), addresses.end(), address) != addresses.end();
    if (match && confirmed.empty()) confirmed = name;
  }
  if (!missing.empty()) return std::vector<base::DnsQuestion>(missing.begin(), missing.end());
  if (!confirmed.empty()) return Outcome(IprevCode::kPass, confirmed, "");
  if (temporary)
    return Outcome(IprevCode::kTempError, names.front(), "no answer from DNS for a name");
  return Outcome(IprevCode::kFail, names.front(), "no name leads back to the address");
}

}  // namespace godwit::mailauth

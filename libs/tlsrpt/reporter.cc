#include "libs/tlsrpt/reporter.h"

#include <algorithm>

#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::tlsrpt {
namespace {

// In A-labels; "" for what is no host name.
std::string HostName(std::string_view text) {
  const auto name = idna::ToAscii(text);
  return name && idna::IsHostName(*name) ? *name : "";
}

}  // namespace

absl::StatusOr<std::string> FindReporter(const Report& report, std::string_view submitter,
                                         const std::vector<std::string>& signers) {
  const std::string contact = HostName(ContactDomain(report));
  const std::string named = HostName(submitter);
  if (contact.empty() && named.empty()) {
    return base::PermissionDenied("the report does not say who sends it");
  }
  // As RFC 6376 §3.5 has it for i=: a domain answers for those below it.
  const auto speaks = [&](const std::string& signer) {
    return (contact.empty() || idna::IsSameOrBelow(contact, signer)) &&
           (named.empty() || idna::IsSameOrBelow(named, signer));
  };
  const auto found = std::find_if(signers.begin(), signers.end(), speaks);
  if (found != signers.end()) return *found;
  return base::PermissionDenied("no valid DKIM signature of " +
                                (contact.empty() ? named : contact));
}

}  // namespace godwit::tlsrpt

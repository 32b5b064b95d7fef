#include "services/smtp-ingress/forwarding.h"

#include <algorithm>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/dmarc/public_suffix.h"

namespace godwit::smtp_ingress {
namespace {

// RFC 7489 §3.1, §3.2: relaxed alignment, the default, asks for the same organizational domain. By
// the public suffix list, which needs no DNS.
bool SameOrganisation(std::string_view a, std::string_view b) {
  return dmarc::OrganizationalDomainByList(base::Lower(a)) ==
         dmarc::OrganizationalDomainByList(base::Lower(b));
}

bool IsConfirmed(const Verdict& verdict) {
  const Evidence& evidence = verdict.evidence;
  if (evidence.dmarc_overridden || evidence.dmarc == DmarcOutcome::kPass) return true;
  if (evidence.dmarc == DmarcOutcome::kFail) return false;
  // No policy, or one that nobody can read.
  return std::any_of(
      verdict.authenticated.begin(), verdict.authenticated.end(),
      [&](const std::string& domain) { return SameOrganisation(domain, evidence.from_domain); });
}

}  // namespace

std::optional<smtp::Reply> JudgeForward(const Verdict& verdict, const ForwardFacts& facts) {
  const Evidence& evidence = verdict.evidence;
  // RFC 3463 §3.8: X.7.1 delivery not authorized.
  if (facts.outcome == Outcome::kJunk) {
    return smtp::Reply{550, "5.7.1", {"Message looks like junk, and would have to be forwarded"}};
  }
  if (facts.own) return std::nullopt;
  if (!evidence.author_unusable.empty()) {
    return smtp::Reply{
        550, "5.7.1", {"Message can not be forwarded, its author can not be determined"}};
  }
  const bool ours =
      !evidence.from_domain.empty() &&
      std::any_of(facts.domains.begin(), facts.domains.end(), [&](const std::string& domain) {
        return SameOrganisation(domain, evidence.from_domain);
      });
  if (!ours || IsConfirmed(verdict)) return std::nullopt;
  if (evidence.dmarc == DmarcOutcome::kTempError) {
    return smtp::Reply{
        451, "4.7.0", {"Whether " + evidence.from_domain + " sent this can not be found now"}};
  }
  // RFC 7372 §3.4: X.7.26 multiple authentication checks failed.
  return smtp::Reply{
      550,
      "5.7.26",
      {"Message can not be forwarded, nothing shows that " + evidence.from_domain + " sent it"}};
}

}  // namespace godwit::smtp_ingress

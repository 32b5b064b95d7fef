#include "services/smtp-ingress/decision.h"

#include <utility>

namespace godwit::smtp_ingress {
namespace {

// RFC 7489 §10.3, RFC 9989 §8.4: the text names the policy and the domain it was found for. RFC
// 7372 §3.3: X.7.26, more than one check of the author has failed, as SPF and DKIM have when DMARC
// does.
smtp::Reply DmarcRejection(const std::string& domain) {
  return {550, "5.7.26", {"Message rejected per DMARC policy for " + domain}};
}

// RFC 5322 §3.6.2 asks for one From. RFC 9989 §11.5: whoever breaks that may want to get a forged
// author past DMARC to the reader; RFC 7489 §6.6.1: such messages are typically rejected.
smtp::Reply AuthorRejection(const std::string& why) {
  return {550, "5.7.1", {"Message rejected, its author can not be determined: " + why}};
}

Decision OnFailure(DecisionPolicy::OnFailure what, std::string_view reason, smtp::Reply reply) {
  switch (what) {
    case DecisionPolicy::OnFailure::kReject: return {Outcome::kReject, reason, std::move(reply)};
    case DecisionPolicy::OnFailure::kJunk: return {Outcome::kJunk, reason, {}};
    case DecisionPolicy::OnFailure::kAccept: break;
  }
  return {Outcome::kAccept, reason, {}};
}

}  // namespace

Decision Decide(const Evidence& evidence, const DecisionPolicy& policy) {
  if (evidence.own_message) return {};
  if (!evidence.author_unusable.empty()) {
    return OnFailure(policy.on_unusable_author, "author-unusable",
                     AuthorRejection(evidence.author_unusable));
  }
  if (evidence.dmarc == DmarcOutcome::kTempError) {
    // RFC 7489 §6.6.3: with the policy unknown for the moment, the answer that could turn accept
    // into reject is missing: the client comes back.
    return {Outcome::kDefer,
            "dmarc-temperror",
            {451, "4.7.0", {"DMARC policy of " + evidence.from_domain + " can not be found now"}}};
  }
  if (evidence.dmarc != DmarcOutcome::kFail) return {};
  switch (evidence.policy) {
    case DmarcPolicy::kReject:
      return OnFailure(policy.on_reject, "dmarc-reject", DmarcRejection(evidence.from_domain));
    case DmarcPolicy::kQuarantine:
      return OnFailure(policy.on_quarantine, "dmarc-quarantine",
                       DmarcRejection(evidence.from_domain));
    case DmarcPolicy::kNone: break;
  }
  return {};
}

}  // namespace godwit::smtp_ingress

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

// RFC 7489 §6.6.3: where the answer is missing that could turn accept into reject, the client comes
// back. Where it could not, the message is taken.
Decision TemporaryError(const Evidence& evidence, const DecisionPolicy& policy) {
  using OnFailure = DecisionPolicy::OnFailure;
  const bool by_reject =
      evidence.worst == DmarcPolicy::kReject && policy.on_reject == OnFailure::kReject;
  // A policy that nobody knows may be "quarantine", too.
  const bool by_quarantine =
      evidence.worst != DmarcPolicy::kNone && policy.on_quarantine == OnFailure::kReject;
  if (!by_reject && !by_quarantine) return {Outcome::kAccept, "dmarc-temperror", {}};
  return {Outcome::kDefer,
          "dmarc-temperror",
          {451, "4.7.0", {"DMARC result of " + evidence.from_domain + " can not be found now"}}};
}

Decision DecideByDmarc(const Evidence& evidence, const DecisionPolicy& policy) {
  if (!evidence.author_unusable.empty()) {
    return OnFailure(policy.on_unusable_author, "author-unusable",
                     AuthorRejection(evidence.author_unusable));
  }
  // RFC 8617 §7.2: local policy.
  if (evidence.dmarc_overridden) return {Outcome::kAccept, "dmarc-overridden", {}};
  if (evidence.dmarc == DmarcOutcome::kTempError) return TemporaryError(evidence, policy);
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

smtp::Reply ListRejection(const Listing& listing) {
  std::string text = "Message rejected, listed by " + listing.list;
  if (!listing.text.empty()) text += ": " + listing.text;
  return {550, "5.7.1", {std::move(text)}};
}

Decision DecideByLists(const Evidence& evidence, const DecisionPolicy& policy) {
  const Listing* heaviest = nullptr;
  int weight = 0;
  for (const Listing& listing : evidence.listings) {
    if (listing.allow) return {};
    weight += listing.weight;
    if (heaviest == nullptr || listing.weight > heaviest->weight) heaviest = &listing;
  }
  if (heaviest == nullptr || weight < policy.listed_weight) return {};
  return OnFailure(policy.on_listed, "dns-listed", ListRejection(*heaviest));
}

int Strictness(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAccept: return 0;
    case Outcome::kJunk: return 1;
    case Outcome::kDefer: return 2;
    case Outcome::kReject: return 3;
  }
  return 3;
}

}  // namespace

Decision Decide(const Evidence& evidence, const DecisionPolicy& policy) {
  if (evidence.own_message) return {};
  Decision by_dmarc = DecideByDmarc(evidence, policy);
  Decision by_lists = DecideByLists(evidence, policy);
  const int difference = Strictness(by_lists.outcome) - Strictness(by_dmarc.outcome);
  // Of two that ask for the same, the one that has something to say.
  const bool lists = difference > 0 || (difference == 0 && by_dmarc.reason == Decision().reason);
  return lists ? by_lists : by_dmarc;
}

}  // namespace godwit::smtp_ingress

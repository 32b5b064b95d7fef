#include "services/smtp-ingress/decision.h"

#include <utility>

namespace godwit::smtp_ingress {
namespace {

constexpr size_t kMostExplanation = 300;

// RFC 7489 §10.3, RFC 9989 §8.4: the text names the policy and the domain it was found for. RFC
// 7372 §3.4: X.7.26, more than one check of the author has failed, as SPF and DKIM have when DMARC
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
  // RFC 7372 §3.2: X.7.24 where it was SPF that could not be evaluated.
  const char* enhanced = evidence.spf == SpfOutcome::kTempError ? "4.7.24" : "4.7.0";
  return {Outcome::kDefer,
          "dmarc-temperror",
          {451, enhanced, {"DMARC result of " + evidence.from_domain + " can not be found now"}}};
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

// RFC 7208 §8.4: what the domain says of it is told as its own words. RFC 7372 §3.2: X.7.23.
smtp::Reply SpfRejection(const Evidence& evidence) {
  smtp::Reply reply{550, "5.7.23", {"SPF MAIL FROM check failed for " + evidence.spf_domain}};
  if (evidence.spf_explanation.empty()) return reply;
  reply.lines.push_back("The domain " + evidence.spf_domain + " explains:");
  reply.lines.push_back(evidence.spf_explanation.substr(0, kMostExplanation));
  return reply;
}

// RFC 7372 §3.2: X.7.24, in the place of RFC 7208 §8.6's 4.4.3 and §8.7's 5.5.2.
Decision SpfError(const Evidence& evidence, DecisionPolicy::OnFailure what) {
  const std::string text = "SPF of " + evidence.spf_domain + " can not be evaluated";
  if (evidence.spf == SpfOutcome::kTempError && what == DecisionPolicy::OnFailure::kReject) {
    return {Outcome::kDefer, "spf-error", {451, "4.7.24", {text + " now"}}};
  }
  return OnFailure(what, "spf-error", {550, "5.7.24", {text}});
}

// RFC 7489 §10.1: what SPF says of the way matters less than that the author is authenticated.
Decision DecideBySpf(const Evidence& evidence, const DecisionPolicy& policy) {
  if (evidence.dmarc == DmarcOutcome::kPass || evidence.dmarc_overridden) return {};
  const bool failed = evidence.spf == SpfOutcome::kFail;
  const DecisionPolicy::OnFailure what = failed ? policy.on_spf_fail : policy.on_spf_error;
  if (evidence.spf == SpfOutcome::kNone || what == DecisionPolicy::OnFailure::kAccept) return {};
  if (!failed) return SpfError(evidence, what);
  return OnFailure(what, "spf-fail", SpfRejection(evidence));
}

// RFC 7372 §3.3: X.7.25.
Decision DecideByReverseDns(const Evidence& evidence, const DecisionPolicy& policy) {
  if (!evidence.reverse_dns_failed) return {};
  if (policy.on_reverse_dns == DecisionPolicy::OnFailure::kAccept) return {};
  return OnFailure(policy.on_reverse_dns, "reverse-dns",
                   {550, "5.7.25", {"Your address has no name that leads back to it"}});
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

// Of two that ask for the same, the one that has something to say; else the first.
Decision Stricter(Decision first, Decision second) {
  const int difference = Strictness(second.outcome) - Strictness(first.outcome);
  const bool take_second = difference > 0 || (difference == 0 && first.reason == Decision().reason);
  return take_second ? second : first;
}

}  // namespace

Decision Decide(const Evidence& evidence, const DecisionPolicy& policy) {
  if (evidence.own_message) return {};
  Decision by_spf = DecideBySpf(evidence, policy);
  Decision by_reverse_dns = DecideByReverseDns(evidence, policy);
  // RFC 7372 §3.4: X.7.26, more than one check has failed.
  if (by_spf.outcome == Outcome::kReject && by_reverse_dns.outcome == Outcome::kReject) {
    by_spf.reply.enhanced = "5.7.26";
  }
  Decision decision = DecideByDmarc(evidence, policy);
  decision = Stricter(std::move(decision), std::move(by_spf));
  decision = Stricter(std::move(decision), std::move(by_reverse_dns));
  return Stricter(std::move(decision), DecideByLists(evidence, policy));
}

}  // namespace godwit::smtp_ingress

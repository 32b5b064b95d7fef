#include "services/smtp-ingress/decision.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <string>

#include "services/smtp-ingress/metrics.h"

namespace godwit::smtp_ingress {
namespace {

using OnFailure = DecisionPolicy::OnFailure;

struct Row {
  DmarcOutcome dmarc;
  DmarcPolicy asked;
  OnFailure on_reject;
  OnFailure on_quarantine;
  Outcome outcome;
  std::string_view reason;
};

TEST_CASE("DMARC's policy is honoured as the operator wants", "[smtp-ingress][unit]") {
  const Row row = GENERATE(values<Row>({
      {DmarcOutcome::kNone, DmarcPolicy::kReject, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kAccept, "accepted"},
      {DmarcOutcome::kPass, DmarcPolicy::kReject, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kAccept, "accepted"},
      {DmarcOutcome::kPermError, DmarcPolicy::kReject, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kAccept, "accepted"},
      {DmarcOutcome::kFail, DmarcPolicy::kNone, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kAccept, "accepted"},
      {DmarcOutcome::kFail, DmarcPolicy::kReject, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kReject, "dmarc-reject"},
      {DmarcOutcome::kFail, DmarcPolicy::kReject, OnFailure::kJunk, OnFailure::kJunk,
       Outcome::kJunk, "dmarc-reject"},
      {DmarcOutcome::kFail, DmarcPolicy::kReject, OnFailure::kAccept, OnFailure::kJunk,
       Outcome::kAccept, "dmarc-reject"},
      {DmarcOutcome::kFail, DmarcPolicy::kQuarantine, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kJunk, "dmarc-quarantine"},
      {DmarcOutcome::kFail, DmarcPolicy::kQuarantine, OnFailure::kReject, OnFailure::kReject,
       Outcome::kReject, "dmarc-quarantine"},
  }));
  CAPTURE(static_cast<int>(row.dmarc), static_cast<int>(row.asked));
  Evidence evidence;
  evidence.dmarc = row.dmarc;
  evidence.policy = row.asked;
  evidence.from_domain = "x.example";
  const Decision decision =
      Decide(evidence, {row.on_reject, row.on_quarantine, OnFailure::kReject});
  CHECK(decision.outcome == row.outcome);
  CHECK(decision.reason == row.reason);
  if (row.outcome == Outcome::kReject) {
    CHECK(decision.reply ==
          smtp::Reply{550, "5.7.26", {"Message rejected per DMARC policy for x.example"}});
  }

  // Our own DSNs and reports are not judged by DMARC.
  evidence.own_message = true;
  CHECK(Decide(evidence, {row.on_reject, row.on_quarantine, OnFailure::kReject}).outcome ==
        Outcome::kAccept);
}

// Once every temporary error of DMARC was a 451, also where the domain asks for nothing and where
// the operator refuses nothing.
TEST_CASE("RFC 7489 §6.6.3: 451 only where the missing answer could turn accept into reject",
          "[smtp-ingress][unit]") {
  struct TempRow {
    DmarcPolicy worst;
    OnFailure on_reject;
    OnFailure on_quarantine;
    Outcome outcome;
  };
  const TempRow row = GENERATE(values<TempRow>({
      {DmarcPolicy::kNone, OnFailure::kReject, OnFailure::kReject, Outcome::kAccept},
      {DmarcPolicy::kQuarantine, OnFailure::kReject, OnFailure::kJunk, Outcome::kAccept},
      {DmarcPolicy::kQuarantine, OnFailure::kReject, OnFailure::kReject, Outcome::kDefer},
      {DmarcPolicy::kReject, OnFailure::kReject, OnFailure::kJunk, Outcome::kDefer},
      {DmarcPolicy::kReject, OnFailure::kJunk, OnFailure::kJunk, Outcome::kAccept},
      {DmarcPolicy::kReject, OnFailure::kJunk, OnFailure::kReject, Outcome::kDefer},
      {DmarcPolicy::kReject, OnFailure::kAccept, OnFailure::kAccept, Outcome::kAccept},
  }));
  CAPTURE(static_cast<int>(row.worst));
  Evidence evidence;
  evidence.dmarc = DmarcOutcome::kTempError;
  evidence.worst = row.worst;
  DecisionPolicy policy;
  policy.on_reject = row.on_reject;
  policy.on_quarantine = row.on_quarantine;
  const Decision decision = Decide(evidence, policy);
  CHECK(decision.outcome == row.outcome);
  CHECK(decision.reason == "dmarc-temperror");
  if (row.outcome != Outcome::kDefer) return;
  CHECK((decision.reply.code == 451 && decision.reply.enhanced == "4.7.0"));
  // RFC 7372 §3.2.
  evidence.spf = SpfOutcome::kTempError;
  CHECK(Decide(evidence, policy).reply.enhanced == "4.7.24");
}

TEST_CASE("RFC 8617 §7.2: a trusted forwarder's word overrides DMARC", "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.policy = DmarcPolicy::kReject;
  evidence.worst = DmarcPolicy::kReject;
  evidence.dmarc = GENERATE(DmarcOutcome::kFail, DmarcOutcome::kTempError);
  CHECK(Decide(evidence, {}).outcome != Outcome::kAccept);
  evidence.dmarc_overridden = true;
  CHECK(Decide(evidence, {}).outcome == Outcome::kAccept);
  CHECK(Decide(evidence, {}).reason == "dmarc-overridden");
  // Not the lists, and not a message without a clear author.
  evidence.listings = {{"bl.example", false, 1, ""}};
  CHECK(Decide(evidence, {}).outcome == Outcome::kReject);
  evidence.listings.clear();
  evidence.author_unusable = "no From field";
  CHECK(Decide(evidence, {}).outcome == Outcome::kReject);
}

TEST_CASE("RFC 5782: what DNS lists say is honoured as the operator wants",
          "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.listings = {{"a.example", false, 2, "see https://a.example/"},
                       {"b.example", false, 3, ""}};
  DecisionPolicy policy;
  Decision decision = Decide(evidence, policy);
  CHECK(decision.outcome == Outcome::kReject);
  CHECK(decision.reason == "dns-listed");
  CHECK(decision.reply == smtp::Reply{550, "5.7.1", {"Message rejected, listed by b.example"}});
  evidence.listings.pop_back();
  CHECK(
      Decide(evidence, policy).reply ==
      smtp::Reply{550, "5.7.1", {"Message rejected, listed by a.example: see https://a.example/"}});
  policy.listed_weight = 3;
  CHECK(Decide(evidence, policy).reason == "accepted");
  evidence.listings.push_back({"b.example", false, 1, ""});
  CHECK(Decide(evidence, policy).outcome == Outcome::kReject);
  policy.on_listed = OnFailure::kJunk;
  CHECK(Decide(evidence, policy).outcome == Outcome::kJunk);
  policy.on_listed = OnFailure::kAccept;
  CHECK(Decide(evidence, policy).outcome == Outcome::kAccept);
  CHECK(Decide(evidence, policy).reason == "dns-listed");

  // A list that allows outweighs them.
  policy.on_listed = OnFailure::kReject;
  evidence.listings.push_back({"wl.example", true, 1, ""});
  CHECK(Decide(evidence, policy).reason == "accepted");
  // Weight 0 is a remark.
  evidence.listings = {{"a.example", false, 0, ""}};
  CHECK(Decide(evidence, {}).reason == "accepted");
}

TEST_CASE("The strictest of DMARC and DNS lists counts", "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.dmarc = DmarcOutcome::kFail;
  evidence.policy = DmarcPolicy::kReject;
  evidence.listings = {{"a.example", false, 1, ""}};
  DecisionPolicy policy;
  policy.on_listed = OnFailure::kJunk;
  CHECK(Decide(evidence, policy).reason == "dmarc-reject");
  policy.on_reject = OnFailure::kAccept;
  CHECK(Decide(evidence, policy).reason == "dns-listed");
  CHECK(Decide(evidence, policy).outcome == Outcome::kJunk);
  // Our own DSNs and reports are not judged.
  evidence.own_message = true;
  CHECK(Decide(evidence, {}).outcome == Outcome::kAccept);
}

TEST_CASE("RFC 7372: what SPF and reverse DNS say is honoured as the operator wants",
          "[smtp-ingress][unit]") {
  struct CheckRow {
    SpfOutcome spf;
    bool reverse_dns_failed;
    OnFailure wanted;
    Outcome outcome;
    std::string_view reason;
    std::string code;  // with the enhanced one
  };
  const CheckRow row = GENERATE(values<CheckRow>({
      {SpfOutcome::kFail, false, OnFailure::kReject, Outcome::kReject, "spf-fail", "550 5.7.23"},
      {SpfOutcome::kFail, false, OnFailure::kJunk, Outcome::kJunk, "spf-fail", "0 "},
      {SpfOutcome::kFail, false, OnFailure::kAccept, Outcome::kAccept, "accepted", "0 "},
      {SpfOutcome::kPermError, false, OnFailure::kReject, Outcome::kReject, "spf-error",
       "550 5.7.24"},
      {SpfOutcome::kPermError, false, OnFailure::kJunk, Outcome::kJunk, "spf-error", "0 "},
      {SpfOutcome::kTempError, false, OnFailure::kReject, Outcome::kDefer, "spf-error",
       "451 4.7.24"},
      {SpfOutcome::kTempError, false, OnFailure::kJunk, Outcome::kJunk, "spf-error", "0 "},
      {SpfOutcome::kTempError, false, OnFailure::kAccept, Outcome::kAccept, "accepted", "0 "},
      {SpfOutcome::kNone, true, OnFailure::kReject, Outcome::kReject, "reverse-dns", "550 5.7.25"},
      {SpfOutcome::kNone, true, OnFailure::kJunk, Outcome::kJunk, "reverse-dns", "0 "},
      {SpfOutcome::kNone, true, OnFailure::kAccept, Outcome::kAccept, "accepted", "0 "},
      {SpfOutcome::kFail, true, OnFailure::kReject, Outcome::kReject, "spf-fail", "550 5.7.26"},
      {SpfOutcome::kTempError, true, OnFailure::kReject, Outcome::kReject, "reverse-dns",
       "550 5.7.25"},
      {SpfOutcome::kNone, false, OnFailure::kReject, Outcome::kAccept, "accepted", "0 "},
  }));
  CAPTURE(static_cast<int>(row.spf), row.reverse_dns_failed, static_cast<int>(row.wanted));
  Evidence evidence;
  evidence.spf = row.spf;
  evidence.spf_domain = "x.example";
  evidence.reverse_dns_failed = row.reverse_dns_failed;
  DecisionPolicy policy;
  policy.on_spf_fail = policy.on_spf_error = policy.on_reverse_dns = row.wanted;
  const Decision decision = Decide(evidence, policy);
  CHECK(decision.outcome == row.outcome);
  CHECK(decision.reason == row.reason);
  CHECK(std::to_string(decision.reply.code) + " " + decision.reply.enhanced == row.code);
  // By itself nothing is refused.
  CHECK(Decide(evidence, {}).reason == "accepted");
  evidence.own_message = true;
  CHECK(Decide(evidence, policy).outcome == Outcome::kAccept);
}

TEST_CASE("RFC 7489 §10.1: SPF does not refuse what passes DMARC", "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.spf = GENERATE(SpfOutcome::kFail, SpfOutcome::kPermError, SpfOutcome::kTempError);
  DecisionPolicy policy;
  policy.on_spf_fail = policy.on_spf_error = OnFailure::kReject;
  CHECK(Decide(evidence, policy).outcome != Outcome::kAccept);
  evidence.dmarc = DmarcOutcome::kPass;
  CHECK(Decide(evidence, policy).reason == "accepted");
  // Where DMARC rejects, it is DMARC that says so.
  evidence.dmarc = DmarcOutcome::kFail;
  evidence.policy = DmarcPolicy::kReject;
  CHECK(Decide(evidence, policy).reason == "dmarc-reject");
  CHECK(Decide(evidence, policy).reply.enhanced == "5.7.26");
  evidence.dmarc_overridden = true;
  CHECK(Decide(evidence, policy).reason == "dmarc-overridden");
}

TEST_CASE("RFC 7208 §8.4: the domain's explanation is told as its own", "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.spf = SpfOutcome::kFail;
  evidence.spf_domain = "x.example";
  DecisionPolicy policy;
  policy.on_spf_fail = OnFailure::kReject;
  CHECK(Decide(evidence, policy).reply ==
        smtp::Reply{550, "5.7.23", {"SPF MAIL FROM check failed for x.example"}});
  evidence.spf_explanation = "See https://x.example/";
  CHECK(Decide(evidence, policy).reply ==
        smtp::Reply{550,
                    "5.7.23",
                    {"SPF MAIL FROM check failed for x.example",
                     "The domain x.example explains:", "See https://x.example/"}});
  evidence.spf_explanation = std::string(800, 'x');
  CHECK(Decide(evidence, policy).reply.lines[2].size() == 300);
}

// The bug: evidence about a message with two From fields was that of one whose author has no
// policy, and the message went into INBOX.
TEST_CASE("A message whose author can't be determined is what the operator says",
          "[smtp-ingress][unit]") {
  Evidence evidence;
  evidence.author_unusable = "more than one From field";
  const Decision decision = Decide(evidence, {});
  CHECK(decision.outcome == Outcome::kReject);
  CHECK(decision.reason == "author-unusable");
  CHECK(decision.reply ==
        smtp::Reply{550,
                    "5.7.1",
                    {"Message rejected, its author can not be determined: more than one From "
                     "field"}});
  DecisionPolicy policy;
  policy.on_unusable_author = OnFailure::kJunk;
  CHECK(Decide(evidence, policy).outcome == Outcome::kJunk);
  CHECK(Decide(evidence, policy).reason == "author-unusable");
  policy.on_unusable_author = OnFailure::kAccept;
  CHECK(Decide(evidence, policy).outcome == Outcome::kAccept);

  // Our own DSNs and reports are not judged.
  evidence.own_message = true;
  CHECK(Decide(evidence, {}).outcome == Outcome::kAccept);
}

TEST_CASE("Every reason is one of kReasons, and has its counter", "[smtp-ingress][unit]") {
  Metrics metrics;
  for (const std::string_view reason : kReasons) {
    CAPTURE(reason);
    metrics.decisions.At({reason}).Add();  // dies for one it does not know
    CHECK(metrics.decisions.At({reason}).value() == 1);
  }
  DecisionPolicy strict;
  strict.on_spf_fail = strict.on_spf_error = strict.on_reverse_dns = OnFailure::kReject;
  const auto known = [&](const Evidence& evidence) {
    const Decision decision = Decide(evidence, strict);
    return std::find(std::begin(kReasons), std::end(kReasons), decision.reason) !=
           std::end(kReasons);
  };
  CHECK(known({}));
  const auto with = [](auto change) {
    Evidence evidence;
    change(&evidence);
    return evidence;
  };
  CHECK(known(with([](Evidence* e) { e->author_unusable = "no From field"; })));
  CHECK(known(with([](Evidence* e) { e->dmarc = DmarcOutcome::kTempError; })));
  CHECK(known(with([](Evidence* e) { e->dmarc_overridden = true; })));
  CHECK(known(with([](Evidence* e) { e->listings = {{"a.example", false, 1, ""}}; })));
  CHECK(known(with([](Evidence* e) { e->spf = SpfOutcome::kFail; })));
  CHECK(known(with([](Evidence* e) { e->spf = SpfOutcome::kPermError; })));
  CHECK(known(with([](Evidence* e) { e->reverse_dns_failed = true; })));
  for (const DmarcPolicy asked : {DmarcPolicy::kReject, DmarcPolicy::kQuarantine}) {
    CHECK(known(with([&](Evidence* e) {
      e->dmarc = DmarcOutcome::kFail;
      e->policy = asked;
    })));
  }
}

}  // namespace
}  // namespace godwit::smtp_ingress

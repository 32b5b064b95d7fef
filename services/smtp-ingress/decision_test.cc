#include "services/smtp-ingress/decision.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>

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
      {DmarcOutcome::kTempError, DmarcPolicy::kNone, OnFailure::kReject, OnFailure::kJunk,
       Outcome::kDefer, "dmarc-temperror"},
  }));
  CAPTURE(static_cast<int>(row.dmarc), static_cast<int>(row.asked));
  Evidence evidence{row.dmarc, row.asked, "x.example", "", false};
  const Decision decision =
      Decide(evidence, {row.on_reject, row.on_quarantine, OnFailure::kReject});
  CHECK(decision.outcome == row.outcome);
  CHECK(decision.reason == row.reason);
  if (row.outcome == Outcome::kReject) {
    CHECK(decision.reply ==
          smtp::Reply{550, "5.7.26", {"Message rejected per DMARC policy for x.example"}});
  }
  if (row.outcome == Outcome::kDefer) CHECK(decision.reply.code == 451);

  // Our own DSNs and reports are not judged by DMARC.
  evidence.own_message = true;
  CHECK(Decide(evidence, {row.on_reject, row.on_quarantine, OnFailure::kReject}).outcome ==
        Outcome::kAccept);
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
  const auto known = [](const Evidence& evidence) {
    const Decision decision = Decide(evidence, {});
    return std::find(std::begin(kReasons), std::end(kReasons), decision.reason) !=
           std::end(kReasons);
  };
  CHECK(known({}));
  CHECK(known({DmarcOutcome::kNone, DmarcPolicy::kNone, "", "no From field", false}));
  CHECK(known({DmarcOutcome::kTempError, DmarcPolicy::kNone, "", "", false}));
  CHECK(known({DmarcOutcome::kFail, DmarcPolicy::kReject, "", "", false}));
  CHECK(known({DmarcOutcome::kFail, DmarcPolicy::kQuarantine, "", "", false}));
}

}  // namespace
}  // namespace godwit::smtp_ingress

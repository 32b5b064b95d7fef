#include "services/smtp-ingress/decision.h"

#include <catch2/catch.hpp>

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
  Evidence evidence{row.dmarc, row.asked, "x.example", false};
  const Decision decision = Decide(evidence, {row.on_reject, row.on_quarantine});
  CHECK(decision.outcome == row.outcome);
  CHECK(decision.reason == row.reason);
  if (row.outcome == Outcome::kReject) {
    CHECK(decision.reply ==
          smtp::Reply{550, "5.7.1", {"Message rejected per DMARC policy for x.example"}});
  }
  if (row.outcome == Outcome::kDefer) CHECK(decision.reply.code == 451);

  // Our own DSNs and reports are not judged by DMARC.
  evidence.own_message = true;
  CHECK(Decide(evidence, {row.on_reject, row.on_quarantine}).outcome == Outcome::kAccept);
}

}  // namespace
}  // namespace godwit::smtp_ingress

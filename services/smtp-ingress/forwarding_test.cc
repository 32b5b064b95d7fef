#include "services/smtp-ingress/forwarding.h"

#include <catch2/catch.hpp>

namespace godwit::smtp_ingress {
namespace {

Verdict From(const std::string& domain, DmarcOutcome dmarc) {
  Verdict verdict;
  verdict.evidence.from_domain = domain;
  verdict.evidence.dmarc = dmarc;
  return verdict;
}

std::string Judge(const Verdict& verdict, bool own = false, Outcome outcome = Outcome::kAccept) {
  const ForwardFacts facts = {own, outcome, {"y.example", "mx.our.example"}};
  const auto refused = JudgeForward(verdict, facts);
  return refused ? std::to_string(refused->code) + " " + refused->enhanced : "forwarded";
}

TEST_CASE("What only forwarding would align with an author of ours stays (RFC 7489 §3.1.2)",
          "[smtp-ingress][unit]") {
  // Of the domain that forwards, above and below it, and of our name, which counts for <>.
  for (const char* author : {"y.example", "Sub.Y.example", "our.example"}) {
    CAPTURE(author);
    CHECK(Judge(From(author, DmarcOutcome::kFail)) == "550 5.7.26");
    CHECK(Judge(From(author, DmarcOutcome::kNone)) == "550 5.7.26");
    CHECK(Judge(From(author, DmarcOutcome::kPermError)) == "550 5.7.26");
    CHECK(Judge(From(author, DmarcOutcome::kTempError)) == "451 4.7.0");
    CHECK(Judge(From(author, DmarcOutcome::kPass)) == "forwarded");
    CHECK(Judge(From(author, DmarcOutcome::kNone), /*own=*/true) == "forwarded");
  }
  for (const char* author : {"x.example", "noty.example", "example", ""}) {
    CAPTURE(author);
    CHECK(Judge(From(author, DmarcOutcome::kFail)) == "forwarded");
    CHECK(Judge(From(author, DmarcOutcome::kTempError)) == "forwarded");
  }
}

TEST_CASE("Without a policy what is authenticated speaks for its author", "[smtp-ingress][unit]") {
  Verdict verdict = From("y.example", DmarcOutcome::kNone);
  verdict.authenticated = {"x.example", "mail.y.example"};
  CHECK(Judge(verdict) == "forwarded");
  verdict.authenticated = {"x.example"};
  CHECK(Judge(verdict) == "550 5.7.26");
  // With one, DMARC has judged it: its alignment may be strict.
  verdict = From("y.example", DmarcOutcome::kFail);
  verdict.authenticated = {"mail.y.example"};
  CHECK(Judge(verdict) == "550 5.7.26");
  // RFC 8617 §7.2: a forwarder whom we trust saw him authenticated.
  verdict.evidence.dmarc_overridden = true;
  CHECK(Judge(verdict) == "forwarded");
}

TEST_CASE("Neither junk nor mail of nobody is forwarded", "[smtp-ingress][unit]") {
  const Verdict honest = From("x.example", DmarcOutcome::kPass);
  CHECK(Judge(honest, false, Outcome::kJunk) == "550 5.7.1");
  CHECK(Judge(honest, true, Outcome::kJunk) == "550 5.7.1");
  Verdict unusable;
  unusable.evidence.author_unusable = "no From";
  CHECK(Judge(unusable) == "550 5.7.1");
  CHECK(Judge(unusable, /*own=*/true) == "forwarded");
}

}  // namespace
}  // namespace godwit::smtp_ingress

#include "libs/store/tls_policy.h"

#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

StsPolicy Policy(std::string domain, absl::Time fetched) {
  return {std::move(domain),   "one",  "enforce", {"mx.x.example", "*.y.example"},
          absl::Hours(24 * 7), fetched};
}

TEST_CASE_METHOD(StoreFixture, "MTA-STS policies are kept, and the younger wins",
                 "[store][integration]") {
  auto c = database.Connect("godwit_tls_policy");
  CHECK(!Must(FindStsPolicy(*c, "x.example")));
  StsPolicy policy = Policy("x.example", now);
  MustOk(PutStsPolicy(*c, policy, now));
  CHECK(Must(FindStsPolicy(*c, "x.example")) == policy);

  StsPolicy younger = policy;
  younger.record_id = "two";
  younger.fetched = now + absl::Minutes(1);
  MustOk(PutStsPolicy(*c, younger, now));
  // A slow replica comes late with what it fetched before.
  MustOk(PutStsPolicy(*c, policy, now));
  CHECK(Must(FindStsPolicy(*c, "x.example")) == younger);
  const auto used = [&] {
    return database.Ask("SELECT extract(epoch FROM used_at)::bigint FROM sts_policies");
  };
  MustOk(MarkStsPolicyUsed(*c, "x.example", now + absl::Hours(3)));
  CHECK(used() == std::to_string(absl::ToUnixSeconds(now)));
  MustOk(MarkStsPolicyUsed(*c, "x.example", now + absl::Hours(7)));
  CHECK(used() == std::to_string(absl::ToUnixSeconds(now + absl::Hours(7))));
}

TEST_CASE_METHOD(StoreFixture, "Policies in use are due after a day or half their life",
                 "[store][integration]") {
  auto c = database.Connect("godwit_tls_policy");
  StsPolicy brief = Policy("brief.example", now);
  brief.max_age = absl::Hours(2);
  MustOk(PutStsPolicy(*c, brief, now));
  MustOk(PutStsPolicy(*c, Policy("long.example", now + absl::Minutes(1)), now));
  MustOk(PutStsPolicy(*c, Policy("unused.example", now), now - absl::Hours(24 * 31)));
  using Domains = std::vector<std::string>;
  CHECK(Must(TakeDueStsPolicies(*c, now + absl::Minutes(59), 10)).empty());
  CHECK(Must(TakeDueStsPolicies(*c, now + absl::Minutes(61), 10)) == Domains{"brief.example"});
  CHECK(Must(TakeDueStsPolicies(*c, now + absl::Hours(25), 0)).empty());
  CHECK(Must(TakeDueStsPolicies(*c, now + absl::Hours(25), 10)) == Domains{"long.example"});

  CHECK(Must(SweepTlsPolicy(*c, now + absl::Hours(25), now, 10)) == 0);
  CHECK(Must(SweepTlsPolicy(*c, now + absl::Hours(27), now, 10)) == 1);
  CHECK(!Must(FindStsPolicy(*c, "brief.example")));
}

// Two hundred domains with dead servers kept all others from being renewed.
TEST_CASE_METHOD(StoreFixture, "Whom a renewal was tried for waits behind the others",
                 "[store][integration]") {
  auto c = database.Connect("godwit_tls_policy");
  for (int i = 0; i < 3; ++i) {
    MustOk(PutStsPolicy(*c, Policy("d" + std::to_string(i) + ".example", now + absl::Minutes(i)),
                        now));
  }
  using Domains = std::vector<std::string>;
  const absl::Time then = now + absl::Hours(25);
  CHECK(Must(TakeDueStsPolicies(*c, then, 1)) == Domains{"d0.example"});
  CHECK(Must(TakeDueStsPolicies(*c, then, 1)) == Domains{"d1.example"});
  CHECK(Must(TakeDueStsPolicies(*c, then, 1)) == Domains{"d2.example"});
  CHECK(Must(TakeDueStsPolicies(*c, then + absl::Minutes(59), 1)).empty());
  CHECK(Must(TakeDueStsPolicies(*c, then + absl::Minutes(61), 9)).size() == 3);
}

TEST_CASE_METHOD(StoreFixture, "Outcomes are added up by day, policy and circumstance",
                 "[store][integration]") {
  auto c = database.Connect("godwit_tls_policy");
  TlsOutcome outcome;
  outcome.at = absl::FromUnixSeconds(1'790'000'000);
  outcome.domain = "x.example";
  outcome.policy_type = 3;
  outcome.policy = {"3 1 1 00"};
  outcome.result = 1;
  outcome.mx_host = "mx.x.example";
  outcome.sending_ip = std::string("\x7f\0\0\1", 4);
  outcome.sessions = 2;
  TlsOutcome failed = outcome;
  failed.result = 6;
  failed.reason = "no-tlsa-match";
  failed.sessions = 1;
  MustOk(AddTlsOutcomes(*c, {}));
  MustOk(AddTlsOutcomes(*c, {outcome, failed, outcome}));
  MustOk(AddTlsOutcomes(*c, {outcome}));
  CHECK(database.Ask("SELECT string_agg(result || ':' || sessions, ' ' ORDER BY result) "
                     "FROM tls_outcomes") == "1:6 6:1");
  CHECK(database.Ask("SELECT count(*) FROM tls_policies_seen") == "1");

  outcome.at += absl::Hours(24);
  outcome.policy = {"3 1 1 01"};
  MustOk(AddTlsOutcomes(*c, {outcome}));
  CHECK(database.Ask("SELECT count(DISTINCT day) || ' ' || count(*) FROM tls_outcomes") == "2 3");
  CHECK(Must(SweepTlsPolicy(*c, now, outcome.at, 1000)) == 3);
  CHECK(database.Ask("SELECT count(*) FROM tls_outcomes") == "1");
}

TEST_CASE_METHOD(StoreFixture, "tls-policy's role sees its own tables and no mail",
                 "[store][integration]") {
  auto c = database.Connect("godwit_tls_policy");
  for (const char* table : {"accounts", "queue_messages", "credentials", "dkim_keys", "emails"}) {
    CAPTURE(table);
    CHECK(c->ExecuteScript(std::string("SELECT * FROM ") + table).status().code() ==
          absl::StatusCode::kPermissionDenied);
  }
  auto queue = database.Connect("godwit_delivery_queue");
  CHECK(queue->ExecuteScript("SELECT * FROM sts_policies").status().code() ==
        absl::StatusCode::kPermissionDenied);
  auto reader = database.Connect("godwit_reader");
  CHECK(reader->ExecuteScript("SELECT * FROM tls_outcomes").ok());
  CHECK(!reader->ExecuteScript("DELETE FROM tls_outcomes").ok());
}

}  // namespace
}  // namespace godwit::store

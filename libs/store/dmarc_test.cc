// What DMARC reports are made from, and the sending of reports.

#include "libs/store/dmarc_evaluations.h"
#include "libs/store/dmarc_reports.h"
#include "libs/store/report_sending.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

class Fixture : public StoreFixture {
 public:
  DmarcEvaluation Evaluation(std::string domain = "a.example", std::string ip = "1234") const {
    DmarcEvaluation evaluation;
    evaluation.period.policy_domain = domain;
    evaluation.period.begins = now;
    evaluation.period.ends = now + absl::Hours(24);
    evaluation.period.due = now + absl::Hours(25);
    evaluation.period.record = "v=DMARC1; p=reject; rua=mailto:r@" + domain;
    evaluation.row.source_ip = std::move(ip);
    evaluation.row.header_from = domain;
    evaluation.row.disposition = "reject";
    evaluation.row.dkim = "a.example s1 fail\n";
    return evaluation;
  }
  int64_t Add(const std::vector<DmarcEvaluation>& evaluations, const DmarcRoom& room = {}) {
    return Must(AddDmarcEvaluations(*c, evaluations, room));
  }
  std::vector<DmarcPeriod> Periods() { return Must(ListDmarcPeriods(*c, "", 100)); }
  std::string Rows() {
    return database.Ask(
        "SELECT coalesce(string_agg(policy_domain || ' ' || convert_from(source_ip, 'UTF8') || ' ' "
        "|| messages, ', ' ORDER BY policy_domain, source_ip), '') FROM dmarc_rows");
  }

  std::unique_ptr<db::Connection> c = database.Connect("godwit_auth_verifier");
};

TEST_CASE_METHOD(Fixture, "Evaluations that are alike are one row", "[store][integration]") {
  CHECK(Add({}) == 0);
  CHECK(Add({Evaluation(), Evaluation(), Evaluation("a.example", "5678")}) == 0);
  CHECK(Add({Evaluation(), Evaluation("z.example")}) == 0);
  CHECK(Rows() == "a.example 1234 3, a.example 5678 1, z.example 1234 1");
  DmarcEvaluation aligned = Evaluation();
  aligned.row.spf_aligned = true;
  DmarcEvaluation next_day = Evaluation();
  next_day.period.begins += absl::Hours(24);
  CHECK(Add({aligned, next_day}) == 0);
  REQUIRE(Periods().size() == 3);
  CHECK(Periods()[0].begins == next_day.period.begins);
  CHECK(Periods()[1].rows == 3);
  const auto rows = Must(ReadDmarcRows(*c, Periods()[1], 100));
  REQUIRE(rows.size() == 3);
  CHECK((rows[0].messages == 3 && rows[0].source_ip == "1234"));
  CHECK(rows[0].dkim == "a.example s1 fail\n");
  CHECK(rows[1].spf_aligned + rows[2].spf_aligned == 1);
}

TEST_CASE_METHOD(Fixture, "A sender of many kinds of mail fills no more than his room",
                 "[store][integration]") {
  std::vector<DmarcEvaluation> many;
  for (int i = 1000; i < 1020; ++i) many.push_back(Evaluation("a.example", std::to_string(i)));
  CHECK(Add(many, {.rows_of_period = 15}) == 5);
  CHECK(Add({many[0], Evaluation("a.example", "9999")}, {.rows_of_period = 15}) == 1);
  CHECK((Periods()[0].rows == 15 && Periods()[0].dropped == 6));
  CHECK(database.Ask("SELECT count(*) || ' ' || sum(messages) FROM dmarc_rows") == "15 16");
  // Of all rows, and of all domains: a known one still counts.
  CHECK(Add({Evaluation("c.example", "1000"), Evaluation("c.example", "1001")}, {.rows = 1}) == 1);
  CHECK(Add({Evaluation("a.example", "1000"), Evaluation("d.example")}, {.periods = 0}) == 1);
  CHECK(Must(CountDmarc(*c)).periods == 2);
  CHECK(Must(CountDmarc(*c)).rows == 16);
}

TEST_CASE_METHOD(Fixture, "A period is due, put off, sent and finished", "[store][integration]") {
  DmarcEvaluation unwanted = Evaluation();
  unwanted.period.wanted = false;
  Add({unwanted});
  CHECK(!Periods()[0].wanted);
  DmarcEvaluation later = Evaluation();
  later.period.record = "v=DMARC1; p=none";
  Add({unwanted, later, unwanted});
  CHECK(Periods()[0].wanted);
  CHECK(Periods()[0].record == unwanted.period.record);

  const absl::Time due = later.period.due;
  CHECK(Must(DueDmarcPeriods(*c, due - absl::Seconds(1), 10)).empty());
  auto found = Must(DueDmarcPeriods(*c, due, 10));
  REQUIRE(found.size() == 1);
  MustOk(MarkDmarcSent(*c, found[0], "r@a.example"));
  MustOk(MarkDmarcSent(*c, found[0], "r@a.example"));
  MustOk(PostponeDmarcPeriod(*c, found[0], due + absl::Hours(1)));
  CHECK(Must(DueDmarcPeriods(*c, due, 10)).empty());
  found = Must(DueDmarcPeriods(*c, due + absl::Hours(1), 10));
  REQUIRE(found.size() == 1);
  CHECK(found[0].sent_to == std::vector<std::string>{"r@a.example"});
  MustOk(FinishDmarcPeriod(*c, found[0], "sent", due));
  CHECK(Must(DueDmarcPeriods(*c, due + absl::Hours(2), 10)).empty());
  CHECK(Periods()[0].outcome == "sent");
  CHECK(Must(CountDmarc(*c)).periods == 0);
  // What comes too late is not counted in a report that is gone.
  CHECK(Add({Evaluation()}) == 1);

  CHECK(Must(SweepDmarc(*c, later.period.ends, 10)) == 0);
  CHECK(Must(SweepDmarc(*c, later.period.ends + absl::Seconds(1), 10)) == 1);
  CHECK(Rows().empty());
}

TEST_CASE_METHOD(Fixture, "RFC 9991: what failure reports would tell is found",
                 "[store][integration]") {
  DmarcEvaluation failed = Evaluation();
  failed.row.failure = "d";
  Add({failed, Evaluation(), Evaluation("z.example")});
  const auto failures = Must(ListDmarcFailures(*c, "", 10));
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].period.policy_domain == "a.example");
  CHECK(failures[0].row.failure == "d");
  CHECK(Must(ListDmarcFailures(*c, "z.example", 10)).empty());
}

TEST_CASE_METHOD(Fixture, "A report that came is kept once, for a while", "[store][integration]") {
  ReceivedReport report;
  report.domain = "b.example";
  report.reporter = "receiver.example";
  report.report_id = "id1";
  report.begins = now - absl::Hours(24);
  report.ends = now;
  report.received = now;
  report.messages = 7;
  report.rows.resize(2);
  report.rows[0].source_ip = "1234";
  report.rows[0].messages = 1;
  report.rows[0].disposition = "none";
  report.rows[1].source_ip = "5678";
  report.rows[1].messages = 6;
  report.rows[1].dkim = "pass";
  CHECK(Must(StoreReceivedReport(*c, report, 2)) == ReportStored::kNew);
  CHECK(Must(StoreReceivedReport(*c, report, 2)) == ReportStored::kDuplicate);
  report.report_id = "id2";
  CHECK(Must(StoreReceivedReport(*c, report, 2)) == ReportStored::kNew);
  report.report_id = "id3";
  CHECK(Must(StoreReceivedReport(*c, report, 2)) == ReportStored::kTooMany);
  report.received += absl::Hours(24);
  CHECK(Must(StoreReceivedReport(*c, report, 2)) == ReportStored::kNew);
  ReceivedReport foreign = report;
  foreign.domain = "other.example";
  CHECK(StoreReceivedReport(*c, foreign, 2).status().code() ==
        absl::StatusCode::kFailedPrecondition);

  const auto list = Must(ListReceivedReports(*c, "b.example", 10));
  REQUIRE(list.size() == 3);
  CHECK((list[0].report_id == "id3" && list[0].messages == 7));
  const ReceivedReport read = Must(GetReceivedReport(*c, list[0].number));
  REQUIRE(read.rows.size() == 2);
  CHECK((read.rows[0].source_ip == "5678" && read.rows[0].dkim == "pass"));
  CHECK(GetReceivedReport(*c, 999).status().code() == absl::StatusCode::kNotFound);
  CHECK(Must(ListReceivedReports(*c, "other.example", 10)).empty());

  CHECK(Must(SweepReceivedReports(*c, now + absl::Seconds(1), 10)) == 2);
  CHECK(Must(ListReceivedReports(*c, "", 10)).size() == 1);
  CHECK(database.Ask("SELECT count(*) FROM dmarc_report_rows") == "2");
}

TEST_CASE_METHOD(Fixture, "Addresses are marked for reports", "[store][integration]") {
  auto ingress = database.Connect("godwit_smtp_ingress");
  CHECK(Must(ListReportAddresses(*ingress)).empty());
  MustOk(SetReportAddress(*connection, "Alice", "B.example", true));
  CHECK(Must(ListReportAddresses(*ingress)) == std::vector<std::string>{"alice@b.example"});
  MustOk(SetReportAddress(*connection, "alice", "b.example", false));
  CHECK(Must(ListReportAddresses(*ingress)).empty());
  CHECK(SetReportAddress(*connection, "nobody", "b.example", true).code() ==
        absl::StatusCode::kNotFound);
  CHECK(SetReportAddress(*ingress, "alice", "b.example", true).code() ==
        absl::StatusCode::kPermissionDenied);
}

TEST_CASE_METHOD(Fixture, "One replica has the lease, until it is over", "[store][integration]") {
  const absl::Time until = now + absl::Minutes(5);
  CHECK(Must(TakeReportLease(*c, "dmarc", "one", now, until)));
  CHECK(!Must(TakeReportLease(*c, "dmarc", "two", now, until)));
  CHECK(Must(TakeReportLease(*c, "dmarc", "one", now, until)));
  CHECK(Must(TakeReportLease(*c, "other", "two", now, until)));
  CHECK(Must(TakeReportLease(*c, "dmarc", "two", until, until + absl::Minutes(5))));
  CHECK(!Must(TakeReportLease(*c, "dmarc", "one", until, until + absl::Minutes(5))));
}

TEST_CASE_METHOD(Fixture, "Suppressions are for an address or a domain, and end",
                 "[store][integration]") {
  MustOk(PutReportSuppression(*connection, {"r@a.example", now + absl::Hours(1), "asked", now}));
  MustOk(PutReportSuppression(*connection, {"@z.example", std::nullopt, "bounces", now}));
  CHECK(Must(IsReportSuppressed(*c, "R@A.example", now)));
  CHECK(!Must(IsReportSuppressed(*c, "r@a.example", now + absl::Hours(1))));
  CHECK(!Must(IsReportSuppressed(*c, "s@a.example", now)));
  CHECK(Must(IsReportSuppressed(*c, "any@z.example", now + absl::Hours(10000))));
  CHECK(Must(ListReportSuppressions(*c)).size() == 2);
  MustOk(RemoveReportSuppression(*connection, "@z.example"));
  CHECK(RemoveReportSuppression(*connection, "@z.example").code() == absl::StatusCode::kNotFound);
  CHECK(!Must(IsReportSuppressed(*c, "any@z.example", now)));
  // Administrators say who gets none, daemons read it.
  CHECK(PutReportSuppression(*c, {"x@a.example", std::nullopt, "", now}).code() ==
        absl::StatusCode::kPermissionDenied);
}

TEST_CASE_METHOD(Fixture, "Reports come from the first domain that can sign",
                 "[store][integration]") {
  CHECK(!Must(DefaultReportDomain(*c)));
  MustOk(connection
             ->ExecuteScript("INSERT INTO dkim_keys (domain, selector, algorithm, private_key, "
                             "public_key, state, created_at) VALUES ('b.example', 's', "
                             "'rsa-sha256', '', '', 'active', now())")
             .status());
  CHECK(Must(DefaultReportDomain(*c)) == "b.example");
}

}  // namespace
}  // namespace godwit::store

// TLS reports that came, as tls-policy's role keeps them.

#include "libs/store/tls_reports.h"

#include "libs/store/admin.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

class Fixture : public StoreFixture {
 public:
  ReceivedTlsReport Report(std::string id = "1") const {
    ReceivedTlsFailure failure;
    failure.result_type = "certificate-expired";
    failure.sending_ip = "1234";
    failure.mx_host = "mx.b.example";
    failure.sessions = 2;
    ReceivedTlsPolicy policy;
    policy.domain = "b.example";
    policy.type = "sts";
    policy.text = {"version: STSv1", "mode: enforce"};
    policy.mx_hosts = {"*.b.example"};
    policy.successful = 10;
    policy.failed = 3;
    policy.failures = {failure, failure};
    policy.failures[1].result_type = "starttls-not-supported";
    policy.failures[1].sessions = 7;
    ReceivedTlsReport report;
    report.reporter = "x.example";
    report.organization = "X";
    report.contact = "r@x.example";
    report.report_id = std::move(id);
    report.begins = now - absl::Hours(24);
    report.ends = now;
    report.received = now;
    report.policies = {policy};
    return report;
  }
  TlsReportStored Store(ReceivedTlsReport report, int64_t most = 100) {
    return Must(StoreTlsReport(*c, &report, most));
  }
  std::string Tables() {
    return database.Ask(
        "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class "
        "WHERE relispartition AND relkind = 'r' AND relname LIKE 'tls_report%'");
  }

  std::unique_ptr<db::Connection> c = database.Connect("godwit_tls_policy");
  std::unique_ptr<db::Connection> reader = database.Connect("godwit_reader");
};

TEST_CASE_METHOD(Fixture, "A TLS report is kept once, with its policies and failures",
                 "[store][integration]") {
  CHECK(Store(Report()) == TlsReportStored::kNew);
  CHECK(Store(Report()) == TlsReportStored::kDuplicate);
  ReceivedTlsReport other = Report();
  other.reporter = "y.example";
  CHECK(Store(other) == TlsReportStored::kNew);
  const auto list = Must(ListTlsReports(*reader, "", 10));
  REQUIRE(list.size() == 2);
  CHECK(list[0].reporter == "y.example");
  CHECK(Must(ListTlsReports(*reader, "", 1)).size() == 1);
  CHECK(Must(ListTlsReports(*reader, "b.example", 10)).size() == 2);
  CHECK(Must(ListTlsReports(*reader, "a.example", 10)).empty());

  const ReceivedTlsReport kept = Must(GetTlsReport(*reader, list[1].number));
  CHECK((kept.domain == "b.example" && kept.reporter == "x.example" && kept.report_id == "1"));
  CHECK((kept.organization == "X" && kept.contact == "r@x.example"));
  CHECK((kept.begins == now - absl::Hours(24) && kept.ends == now && kept.received == now));
  CHECK((kept.successful == 10 && kept.failed == 3));
  REQUIRE(kept.policies.size() == 1);
  CHECK(kept.policies[0].text == Report().policies[0].text);
  CHECK(kept.policies[0].mx_hosts == Report().policies[0].mx_hosts);
  REQUIRE(kept.policies[0].failures.size() == 2);
  CHECK(kept.policies[0].failures[0].result_type == "starttls-not-supported");
  CHECK(kept.policies[0].failures[1].sending_ip == "1234");
  CHECK(GetTlsReport(*reader, 12345).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE_METHOD(Fixture, "Of a TLS report only what is about us is kept", "[store][integration]") {
  ReceivedTlsReport report = Report();
  const ReceivedTlsPolicy policy = report.policies[0];
  report.policies = {policy, policy, policy, policy};
  report.policies[0].domain = "x.example";
  report.policies[1].domain = "mx.b.example";
  report.policies[2].domain = "notb.example";
  CHECK(Store(report) == TlsReportStored::kNew);
  const auto kept = Must(GetTlsReport(*reader, Must(ListTlsReports(*reader, "", 1))[0].number));
  CHECK(kept.domain == "mx.b.example");
  REQUIRE(kept.policies.size() == 2);
  CHECK(kept.policies[1].domain == "b.example");
  CHECK((kept.policies[0].failures.size() == 2 && kept.policies[1].failures.size() == 2));
  CHECK((kept.successful == 20 && kept.failed == 6));

  report.policies.resize(1);
  const auto foreign = StoreTlsReport(*c, &report, 100).status();
  CHECK(foreign.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(base::Message(foreign) == "x.example is not ours");
  for (const std::string domain : {"", ".", "example", ".b.example."}) {
    CAPTURE(domain);
    report.policies[0].domain = domain;
    CHECK(StoreTlsReport(*c, &report, 100).status().code() ==
          absl::StatusCode::kFailedPrecondition);
  }
}

TEST_CASE_METHOD(Fixture, "TLS reports of a day are bounded", "[store][integration]") {
  CHECK(Store(Report("1"), 2) == TlsReportStored::kNew);
  CHECK(Store(Report("2"), 2) == TlsReportStored::kNew);
  CHECK(Store(Report("3"), 2) == TlsReportStored::kTooMany);
  ReceivedTlsReport next_day = Report("3");
  next_day.received = now + absl::Hours(25);
  CHECK(Store(next_day, 2) == TlsReportStored::kNew);
}

TEST_CASE_METHOD(Fixture, "TLS reports go a month at a time", "[store][integration]") {
  const auto at = [](int year, int month, int day, int hour) {
    return absl::FromCivil(absl::CivilHour(year, month, day, hour), absl::UTCTimeZone());
  };
  ReceivedTlsReport report = Report();
  report.begins = at(2026, 1, 31, 23);
  CHECK(Store(report) == TlsReportStored::kNew);
  report.begins = at(2026, 2, 1, 0);
  CHECK(Store(report) == TlsReportStored::kNew);
  CHECK(Tables() ==
        "tls_report_failures_202601 tls_report_failures_202602 tls_report_policies_202601 "
        "tls_report_policies_202602 tls_reports_202601 tls_reports_202602");
  CHECK(Must(KeepTlsReports(*c, at(2026, 1, 31, 23))) == 0);
  CHECK(Must(KeepTlsReports(*c, at(2026, 2, 1, 0))) == 3);
  CHECK(Must(ListTlsReports(*reader, "", 10)).size() == 1);
  CHECK(database.Ask("SELECT count(*) FROM tls_report_policies") == "1");
  CHECK(database.Ask("SELECT count(*) FROM tls_report_failures") == "2");
  CHECK(Must(KeepTlsReports(*c, at(2026, 3, 1, 0))) == 3);
  CHECK(Tables().empty());
}

TEST_CASE_METHOD(Fixture, "tls-policy changes and removes no TLS report by itself",
                 "[store][integration]") {
  CHECK(Store(Report()) == TlsReportStored::kNew);
  for (const char* sql :
       {"DELETE FROM tls_reports", "UPDATE tls_reports SET failed = 0", "DROP TABLE tls_reports",
        "DELETE FROM tls_report_policies", "DELETE FROM tls_report_failures",
        "SELECT * FROM tls_report_failures", "SELECT setval('tls_report_numbers', 1)"}) {
    CAPTURE(sql);
    CHECK(c->ExecuteScript(sql).status().code() == absl::StatusCode::kPermissionDenied);
  }
  for (const char* role : {"godwit_smtp_ingress", "godwit_auth_verifier"}) {
    CAPTURE(role);
    auto other = database.Connect(role);
    CHECK(other->ExecuteScript("SELECT * FROM tls_reports").status().code() ==
          absl::StatusCode::kPermissionDenied);
    CHECK(KeepTlsReports(*other, now).status().code() == absl::StatusCode::kPermissionDenied);
  }
}

}  // namespace
}  // namespace godwit::store

// The dmarc commands against a database.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "libs/base/random.h"
#include "libs/store/admin.h"
#include "libs/store/dmarc_evaluations.h"
#include "libs/store/dmarc_reports.h"
#include "libs/store/report_sending.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

struct Fixture {
  Fixture() : connection(database.Connect()), commands(DmarcCommands()) {
    REQUIRE(setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), /*overwrite=*/1) == 0);
  }
  int Run(const std::vector<std::string>& words) { return commands.Run(words); }
  std::vector<store::ReportSuppression> List() {
    return store::ListReportSuppressions(*connection).value();
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine commands;
};

TEST_CASE_METHOD(Fixture, "Destinations are suppressed and get reports again",
                 "[godwitctl][integration]") {
  REQUIRE(Run({"dmarc", "suppress", "Reports@A.Example", "--days", "3", "--reason", "asked"}) == 0);
  REQUIRE(Run({"dmarc", "suppress", "@b\xc3\xbc\x63her.example"}) == 0);
  REQUIRE(List().size() == 2);
  CHECK(List()[0].destination == "@xn--bcher-kva.example");
  CHECK(!List()[0].expires);
  CHECK(List()[1].destination == "reports@a.example");
  CHECK(*List()[1].expires - List()[1].created == absl::Hours(72));
  CHECK(List()[1].reason == "asked");
  CHECK(Run({"dmarc", "suppressions"}) == 0);
  CHECK(Run({"dmarc", "unsuppress", "reports@a.example"}) == 0);
  CHECK(Run({"dmarc", "unsuppress", "reports@a.example"}) == 1);
  CHECK(List().size() == 1);
  CHECK(Run({"dmarc", "suppress", "a.example"}) == 1);
  CHECK(Run({"dmarc", "suppress", "x@"}) == 1);
  CHECK(Run({"dmarc", "suppress", "x@a.example", "--days", "0"}) == 1);
}

TEST_CASE_METHOD(Fixture, "Reports that came are listed and shown", "[godwitctl][integration]") {
  REQUIRE(store::AddDomain(*connection, "b.example", absl::Now()).ok());
  REQUIRE(store::AddAccount(*connection, "r@b.example", base::RandomSource::System(), absl::Now())
              .ok());
  CHECK(Run({"dmarc", "address", "R@B.example"}) == 0);
  CHECK(store::ListReportAddresses(*connection).value().size() == 1);
  CHECK(Run({"dmarc", "addresses"}) == 0);
  CHECK(Run({"dmarc", "address", "r@b.example", "--off"}) == 0);
  CHECK(store::ListReportAddresses(*connection).value().empty());
  CHECK(Run({"dmarc", "address", "x@b.example"}) == 1);
  CHECK(Run({"dmarc", "address", "x"}) == 1);
  store::ReceivedReport report;
  report.domain = "b.example";
  report.received = absl::Now();
  report.begins = report.ends = report.received;
  report.rows.resize(1);
  report.rows[0].source_ip = "1234";
  report.rows[0].messages = 2;
  REQUIRE(store::StoreReceivedReport(*connection, report, 10).ok());
  CHECK(Run({"dmarc", "reports"}) == 0);
  CHECK(Run({"dmarc", "reports", "--domain", "b.example", "--json"}) == 0);
  CHECK(Run({"dmarc", "report", "1"}) == 0);
  CHECK(Run({"dmarc", "report", "1", "--json"}) == 0);
  CHECK(Run({"dmarc", "report", "2"}) == 1);
  CHECK(Run({"dmarc", "report", "x"}) == 1);
}

TEST_CASE_METHOD(Fixture, "What is to be reported is listed", "[godwitctl][integration]") {
  store::DmarcEvaluation evaluation;
  evaluation.period.policy_domain = "a.example";
  evaluation.period.begins = absl::FromUnixSeconds(1'790'000'000);
  evaluation.period.ends = evaluation.period.begins + absl::Hours(24);
  evaluation.period.due = evaluation.period.ends;
  evaluation.row.source_ip = "1234";
  evaluation.row.failure = "1";
  REQUIRE(store::AddDmarcEvaluations(*connection, {evaluation}, {}).ok());
  CHECK(Run({"dmarc", "outgoing"}) == 0);
  CHECK(Run({"dmarc", "outgoing", "--domain", "a.example", "--json"}) == 0);
  CHECK(Run({"dmarc", "failures"}) == 0);
  CHECK(Run({"dmarc", "failures", "--domain=a.example", "--json"}) == 0);
}

}  // namespace
}  // namespace godwit::ctl

#include "services/auth-verifier/aggregate_report.h"

#include <catch2/catch.hpp>

#include "libs/dmarc/record.h"

namespace godwit::auth_verifier {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);  // 2026-09-21 14:13:20 UTC

ReportedMessage Message(const std::string& tags = "p=reject; rua=mailto:r@a.example") {
  ReportedMessage message;
  message.source = *base::IpAddress::Parse("192.0.2.1");
  message.policy_domain = "a.example";
  message.record = "v=DMARC1; " + tags;
  message.header_from = "news.a.example";
  message.envelope_from = "x.example";
  message.result = dmarc::ResultCode::kFail;
  message.dkim = {{"a.example", "s1", "fail"}};
  message.spf_domain = "x.example";
  message.spf_result = "pass";
  message.policy = dmarc::Policy::kReject;
  message.requested = dmarc::Policy::kReject;
  message.disposition = dmarc::Policy::kReject;
  return message;
}

store::DmarcRow RowOf(const ReportedMessage& message, dmarc::Mode mode = dmarc::Mode::kTreeWalk) {
  return MakeEvaluation(message, {.mode = mode, .spread = absl::Hours(4)}, kNow).row;
}

TEST_CASE("RFC 9990: reports are of UTC days; RFC 7489 §6.3 ri=: or of parts of them",
          "[auth-verifier][unit]") {
  struct Row {
    std::string tags;
    dmarc::Mode mode;
    int hours;
  };
  const auto row = GENERATE(values<Row>({
      {"p=none; ri=3600", dmarc::Mode::kTreeWalk, 24},
      {"p=none", dmarc::Mode::kPublicSuffixList, 24},
      {"p=none; ri=3600", dmarc::Mode::kPublicSuffixList, 1},
      {"p=none; ri=0", dmarc::Mode::kPublicSuffixList, 1},
      {"p=none; ri=3601", dmarc::Mode::kPublicSuffixList, 2},
      {"p=none; ri=18000", dmarc::Mode::kPublicSuffixList, 6},
      {"p=none; ri=604800", dmarc::Mode::kPublicSuffixList, 24},
  }));
  CAPTURE(row.tags, row.hours);
  const auto period =
      MakeEvaluation(Message(row.tags), {.mode = row.mode, .spread = absl::Hours(4)}, kNow).period;
  CHECK(period.ends - period.begins == absl::Hours(row.hours));
  CHECK((period.begins <= kNow && kNow < period.ends));
  CHECK(absl::ToUnixSeconds(period.begins) % (row.hours * 3600) == 0);
  CHECK((period.due >= period.ends && period.due <= period.ends + absl::Hours(4)));
  CHECK(period.due <= period.ends + absl::Hours(row.hours) / 2);
  CHECK(!period.wanted);  // no rua=
}

TEST_CASE("Reports go at moments of their own", "[auth-verifier][unit]") {
  ReportedMessage other = Message();
  other.policy_domain = "b.example";
  const CountingOptions options{.mode = dmarc::Mode::kTreeWalk, .spread = absl::Hours(4)};
  const auto a = MakeEvaluation(Message(), options, kNow).period;
  const auto b = MakeEvaluation(other, options, kNow).period;
  CHECK(a.due != b.due);
  CHECK(MakeEvaluation(Message(), options, kNow).period.due == a.due);
  CHECK(a.wanted);
  other.to_report_address = true;
  CHECK(!MakeEvaluation(other, options, kNow).period.wanted);
}

TEST_CASE("RFC 9990 §3.1.6: reasons for another disposition", "[auth-verifier][unit]") {
  ReportedMessage message = Message();
  CHECK(RowOf(message).disposition == "reject");
  CHECK(RowOf(message).reasons.empty());

  message.disposition = dmarc::Policy::kNone;
  CHECK(RowOf(message).reasons == "local_policy \n");
  message.override = Override::kTrustedForwarder;
  message.comment = "arc=pass\nsealer.example";
  CHECK(RowOf(message).reasons == "trusted_forwarder arc=pass sealer.example\n");

  message = Message("p=reject; t=y; rua=mailto:r@a.example");
  message.requested = dmarc::Policy::kQuarantine;
  message.disposition = dmarc::Policy::kQuarantine;
  CHECK(RowOf(message).reasons == "policy_test_mode \n");
  CHECK(RowOf(message, dmarc::Mode::kPublicSuffixList).reasons == "sampled_out \n");

  message = Message();
  message.result = dmarc::ResultCode::kPass;
  message.disposition = dmarc::Policy::kNone;
  message.requested = dmarc::Policy::kNone;
  CHECK(RowOf(message).disposition == "pass");
  CHECK(RowOf(message, dmarc::Mode::kPublicSuffixList).disposition == "none");
  CHECK(RowOf(message).reasons.empty());
}

TEST_CASE("RFC 9990 §3.1.3: signatures that matter come first, and not all of many",
          "[auth-verifier][unit]") {
  ReportedMessage message = Message();
  message.dkim = {{"x.example", "s", "fail"},
                  {"y.example", "s", "pass"},
                  {"a.example", "s", "pass"},
                  {"news.a.example", "s", "pass"},
                  {"", "", "permerror"}};
  CHECK(RowOf(message).dkim ==
        "news.a.example s pass\na.example s pass\ny.example s pass\nx.example s fail\n");
  message.dkim.assign(1000, {"x.example", "s", "fail"});
  CHECK(RowOf(message).dkim.size() == 20 * std::string("x.example s fail\n").size());
}

TEST_CASE("Texts from outside stay within their line", "[auth-verifier][unit]") {
  ReportedMessage message = Message();
  message.dkim = {{"a b\nc", "s\t1", "fail"}};
  message.envelope_from = std::string(1000, 'x') + "\xff";
  message.spf_domain = "\xff";
  const store::DmarcRow row = RowOf(message);
  CHECK(row.dkim == "a?b?c s?1 fail\n");
  CHECK(row.envelope_from.size() == 255);
  CHECK(row.spf_domain == "?");
}

TEST_CASE("RFC 9989 §4.7 fo=: when the domain wants to know of this very message",
          "[auth-verifier][unit]") {
  struct Row {
    std::string fo;
    bool dkim;  // aligned
    bool spf;
    std::string want;
  };
  const auto row = GENERATE(values<Row>({
      {"0", false, false, "0"},
      {"0", true, false, ""},
      {"1", true, false, "1"},
      {"1", true, true, ""},
      {"d", true, true, "d"},  // a signature failed, if not the aligned one
      {"s", true, true, ""},   // SPF passed
      {"0:d:s:d", false, false, "0:d"},
      {"x", false, false, ""},
      {"", false, false, "0"},  // the default
  }));
  CAPTURE(row.fo, row.dkim, row.spf);
  ReportedMessage message = Message();
  message.dkim_aligned = row.dkim;
  message.spf_aligned = row.spf;
  const std::string fo = row.fo.empty() ? "" : "; fo=" + row.fo;
  const auto with = dmarc::ParseRecord("v=DMARC1; p=none; ruf=mailto:f@a.example" + fo);
  CHECK(FailureReasons(*with, message) == row.want);
  const auto without = dmarc::ParseRecord("v=DMARC1; p=none" + fo);
  CHECK(FailureReasons(*without, message).empty());
}

TEST_CASE("A report is made of its period's rows, the same each time", "[auth-verifier][unit]") {
  const auto evaluation = MakeEvaluation(Message("p=reject; np=quarantine; adkim=s; t=y; pct=10; "
                                                 "rua=mailto:r@a.example"),
                                         {}, kNow);
  store::DmarcPeriod period = evaluation.period;
  period.dropped = 7;
  const dmarc::Record record = *dmarc::ParseRecord(period.record);
  const Reporter reporter{"B Mail", "dmarc@b.example", "https://b.example/", "b.example"};
  const auto made = MakeReport(period, record, {evaluation.row}, reporter, dmarc::Mode::kTreeWalk);
  CHECK(made == MakeReport(period, record, {evaluation.row}, reporter, dmarc::Mode::kTreeWalk));
  CHECK(made.org_name == "B Mail");
  CHECK(made.end == absl::ToUnixSeconds(period.ends) - 1);
  CHECK(made.errors.size() == 1);
  CHECK(
      (made.policy.p == "reject" && made.policy.sp == "reject" && made.policy.np == "quarantine"));
  CHECK((made.policy.adkim == "s" && made.policy.aspf == "r" && made.policy.testing == "y"));
  CHECK((made.policy.discovery_method == "treewalk" && !made.policy.pct));
  REQUIRE(made.records.size() == 1);
  CHECK(made.records[0].source_ip == "192.0.2.1");
  CHECK(made.records[0].dkim_results[0].selector == "s1");
  CHECK(made.records[0].spf_results[0].result == "pass");
  // RFC 9990 §3.5.2: letters and digits, so that it can stand in the name of the file.
  CHECK(made.report_id.size() == 24);
  store::DmarcPeriod next = period;
  next.begins += absl::Hours(24);
  CHECK(MakeReport(next, record, {}, reporter, dmarc::Mode::kTreeWalk).report_id != made.report_id);

  const auto old =
      MakeReport(period, record, {evaluation.row}, reporter, dmarc::Mode::kPublicSuffixList);
  CHECK(old.schema == dmarc_report::Schema::kRfc7489);
  CHECK((old.policy.pct == 10 && old.policy.np.empty() && old.policy.testing.empty()));
}

}  // namespace
}  // namespace godwit::auth_verifier

// Finding, reading and believing TLS reports.

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "libs/base/status.h"
#include "libs/report_file/pack.h"
#include "libs/report_file/unpack.h"
#include "libs/tlsrpt/attachment.h"
#include "libs/tlsrpt/parse.h"
#include "libs/tlsrpt/reporter.h"

namespace godwit::tlsrpt {
namespace {

std::string RfcExample() {
  std::ifstream file("libs/tlsrpt/testdata/rfc8460.json", std::ios::binary);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Report Parsed(const std::string& json) {
  absl::StatusOr<Report> report = ParseReport(json);
  if (!report.ok()) FAIL(base::ToString(report.status()));
  return *report;
}

// A report whose one policy has `inside` behind its "policy".
std::string Minimal(const std::string& inside = "") {
  return R"({"date-range":{"start-datetime":"2026-01-01T00:00:00Z",)"
         R"("end-datetime":"2026-01-01T23:59:59Z"},"policies":[{"policy":{"policy-domain":"d.example"})" +
         inside + "}]}";
}

TEST_CASE("RFC 8460 Appendix B: the example is read", "[tlsrpt][unit]") {
  const Report report = Parsed(RfcExample());
  CHECK(report.organization == "Company-X");
  CHECK(report.contact == "sts-reporting@company-x.example");
  CHECK(ContactDomain(report) == "company-x.example");
  CHECK(report.report_id == "5065427c-23d3-47ca-b6e0-946ea0e8c4be");
  CHECK(report.end - report.begin == absl::Hours(24) - absl::Seconds(1));
  REQUIRE(report.policies.size() == 1);
  const Policy& policy = report.policies[0];
  CHECK((policy.type == "sts" && policy.domain == "company-y.example"));
  CHECK(policy.text.size() == 4);
  CHECK(policy.mx_hosts == std::vector<std::string>{"*.mail.company-y.example"});
  CHECK((policy.successful == 5326 && policy.failed == 303));
  REQUIRE(policy.failures.size() == 3);
  CHECK(policy.failures[0] == Failure{.result_type = "certificate-expired",
                                      .sending_ip = "2001:db8:abcd:12::1",
                                      .mx_host = "mx1.mail.company-y.example",
                                      .mx_helo = "",
                                      .receiving_ip = "",
                                      .sessions = 100,
                                      .additional_info = "",
                                      .reason_code = ""});
  CHECK(policy.failures[1].additional_info.starts_with("https://reports.company-x.example/"));
  CHECK(policy.failures[2].receiving_ip == "203.0.113.58");
  CHECK(policy.failures[2].reason_code == "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
}

TEST_CASE("RFC 8460 §4.4: what is not there, not known or written otherwise", "[tlsrpt][unit]") {
  const Report bare = Parsed(Minimal());
  CHECK((bare.organization.empty() && ContactDomain(bare).empty()));
  CHECK((bare.policies[0].successful == 0 && bare.policies[0].failures.empty()));
  CHECK(Parsed(Minimal(R"(,"failure-details":null,"summary":null,"x-new":[{}])")) == bare);
  CHECK(Parsed(Minimal(R"(,"failure-details":[])")) == bare);
  const Report lenient = Parsed(
      R"({"date-range":{"start-datetime":"2026-01-01T02:00:00.5+02:00",)"
      R"("end-datetime":"2026-01-02T00:00:00Z"},"policies":[{"policy":{"policy-domain":"d.example",)"
      R"("policy-string":"v=STSv1","mx-host":"mx.d.example"},)"
      R"("failure-details":{"failed-session-count":2,"sending-mta-ip":"unknown"}}]})");
  CHECK(absl::ToUnixMillis(lenient.begin) % 1000 == 500);
  CHECK(lenient.policies[0].text == std::vector<std::string>{"v=STSv1"});
  CHECK(lenient.policies[0].mx_hosts.size() == 1);
  CHECK(lenient.policies[0].failures.at(0).sessions == 2);
  CHECK(lenient.policies[0].failures[0].sending_ip.empty());
}

TEST_CASE("What is no report is refused, with a reason", "[tlsrpt][unit]") {
  struct Row {
    std::string json;
    std::string reason;
  };
  const std::string range =
      R"("date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-02T00:00:00Z"})";
  const auto row = GENERATE_COPY(values<Row>({
      {"", "JSON"},
      {"hello", "JSON"},
      {"<feedback/>", "JSON"},
      {"[]", "not a TLS report"},
      {"{}", "no policies"},
      {R"({"policies":{}})", "no policies"},
      {R"({"policies":[]})", "no policies"},
      {R"({"policies":[{}]})", "no date range"},
      {R"({"date-range":[],"policies":[{}]})", "no date range"},
      {R"({"date-range":{"start-datetime":"yesterday"},"policies":[{}]})", "date range is none"},
      {R"({"date-range":{"start-datetime":1},"policies":[{}]})", "start-datetime is no text"},
      {R"({"date-range":{"start-datetime":"2026-01-02T00:00:00Z","end-datetime":)"
       R"("2026-01-01T00:00:00Z"},"policies":[{}]})",
       "ends too early"},
      {"{" + range + R"(,"policies":[{}]})", "no list of policies"},
      {"{" + range + R"(,"policies":[7]})", "no list of policies"},
      {"{" + range + R"(,"policies":[{"policy":{}}]})", "without a domain"},
      {"{" + range + R"(,"policies":[{"policy":{"policy-domain":["d"]}}]})",
       "policy-domain is no text"},
      {Minimal(R"(,"summary":5)"), "summary is no object"},
      {Minimal(R"(,"summary":{"total-failure-session-count":-1})"), "no count"},
      {Minimal(R"(,"summary":{"total-failure-session-count":1.5})"), "no count"},
      {Minimal(R"(,"summary":{"total-failure-session-count":9007199254740992})"), "no count"},
      {Minimal(R"(,"summary":{"total-successful-session-count":18446744073709551615})"),
       "no count"},
      {Minimal(R"(,"failure-details":[{}])"), "without a count"},
      {Minimal(R"(,"failure-details":[[]])"), "no list of objects"},
      {Minimal(R"(,"failure-details":[{"result-type":{},"failed-session-count":1}])"),
       "result-type is no text"},
      {Minimal(R"(,"summary":{},"summary":{})"), "twice"},
      {Minimal("\xff"), "JSON"},
  }));
  CAPTURE(row.json);
  const absl::StatusOr<Report> report = ParseReport(row.json);
  REQUIRE(report.status().code() == absl::StatusCode::kInvalidArgument);
  CAPTURE(std::string(base::Message(report.status())));
  CHECK(base::Message(report.status()).find(row.reason) != std::string_view::npos);
}

TEST_CASE("A report that is cut off anywhere is told, never read wrong", "[tlsrpt][unit]") {
  const std::string whole = RfcExample();
  const size_t end = whole.rfind('}');
  const std::string packed = report_file::Gzip(whole);
  for (size_t size = 0; size <= end; ++size) CHECK(!ParseReport(whole.substr(0, size)).ok());
  for (size_t size = 4; size < packed.size(); ++size) {
    const auto json = report_file::Unpack(packed.substr(0, size));
    CHECK((!json.ok() || *json == whole));
  }
}

TEST_CASE("Bounds of a report: size, policies, failures, lines, text", "[tlsrpt][unit]") {
  const auto code = [](const std::string& json, const ParseLimits& limits) {
    return ParseReport(json, limits).status().code();
  };
  constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;
  const std::string example = RfcExample();
  CHECK(code(example, {.json_bytes = example.size()}) == absl::StatusCode::kOk);
  CHECK(code(example, {.json_bytes = example.size() - 1}) == kTooMuch);
  CHECK(code(example, {.policies = 0}) == kTooMuch);
  CHECK(code(example, {.failures = 3}) == absl::StatusCode::kOk);
  CHECK(code(example, {.failures = 2}) == kTooMuch);
  CHECK(code(example, {.lines = 5}) == absl::StatusCode::kOk);
  CHECK(code(example, {.lines = 4}) == kTooMuch);
  CHECK(code(example, {.text_bytes = 20}) == kTooMuch);
  std::string many = R"(,"x":[0)";
  for (int i = 0; i < 500'000; ++i) many += ",0";
  CHECK(code(Minimal(many + "]"), {}) == kTooMuch);
  CHECK(code(Minimal(R"(,"x":)" + std::string(100'000, '[')), {}) ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("Texts of a report are one line", "[tlsrpt][unit]") {
  const std::string json = Minimal(
      R"(,"failure-details":[{"failed-session-count":1,"result-type":" a\u001b[2Jb\nc "}])");
  CHECK(Parsed(json).policies[0].failures[0].result_type == "a [2Jb c");
}

TEST_CASE("RFC 8460 §5.3: the report is found by its media type", "[tlsrpt][unit]") {
  const std::string begin =
      "TLS-Report-Domain: y.example\r\nTLS-Report-Submitter:\r\n x.example\r\n"
      "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=b\r\n\r\n"
      "--b\r\n\r\ntext\r\n--b\r\n";
  const std::string end = "\r\n--b--\r\n";
  const auto found =
      AttachedReport(begin + "Content-Type: application/TLSRPT+json\r\n\r\n{}" + end);
  REQUIRE(found.ok());
  CHECK((found->file == "{}" && found->submitter == "x.example"));
  const auto packed = AttachedReport(
      begin +
      "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\nH4sI" +
      end);
  REQUIRE(packed.ok());
  CHECK(packed->file == "\x1f\x8b\x08");
  const auto bare = AttachedReport("Content-Type: application/tlsrpt+json\r\n\r\nabc");
  REQUIRE(bare.ok());
  CHECK((bare->file == "abc" && bare->submitter.empty()));
  for (const std::string& none : {std::string(256, 'x'), std::string("\xff")}) {
    const auto unusable = AttachedReport("TLS-Report-Submitter: " + none +
                                         "\r\nContent-Type: application/tlsrpt+json\r\n\r\n{}");
    CHECK((unusable.ok() && unusable->submitter.empty()));
  }
  // A DMARC report, and one within a message that somebody forwards, are none.
  for (const std::string type : {"application/gzip", "application/json"}) {
    CHECK(!AttachedReport(begin + "Content-Type: " + type +
                          "\r\nContent-Disposition: attachment; filename=\"a!b!1!2.json.gz\""
                          "\r\n\r\nx" +
                          end)
               .ok());
  }
  CHECK(!AttachedReport(begin +
                        "Content-Type: message/rfc822\r\n\r\n"
                        "Content-Type: application/tlsrpt+json\r\n\r\n{}" +
                        end)
             .ok());
}

TEST_CASE("Bombs are told before they are large", "[tlsrpt][unit]") {
  const std::string bomb = report_file::Gzip(std::string(64 << 20, '['));
  CHECK(bomb.size() < 100'000);
  CHECK(report_file::Unpack(bomb).status().code() == absl::StatusCode::kResourceExhausted);
}

TEST_CASE("RFC 8460 §3: a report is signed by the reporting domain", "[tlsrpt][unit]") {
  struct Row {
    std::string contact;
    std::string submitter;
    std::vector<std::string> signers;
    std::string reporter;  // "" for none
  };
  const Row row = GENERATE(values<Row>({
      {"r@x.example", "x.example", {"x.example"}, "x.example"},
      {"mailto:r@X.example", "X.Example", {"other.example", "x.example"}, "x.example"},
      {"r@mail.x.example", "mail.x.example", {"x.example"}, "x.example"},
      {"r@b\xc3\xbc\x63her.example", "", {"xn--bcher-kva.example"}, "xn--bcher-kva.example"},
      {"r@x.example", "Company X, Inc.", {"x.example"}, "x.example"},
      {"the postmaster", "x.example", {"x.example"}, "x.example"},
      {"r@x.example", "x.example", {}, ""},
      {"r@x.example", "x.example", {"y.example"}, ""},
      {"r@x.example", "x.example", {"mail.x.example"}, ""},
      {"r@notx.example", "", {"x.example"}, ""},
      {"r@x.example", "y.example", {"x.example"}, ""},
      {"r@x.example", "y.example", {"x.example", "y.example"}, ""},
      {"", "", {"x.example"}, ""},
  }));
  CAPTURE(row.contact, row.submitter);
  Report report;
  report.contact = row.contact;
  const auto reporter = FindReporter(report, row.submitter, row.signers);
  CHECK(reporter.ok() == !row.reporter.empty());
  if (reporter.ok()) CHECK(*reporter == row.reporter);
}

}  // namespace
}  // namespace godwit::tlsrpt

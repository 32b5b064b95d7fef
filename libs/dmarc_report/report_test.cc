// Reading, unpacking and writing aggregate reports.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "libs/base/status.h"
#include "libs/dmarc_report/attachment.h"
#include "libs/dmarc_report/parse.h"
#include "libs/dmarc_report/write.h"
#include "libs/report_file/pack.h"
#include "libs/report_file/unpack.h"

namespace godwit::dmarc_report {
namespace {

using report_file::Gzip;
using report_file::Unpack;

std::string TestFile(const std::string& name) {
  std::ifstream file("libs/dmarc_report/testdata/" + name, std::ios::binary);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Report Parsed(const std::string& xml) {
  absl::StatusOr<Report> report = ParseXml(xml);
  if (!report.ok()) FAIL(base::ToString(report.status()));
  return *report;
}

// True when xmllint finds `xml` valid.
bool IsValid(const std::string& xml, const std::string& schema) {
  const char* folder = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(folder == nullptr ? "/tmp" : folder) + "/report.xml";
  std::ofstream(path, std::ios::binary) << xml;
  const std::string command =
      "xmllint --nonet --noout --schema libs/dmarc_report/testdata/" + schema + " " + path;
  return std::system(command.c_str()) == 0;
}

Report Sample(Schema schema) {
  Report report;
  report.schema = schema;
  report.org_name = "b.example";
  report.email = "dmarc@b.example";
  report.report_id = "1790000000.abc@b.example";
  report.begin = 1790000000;
  report.end = 1790086399;
  report.policy = {.domain = "a.example",
                   .p = "reject",
                   .sp = "",
                   .np = "",
                   .adkim = "s",
                   .aspf = "r",
                   .fo = "1",
                   .testing = "",
                   .discovery_method = "",
                   .pct = std::nullopt};
  if (schema == Schema::kRfc9990) {
    report.generator = "Godwit";
    report.policy.np = "quarantine";
    report.policy.testing = "y";
    report.policy.discovery_method = "treewalk";
  } else {
    report.policy.sp = "none";
    report.policy.pct = 20;
  }
  Record record;
  record.source_ip = "2001:db8::1";
  record.count = 3;
  record.disposition = "none";
  record.dkim = "fail";
  record.spf = "fail";
  record.reasons = {{"local_policy", "arc=pass & \"trusted\" <seal>"}};
  record.envelope_from = "x.example";
  record.header_from = "a.example";
  record.dkim_results = {{"x.example", "s1", "pass", ""}, {"a.example", "s2", "fail", "body hash"}};
  record.spf_results = {{"x.example", "mfrom", "pass", ""}};
  report.records.push_back(record);
  record.source_ip = "192.0.2.1";
  record.reasons.clear();
  record.dkim_results.clear();
  report.records.push_back(record);
  return report;
}

TEST_CASE("RFC 7489 Appendix C: a report as reporters write it is read", "[dmarc_report][unit]") {
  const Report report = Parsed(TestFile("old.xml"));
  CHECK(report.schema == Schema::kRfc7489);
  CHECK(report.org_name == "receiver.example");
  CHECK((report.begin == 1732665600 && report.end == 1732751999));
  CHECK(report.policy.domain == "example.com");
  CHECK((report.policy.p == "quarantine" && report.policy.sp == "none"));
  CHECK((report.policy.pct == 50 && report.policy.aspf == "s"));
  REQUIRE(report.records.size() == 1);
  const Record& record = report.records[0];
  CHECK((record.source_ip == "192.0.2.123" && record.count == 123));
  CHECK(record.reasons == std::vector<Reason>{{"mailing_list", "list <l@example.net> & others"}});
  REQUIRE(record.dkim_results.size() == 2);
  CHECK(record.dkim_results[1].selector == "s2");
  CHECK(record.spf_results.at(0).result == "pass");
}

TEST_CASE("RFC 9990 §5: extensions are skipped, wherever they stand", "[dmarc_report][unit]") {
  const Report report = Parsed(TestFile("new.xml"));
  CHECK(report.schema == Schema::kRfc9990);
  CHECK(report.generator == "Reporter 1.2");
  CHECK(report.errors == std::vector<std::string>{"two records at _dmarc.example.com"});
  CHECK((report.policy.np == "quarantine" && report.policy.testing == "y"));
  CHECK(report.policy.discovery_method == "treewalk");
  REQUIRE(report.records.size() == 1);
  CHECK(report.records[0].source_ip == "2001:db8::25");
  CHECK(report.records[0].count == 1);
  CHECK(report.records[0].reasons == std::vector<Reason>{{"policy_test_mode", ""}});
  CHECK(report.records[0].header_from == "news.example.com");
  CHECK(report.records[0].envelope_from.empty());
}

std::string Minimal(const std::string& inside) {
  return "<feedback><report_metadata><date_range><begin>1</begin><end>2</end></date_range>"
         "</report_metadata><policy_published><domain>d.example</domain></policy_published>" +
         inside + "</feedback>";
}

TEST_CASE("What is no report is refused, with a reason", "[dmarc_report][unit]") {
  struct Row {
    std::string xml;
    std::string reason;
  };
  const auto row = GENERATE(values<Row>({
      {"", "no element found"},
      {"hello", "syntax error"},
      {"<html/>", "not a DMARC report"},
      {"<feedback>", "no element found"},
      {"<feedback/>", "no date range"},
      {"<feedback/><feedback/>", "junk after document element"},
      {"<feedback><report_metadata><date_range><begin>x</begin></date_range></report_metadata>"
       "</feedback>",
       "no number"},
      {"<feedback><report_metadata><date_range><begin>3</begin><end>2</end></date_range>"
       "</report_metadata></feedback>",
       "ends too early"},
      {"<feedback><report_metadata><date_range><begin>1</begin><end>2</end></date_range>"
       "</report_metadata></feedback>",
       "names no domain"},
      {Minimal("<record/>"), "without a source address"},
      {Minimal("<record><row><source_ip>1.2.3</source_ip></row></record>"),
       "without a source address"},
      {Minimal("<record><row><count>-1</count></row></record>"), "no number"},
      {Minimal("&unknown;"), "undefined entity"},
      {"<!DOCTYPE feedback><feedback/>", "no document type"},
      {"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><feedback>&x;</feedback>",
       "no document type"},
  }));
  CAPTURE(row.xml);
  const absl::StatusOr<Report> report = ParseXml(row.xml);
  REQUIRE(report.status().code() == absl::StatusCode::kInvalidArgument);
  CAPTURE(std::string(base::Message(report.status())));
  CHECK(base::Message(report.status()).find(row.reason) != std::string_view::npos);
}

TEST_CASE("An element that only begins like a record is none", "[dmarc_report][unit]") {
  // The first fuzz input: the reader looked into the last record before there was one.
  CHECK(Parsed(Minimal("<recordx><row>1</row></recordx>")).records.empty());
}

TEST_CASE("Bounds of a report: size, depth, records, results, text", "[dmarc_report][unit]") {
  const auto code = [](const std::string& xml, const ParseLimits& limits) {
    return ParseXml(xml, limits).status().code();
  };
  const std::string record =
      "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>";
  CHECK(code(Minimal(record), {}) == absl::StatusCode::kOk);
  CHECK(code(Minimal(record), {.xml_bytes = 100}) == absl::StatusCode::kResourceExhausted);
  CHECK(code(Minimal(record), {.depth = 3}) == absl::StatusCode::kResourceExhausted);
  CHECK(code(Minimal(record + record), {.records = 2}) == absl::StatusCode::kOk);
  CHECK(code(Minimal(record + record), {.records = 1}) == absl::StatusCode::kResourceExhausted);
  const std::string dkim = "<record><auth_results><dkim/><dkim/></auth_results></record>";
  CHECK(code(Minimal(dkim), {.results = 1}) == absl::StatusCode::kResourceExhausted);
  const std::string spf =
      "<record><row><source_ip>192.0.2.1</source_ip></row><auth_results><spf/></auth_results></"
      "record>";
  CHECK(code(Minimal(spf + spf), {.results_in_all = 2}) == absl::StatusCode::kOk);
  CHECK(code(Minimal(spf + spf), {.results_in_all = 1}) == absl::StatusCode::kResourceExhausted);
  CHECK(code(Minimal("<x>" + std::string(5000, 'x') + "</x>"), {}) ==
        absl::StatusCode::kResourceExhausted);
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  CHECK(code(deep, {}) == absl::StatusCode::kInvalidArgument);
  CHECK(code("<feedback>" + deep, {}) == absl::StatusCode::kResourceExhausted);
}

TEST_CASE("Reports come plain, in gzip and in zip", "[dmarc_report][unit]") {
  const std::string report = TestFile("new.xml");
  CHECK(Unpack(report).value() == report);
  CHECK(Unpack(Gzip(report)).value() == report);
  CHECK(Unpack(TestFile("deflated.zip")).value() == report);
  CHECK(Unpack(TestFile("streamed.zip")).value() == report);
  CHECK(Unpack(TestFile("stored.zip")).value() == TestFile("old.xml"));
}

TEST_CASE("A file that is cut or damaged anywhere is told, never read wrong",
          "[dmarc_report][unit]") {
  const std::string whole = TestFile("new.xml");
  for (const std::string& file : {Gzip(whole), TestFile("deflated.zip"), TestFile("stored.zip")}) {
    for (size_t size = 4; size < file.size(); ++size) {
      const auto cut = Unpack(file.substr(0, size));
      CHECK((!cut.ok() || *cut == whole));
    }
    for (size_t at = 4; at < file.size(); ++at) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
      const auto read = Unpack(damaged);
      CHECK((!read.ok() || *read == whole || *read == TestFile("old.xml") ||
             *read == "not this one"));
    }
  }
}

TEST_CASE("Bombs are told before they are large", "[dmarc_report][unit]") {
  const std::string zeros(64 << 20, '0');
  CHECK(Unpack(Gzip(zeros)).status().code() == absl::StatusCode::kResourceExhausted);
  // 12 MiB is allowed, but not from so little.
  CHECK(Unpack(TestFile("bomb.zip")).status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(Unpack(TestFile("bomb.zip"), {.bytes = 16 << 20, .ratio = 2000}).ok());
  CHECK(Unpack(zeros).status().code() == absl::StatusCode::kResourceExhausted);
}

TEST_CASE("RFC 9990 Appendix A, RFC 7489 Appendix C: what is written is valid and reads the same",
          "[dmarc_report][unit]") {
  const Report report = Sample(GENERATE(Schema::kRfc9990, Schema::kRfc7489));
  const std::string xml = WriteXml(report);
  CAPTURE(xml);
  const bool new_schema = report.schema == Schema::kRfc9990;
  CHECK(IsValid(xml, new_schema ? "rfc9990.xsd" : "rfc7489.xsd"));
  CHECK(!IsValid(xml, new_schema ? "rfc7489.xsd" : "rfc9990.xsd"));
  Report expected = report;
  if (!new_schema) expected.records[0].dkim_results[1].human_result = "body hash";
  CHECK(Parsed(xml) == expected);
}

TEST_CASE("What a report does not say gets what its schema asks for", "[dmarc_report][unit]") {
  Report report = Sample(GENERATE(Schema::kRfc9990, Schema::kRfc7489));
  report.policy = {};
  report.policy.domain = "a.example";
  report.records[0].spf_results.clear();
  report.records[0].envelope_from.clear();
  report.errors = {"one", "two"};
  const std::string xml = WriteXml(report);
  CAPTURE(xml);
  CHECK(IsValid(xml, report.schema == Schema::kRfc9990 ? "rfc9990.xsd" : "rfc7489.xsd"));
}

TEST_CASE("Texts from outside can not break the document", "[dmarc_report][unit]") {
  Report report = Sample(Schema::kRfc9990);
  report.org_name = "</org_name><x>&#0;";
  report.extra_contact_info = std::string("a\0b\x01\xef\xbf\xbf", 7);
  report.records[0].header_from = "\xff\xfe";
  const std::string xml = WriteXml(report);
  CHECK(IsValid(xml, "rfc9990.xsd"));
  CHECK(Parsed(xml).org_name == report.org_name);
}

TEST_CASE("The report is found in the message around it", "[dmarc_report][unit]") {
  const std::string begin =
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n";
  const std::string end = "\r\n--b--\r\n";
  CHECK(AttachedReport(begin +
                       "Content-Type: application/zip\r\n"
                       "Content-Transfer-Encoding: base64\r\n\r\nUEsDBA==" +
                       end)
            .value() == "PK\x03\x04");
  CHECK(AttachedReport(begin +
                       "Content-Type: application/octet-stream\r\n"
                       "Content-Disposition: attachment; filename=\"a!b!1!2.XML\"\r\n\r\n"
                       "<feedback/>" +
                       end)
            .value() == "<feedback/>");
  CHECK(AttachedReport("Content-Type: application/gzip\r\n\r\nabc").value() == "abc");
  CHECK(AttachedReport(begin + "Content-Type: text/html\r\n\r\nx" + end).status().code() ==
        absl::StatusCode::kNotFound);
  CHECK(AttachedReport(begin +
                       "Content-Type: message/rfc822\r\n\r\n"
                       "Content-Type: application/gzip\r\n\r\nabc" +
                       end)
            .status()
            .code() == absl::StatusCode::kNotFound);
  CHECK(!AttachedReport("").ok());
}

TEST_CASE("RFC 9990 §3.5.2: names of files and subjects", "[dmarc_report][unit]") {
  CHECK(FileName("mail.receiver.example", "example.com", 1013662812, 1013749130, "") ==
        "mail.receiver.example!example.com!1013662812!1013749130.xml.gz");
  CHECK(FileName("r.example", "e.example", 1, 2, "a1") == "r.example!e.example!1!2!a1.xml.gz");
  CHECK(Subject("example.com", "mail.receiver.example", "sample-ridtxt@example.com") ==
        "Report Domain: example.com\r\n Submitter: mail.receiver.example\r\n"
        " Report-ID: <sample-ridtxt@example.com>");
}

TEST_CASE("A report message is the same each time, and its lines are short",
          "[dmarc_report][unit]") {
  const Report report = Sample(Schema::kRfc9990);
  ReportMessage message;
  message.from = "dmarc@b.example";
  message.to = "reports@a.example";
  message.submitter = "b.example";
  message.date = absl::FromUnixSeconds(1790090000);
  message.file_name = FileName("b.example", "a.example", report.begin, report.end, "abc");
  message.packed = Gzip(WriteXml(report));
  message.report = &report;
  const WrittenMessage written = WriteMessage(message);
  CHECK(written.header == WriteMessage(message).header);
  CHECK(written.body == WriteMessage(message).body);
  CHECK(written.header.find("Subject: Report Domain: a.example\r\n Submitter: b.example\r\n") !=
        std::string::npos);
  CHECK(written.header.ends_with("\r\n\r\n"));
  CHECK(AttachedReport(written.header + written.body).value() == message.packed);
  CHECK(written.body.find("filename=\"b.example!a.example!1790000000!1790086399!abc.xml.gz\"") !=
        std::string::npos);
  std::istringstream lines(written.header + written.body);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 79);
    CHECK(line.back() == '\r');
  }
}

}  // namespace
}  // namespace godwit::dmarc_report

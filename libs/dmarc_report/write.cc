#include "libs/dmarc_report/write.h"

#include <openssl/sha.h>

#include <algorithm>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/mime/date.h"

namespace godwit::dmarc_report {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr size_t kBase64Line = 76;                         // RFC 2045 §6.8

// XML 1.0 §2.2: tab, CR and LF are the only controls; U+FFFE and U+FFFF are none either.
std::string Escape(std::string_view text) {
  if (!base::IsUtf8(text)) return std::string(kReplacement);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const std::string_view rest = text.substr(i);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (rest.starts_with("\xef\xbf\xbe") || rest.starts_with("\xef\xbf\xbf")) {
      out += kReplacement;
      i += 2;
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') {
      out += kReplacement;
    } else {
      out += c;
    }
  }
  return out;
}

class Writer {
 public:
  explicit Writer(const Report& report)
      : report_(report), new_schema_(report.schema == Schema::kRfc9990) {}

  std::string Write();

 private:
  void Open(std::string_view name) { Line("<" + std::string(name) + ">"), ++depth_; }
  void Close(std::string_view name) { --depth_, Line("</" + std::string(name) + ">"); }
  void Line(const std::string& text) {
    out_.append(2 * depth_, ' ');
    out_ += text + "\n";
  }
  void Element(std::string_view name, std::string_view text) {
    const std::string tag(name);
    Line("<" + tag + ">" + Escape(text) + "</" + tag + ">");
  }
  void Element(std::string_view name, int64_t number) { Element(name, std::to_string(number)); }
  void Optional(std::string_view name, std::string_view text) {
    if (!text.empty()) Element(name, text);
  }
  // With the value that an element which must be there has by default.
  void Needed(std::string_view name, std::string_view text, std::string_view otherwise) {
    Element(name, text.empty() ? otherwise : text);
  }
  void Metadata();
  void Policy();
  void WriteRecord(const Record& record);
  void Row(const Record& record);
  void AuthResults(const Record& record);

  const Report& report_;
  const bool new_schema_;
  std::string out_;
  size_t depth_ = 0;
};

std::string Writer::Write() {
  Line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
  Line(new_schema_ ? "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">" : "<feedback>");
  ++depth_;
  Element("version", "1.0");
  Metadata();
  Policy();
  for (const Record& record : report_.records) WriteRecord(record);
  Close("feedback");
  return std::move(out_);
}

void Writer::Metadata() {
  Open("report_metadata");
  Element("org_name", report_.org_name);
  Element("email", report_.email);
  Optional("extra_contact_info", report_.extra_contact_info);
  Element("report_id", report_.report_id);
  Open("date_range");
  Element("begin", report_.begin);
  Element("end", report_.end);
  Close("date_range");
  for (const std::string& error : report_.errors) {
    Element("error", error);
    if (new_schema_) break;  // RFC 9990 §3.1.1.3: one at most
  }
  if (new_schema_) Optional("generator", report_.generator);
  Close("report_metadata");
}

void Writer::Policy() {
  const PublishedPolicy& policy = report_.policy;
  Open("policy_published");
  Element("domain", policy.domain);
  if (new_schema_) Optional("discovery_method", policy.discovery_method);
  Optional("adkim", policy.adkim);
  Optional("aspf", policy.aspf);
  Needed("p", policy.p, "none");
  if (new_schema_) {
    Optional("sp", policy.sp);
    Optional("np", policy.np);
    Optional("testing", policy.testing);
    Optional("fo", policy.fo);
  } else {
    Needed("sp", policy.sp, policy.p.empty() ? "none" : policy.p);
    Element("pct", policy.pct.value_or(100));
    Needed("fo", policy.fo, "0");
  }
  Close("policy_published");
}

void Writer::Row(const Record& record) {
  Open("row");
  Element("source_ip", record.source_ip);
  Element("count", record.count);
  Open("policy_evaluated");
  Needed("disposition", record.disposition, "none");
  Needed("dkim", record.dkim, "fail");
  Needed("spf", record.spf, "fail");
  for (const Reason& reason : record.reasons) {
    Open("reason");
    Needed("type", reason.type, "other");
    Optional("comment", reason.comment);
    Close("reason");
  }
  Close("policy_evaluated");
  Close("row");
}

void Writer::AuthResults(const Record& record) {
  Open("auth_results");
  for (const DkimResult& dkim : record.dkim_results) {
    Open("dkim");
    Element("domain", dkim.domain);
    Element("selector", dkim.selector);
    Needed("result", dkim.result, "none");
    Optional("human_result", dkim.human_result);
    Close("dkim");
  }
  for (const SpfResult& spf : record.spf_results) {
    Open("spf");
    Element("domain", spf.domain);
    Needed("scope", spf.scope, "mfrom");
    Needed("result", spf.result, "none");
    if (new_schema_) Optional("human_result", spf.human_result);
    Close("spf");
    if (new_schema_) break;  // RFC 9990 §3.1.1.11: the MAIL FROM identity, if any
  }
  // RFC 7489 Appendix C: there is always one.
  if (!new_schema_ && record.spf_results.empty()) {
    Open("spf");
    Element("domain", record.envelope_from);
    Element("scope", "mfrom");
    Element("result", "none");
    Close("spf");
  }
  Close("auth_results");
}

void Writer::WriteRecord(const Record& record) {
  Open("record");
  Row(record);
  Open("identifiers");
  Optional("envelope_to", record.envelope_to);
  if (new_schema_) {
    Optional("envelope_from", record.envelope_from);
  } else {
    Element("envelope_from", record.envelope_from);
  }
  Element("header_from", record.header_from);
  Close("identifiers");
  AuthResults(record);
  Close("record");
}

// Of what the report is about: the same in a second try, another in another message.
std::string Boundary(const ReportMessage& message) {
  const std::string text = message.report->report_id + "\n" + message.to;
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return "report-" + base::HexEncode({reinterpret_cast<const char*>(digest), 16});
}

std::string Base64Lines(std::string_view octets) {
  const std::string text = base::Base64Encode(octets);
  std::string lines;
  for (size_t at = 0; at < text.size(); at += kBase64Line) {
    lines += text.substr(at, kBase64Line) + "\r\n";
  }
  return lines;
}

std::string ForPeople(const ReportMessage& message) {
  const Report& report = *message.report;
  int64_t messages = 0;
  for (const Record& record : report.records) messages += record.count;
  const auto time = [](int64_t seconds) {
    return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixSeconds(seconds),
                            absl::UTCTimeZone());
  };
  return "This is a DMARC aggregate report about mail that names " + report.policy.domain +
         "\r\nas its author, as " + message.submitter + " received it:\r\n\r\n" +
         std::to_string(messages) + " messages in " + std::to_string(report.records.size()) +
         " groups, from " + time(report.begin) + "\r\nto " + time(report.end) +
         ".\r\n\r\nReports are sent to whom the DMARC record of the domain names (rua=).\r\n";
}

}  // namespace

std::string WriteXml(const Report& report) { return Writer(report).Write(); }

std::string FileName(std::string_view receiver, std::string_view policy_domain, int64_t begin,
                     int64_t end, std::string_view unique_id) {
  std::string name = std::string(receiver) + "!" + std::string(policy_domain) + "!" +
                     std::to_string(begin) + "!" + std::to_string(end);
  if (!unique_id.empty()) name += "!" + std::string(unique_id);
  return name + ".xml.gz";
}

std::string Subject(std::string_view policy_domain, std::string_view submitter,
                    std::string_view report_id) {
  return "Report Domain: " + std::string(policy_domain) +
         "\r\n Submitter: " + std::string(submitter) + "\r\n Report-ID: <" +
         std::string(report_id) + ">";
}

WrittenMessage WriteMessage(const ReportMessage& message) {
  const Report& report = *message.report;
  const std::string boundary = Boundary(message);
  WrittenMessage out;
  out.header = "Date: " + mime::FormatDate(message.date) + "\r\nFrom: <" + message.from +
               ">\r\nTo: <" + message.to + ">\r\nSubject: " +
               Subject(report.policy.domain, message.submitter, report.report_id) +
               "\r\nMessage-ID: <" + boundary + "@" + message.submitter +
               ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
               "Content-Type: multipart/mixed;\r\n boundary=\"" +
               boundary + "\"\r\n\r\n";
  out.body = "--" + boundary + "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" +
             ForPeople(message) + "\r\n--" + boundary +
             "\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n"
             "Content-Disposition: attachment;\r\n filename=\"" +
             message.file_name + "\"\r\n\r\n" + Base64Lines(message.packed) + "--" + boundary +
             "--\r\n";
  return out;
}

}  // namespace godwit::dmarc_report

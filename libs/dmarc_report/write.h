#pragma once

// Aggregate reports as they are sent: XML in the schema of the report, and the message around
// it (RFC 9990 §3.5.2, RFC 7489 §7.2.1.1). The same report gives the same octets each time, so that
// a second try is told as one.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "libs/dmarc_report/report.h"

namespace godwit::dmarc_report {

// Valid against the schema that the report names when every word in it is one of the schema's.
// Characters that XML can not hold become U+FFFD; what RFC 7489 asks for and is not there gets its
// default.
std::string WriteXml(const Report& report);

// "mx.example.org!example.com!1013662812!1013749130!id.xml.gz". `unique_id` of letters and digits;
// "" for none. Both domains as A-labels.
std::string FileName(std::string_view receiver, std::string_view policy_domain, int64_t begin,
                     int64_t end, std::string_view unique_id);

// "Report Domain: example.com Submitter: example.org Report-ID: <id@example.org>", folded.
std::string Subject(std::string_view policy_domain, std::string_view submitter,
                    std::string_view report_id);

struct ReportMessage {
  std::string from;  // address
  std::string to;
  std::string submitter;  // domain of the receiver that reports
  absl::Time date;
  std::string file_name;
  std::string packed;  // gzip
  const Report* report = nullptr;
};

// The header ends with the empty line. ASCII, lines within 76 octets where they can be.
struct WrittenMessage {
  std::string header;
  std::string body;
};
WrittenMessage WriteMessage(const ReportMessage& message);

}  // namespace godwit::dmarc_report

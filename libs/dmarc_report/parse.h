#pragma once

// The XML of an aggregate report, of either schema, as strangers send it.
//
//   absl::StatusOr<std::string> xml = report_file::Unpack(attachment);
//   absl::StatusOr<Report> report = dmarc_report::ParseXml(*xml, limits);
//
// Elements are known by their local names, whatever their namespace and order; those that are not
// known (extensions, RFC 9990 §5) are skipped. A document type, and so every entity that is not
// built in, is an error. What is asked of a report: the root "feedback", a date range, the domain
// of the policy; and of each record a source address and a count. Enumerations are not checked:
// reporters invent words.

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/dmarc_report/report.h"

namespace godwit::dmarc_report {

struct ParseLimits {
  size_t xml_bytes = 16 << 20;
  size_t depth = 32;
  size_t records = 20'000;
  size_t results = 200;  // signatures, SPF results, reasons and errors, each, of one record
  size_t results_in_all = 100'000;
  size_t text_bytes = 4'096;  // of one element
};

// InvalidArgument for what is no report, with the reason; ResourceExhausted above a limit.
// Every text is UTF-8 without control characters.
absl::StatusOr<Report> ParseXml(std::string_view xml, const ParseLimits& limits = {});

}  // namespace godwit::dmarc_report

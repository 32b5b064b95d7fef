#pragma once

// The JSON of a TLS report (RFC 8460 §4.4, I-JSON), as strangers send it.
//
//   absl::StatusOr<std::string> json = report_file::Unpack(attachment);
//   absl::StatusOr<tlsrpt::Report> report = tlsrpt::ParseReport(*json, limits);
//
// Members that are not known are skipped; a list of one may stand without its brackets, as some
// write it. What is asked of a report: a date range, policies, of each its domain, and of each
// failure a count. Words are not checked: reporters invent some.

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/tlsrpt/report.h"

namespace godwit::tlsrpt {

// All of one report.
struct ParseLimits {
  size_t json_bytes = 16 << 20;
  size_t policies = 1'000;
  size_t failures = 50'000;
  size_t lines = 20'000;      // of policies' texts and hosts
  size_t text_bytes = 1'024;  // of one text
};

// InvalidArgument for what is no report, with the reason; ResourceExhausted above a limit.
// Every text is UTF-8 without control characters; counts are at most 2^53 - 1, each.
absl::StatusOr<Report> ParseReport(std::string_view json, const ParseLimits& limits = {});

}  // namespace godwit::tlsrpt

#pragma once

// The aggregate report inside a message (RFC 9990 §3.5.2, RFC 7489 §7.2.1.1), still packed.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::dmarc_report {

// The first part of a media type for reports, or else whose name ends like one (.xml, .gz, .zip).
// NotFound and bounds as report_file::AttachedFile.
absl::StatusOr<std::string> AttachedReport(std::string_view message);

}  // namespace godwit::dmarc_report

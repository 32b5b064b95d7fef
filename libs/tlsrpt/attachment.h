#pragma once

// The TLS report inside a message (RFC 8460 §5.3), still packed, and who says that it is his.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::tlsrpt {

struct Attached {
  std::string file;       // JSON, or gzip of it
  std::string submitter;  // of the field TLS-Report-Submitter, as it stands there; "" for none, or
                          // one of more than 255 octets or not in UTF-8
};

// By its media type alone: application/tlsrpt+json or application/tlsrpt+gzip. NotFound and bounds
// as report_file::AttachedFile.
absl::StatusOr<Attached> AttachedReport(std::string_view message);

}  // namespace godwit::tlsrpt

#pragma once

// The file in a report: plain, gzip (RFC 1952), or the one of a zip archive. What it is, is seen in
// its first octets; names and media types lie too often.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::report_file {

struct UnpackLimits {
  size_t bytes = 16 << 20;  // unpacked
  // Unpacked octets for one packed octet, above the first MiB: a bomb is told before it is large.
  size_t ratio = 400;
};

// Of an archive the first file whose name ends in ".xml" or ".json", else the first file; at most
// 16 entries are looked at, none outside of the archive. InvalidArgument for damage and for what
// nobody sends (encryption, zip64); ResourceExhausted above a limit.
absl::StatusOr<std::string> Unpack(std::string_view file, const UnpackLimits& limits = {});

}  // namespace godwit::report_file

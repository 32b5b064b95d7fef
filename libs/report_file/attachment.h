#pragma once

// The report inside a message that others send us about mail (DMARC, TLS): the part that carries
// it, without its transfer encoding, still packed.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::report_file {

// How a kind of report is known.
struct Wanted {
  std::vector<std::string_view> types;     // media types, lower case: "application/gzip"
  std::vector<std::string_view> suffixes;  // of the file's name, any case: ".xml"
};

// The first part with one of the types, or else with a name that ends like one of the suffixes.
// The message may be that part itself. `message`: the whole, with CRLF line ends. NotFound when
// there is none; at most 50 parts, 10 deep, are looked at.
absl::StatusOr<std::string> AttachedFile(std::string_view message, const Wanted& wanted);

}  // namespace godwit::report_file

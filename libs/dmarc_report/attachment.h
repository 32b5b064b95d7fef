#pragma once

// The report inside a message (RFC 9990 §3.5.2, RFC 7489 §7.2.1.1): the part that carries it,
// without its transfer encoding, still packed.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::dmarc_report {

// The first part of a media type for reports, or else whose name ends like one (.xml, .gz, .zip).
// The message may be that part itself. `message`: the whole, with CRLF line ends. NotFound when
// there is none; at most 50 parts, 10 deep, are looked at.
absl::StatusOr<std::string> AttachedReport(std::string_view message);

}  // namespace godwit::dmarc_report

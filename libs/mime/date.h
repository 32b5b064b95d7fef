#pragma once

// Dates of messages (RFC 5322 §3.3), with the obsolete two-digit years, zone names and comments of
// §4.3.

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace godwit::mime {

// A moment and the zone it was written in. IMAP's SENTON and friends look at the day as written:
// ask absl for `time` in a fixed zone of that offset.
struct DateTime {
  absl::Time time;         // whole seconds
  int offset_minutes = 0;  // east of UTC, within +-5999 ("+9959" is grammar)

  bool operator==(const DateTime&) const = default;
};

// Takes what mailers write: a missing or wrong day of the week, single digits, missing seconds,
// named zones; a zone that is missing or unknown is UTC (RFC 5322 §4.3 "-0000"). nullopt when day,
// month, year, hour and minute are not all there and in range. Years are 1900 to 9999.
std::optional<DateTime> ParseDate(std::string_view value);

// "Fri, 21 Nov 1997 09:55:06 -0600". The offset must be within +-23:59.
std::string FormatDate(absl::Time time, int offset_minutes = 0);

}  // namespace godwit::mime

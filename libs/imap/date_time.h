#pragma once

// Dates of IMAP (RFC 9051 §9): date of SEARCH, date-time of APPEND and INTERNALDATE.

#include <optional>
#include <string>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "libs/imap/cursor.h"

namespace godwit::imap {

// "1-Feb-1994", with or without quotes.
std::optional<absl::CivilDay> ParseDay(Cursor* cursor);
// "\" 1-Feb-1994 21:52:25 -0800\"", the quotes included.
std::optional<absl::Time> ParseDateTime(Cursor* cursor);
// "\"01-Feb-1994 21:52:25 +0000\"": with quotes, always in UTC.
std::string FormatDateTime(absl::Time time);

}  // namespace godwit::imap

#pragma once

// Text from elsewhere (replies, names, headers) made fit for the place it stands in. Internal to
// libs/dsn.

#include <string>
#include <string_view>

namespace godwit::dsn {

// One line: line ends, tabs and NULs become one space, other control characters "?"; octets above
// 127 too, but for good UTF-8 when `utf8`. No white space at the ends.
std::string CleanLine(std::string_view text, bool utf8);

// A header block with CRLF at the end of each line, without the empty line behind it; bare CR
// becomes "?", bare LF a line end.
std::string CleanHeader(std::string_view header);

// RFC 2045 §6.7, for text with CRLF line ends.
std::string QuotedPrintable(std::string_view text);

}  // namespace godwit::dsn

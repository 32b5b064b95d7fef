#pragma once

// xtext (RFC 3461 §4): printable ASCII without "+" and "=", everything else as "+HH".

#include <optional>
#include <string>
#include <string_view>

namespace godwit::smtp {

std::string XtextEncode(std::string_view bytes);
// nullopt for a "+" without two upper-case hexadecimal digits, or an octet xtext may not hold.
std::optional<std::string> XtextDecode(std::string_view text);

}  // namespace godwit::smtp

#pragma once

// Escaping for JSON strings (RFC 8259 §7). Pure.

#include <string>
#include <string_view>

namespace godwit::obs {

// Appends `text` with quotes around it. Control characters are escaped; a byte that is not part of
// well-formed UTF-8 becomes U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace godwit::obs

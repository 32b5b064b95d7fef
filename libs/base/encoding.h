#pragma once

// Base 64 and hexadecimal (RFC 4648), strict: any byte that does not belong is an error.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::base {

// RFC 4648 §4, with padding, no line breaks.
std::string Base64Encode(std::string_view bytes);
// Takes canonical base 64 with its padding only; InvalidArgument for anything else (white space,
// missing or early padding, non-zero trailing bits).
absl::StatusOr<std::string> Base64Decode(std::string_view text);
// RFC 4648 §5, without padding: for names in URLs and ids.
std::string Base64UrlEncode(std::string_view bytes);

// Lower-case hexadecimal.
std::string HexEncode(std::string_view bytes);
// Either case; InvalidArgument for an odd length or another character.
absl::StatusOr<std::string> HexDecode(std::string_view text);

}  // namespace godwit::base

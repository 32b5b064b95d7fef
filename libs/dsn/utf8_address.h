#pragma once

// The ASCII form of an address in UTF-8 (RFC 6533 §3, utf-8-addr-xtext): printable ASCII without
// "+", "=" and "\", everything else as "\x{HEX}" with the code point. Internal to libs/dsn.

#include <optional>
#include <string>
#include <string_view>

namespace godwit::dsn {

// What is no UTF-8 becomes U+FFFD.
std::string EncodeUtf8Address(std::string_view utf8);

// Takes UTF-8 as it is between the escapes (utf-8-addr-unitext, utf-8-address). nullopt for an
// escape that is none, or one that is no character.
std::optional<std::string> DecodeUtf8Address(std::string_view text);

}  // namespace godwit::dsn

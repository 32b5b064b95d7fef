#pragma once

// ASCII text as the mail protocols see it: locale-free, std::string_view in and out. Bytes above
// 127 are left alone and are never letters, digits or space.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::base {

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool IsAlnum(char c) { return IsDigit(c) || IsAlpha(c); }
constexpr bool IsWsp(char c) { return c == ' ' || c == '\t'; }

std::string Lower(std::string_view text);
std::string Upper(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix);
bool EndsWithIgnoreCase(std::string_view text, std::string_view suffix);

// Without space, tab, CR and LF at both ends.
std::string_view Trim(std::string_view text);

// Splits at every `separator`; n separators give n+1 pieces, empty ones included.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& pieces, std::string_view separator);

// The whole of `text` as a decimal number: digits only, no sign, no space, no overflow.
std::optional<uint64_t> ParseDecimal(std::string_view text);

// True when every byte is below 128.
bool IsAscii(std::string_view text);
// True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
bool IsUtf8(std::string_view text);

// For std::map and std::set whose keys ignore ASCII case.
struct LessIgnoreCase {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

}  // namespace godwit::base

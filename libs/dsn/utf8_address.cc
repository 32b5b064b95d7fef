#include "libs/dsn/utf8_address.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "libs/base/ascii.h"

namespace godwit::dsn {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;
constexpr uint32_t kMaxCodePoint = 0x10FFFF;

// RFC 6533 §3, QCHAR.
bool IsPlain(char c) { return c > 32 && c < 127 && c != '+' && c != '=' && c != '\\'; }

// Octets of the UTF-8 character at the front of `text`; 0 when there is none.
size_t CharacterSize(std::string_view text) {
  for (size_t size = 1; size <= 4 && size <= text.size(); ++size) {
    if (base::IsUtf8(text.substr(0, size))) return size;
  }
  return 0;
}

uint32_t CodePoint(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  uint32_t point = first & (0x7Fu >> character.size());
  for (const char c : character.substr(1))
    point = point << 6 | (static_cast<unsigned char>(c) & 63);
  return point;
}

void AppendUtf8(uint32_t point, std::string* out) {
  const auto put = [&](uint32_t octet) { *out += static_cast<char>(octet); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 63));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 63));
    put(0x80 | (point >> 6 & 63));
  }
  put(0x80 | (point & 63));
}

// The hexadecimal digits of one escape.
std::optional<uint32_t> ParsePoint(std::string_view digits) {
  if (digits.empty() || digits.size() > 6) return std::nullopt;
  uint32_t point = 0;
  for (const char c : digits) {
    const char lower = base::ToLower(c);
    if (!base::IsDigit(c) && (lower < 'a' || lower > 'f')) return std::nullopt;
    point = point * 16 + static_cast<uint32_t>(base::IsDigit(c) ? c - '0' : lower - 'a' + 10);
  }
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point == 0 || point > kMaxCodePoint || surrogate) return std::nullopt;
  return point;
}

}  // namespace

std::string EncodeUtf8Address(std::string_view utf8) {
  std::string out;
  while (!utf8.empty()) {
    if (IsPlain(utf8[0])) {
      out += utf8[0];
      utf8.remove_prefix(1);
      continue;
    }
    const size_t size = CharacterSize(utf8);
    const uint32_t point = size == 0 ? kReplacement : CodePoint(utf8.substr(0, size));
    char escape[16];
    std::snprintf(escape, sizeof escape, "\\x{%02X}", point);
    out += escape;
    utf8.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::optional<std::string> DecodeUtf8Address(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text[0] != '\\') {
      out += text[0];
      text.remove_prefix(1);
      continue;
    }
    const size_t end = text.find('}');
    if (!text.starts_with("\\x{") || end == std::string_view::npos) return std::nullopt;
    const auto point = ParsePoint(text.substr(3, end - 3));
    if (!point) return std::nullopt;
    AppendUtf8(*point, &out);
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace godwit::dsn

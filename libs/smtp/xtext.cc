#include "libs/smtp/xtext.h"

namespace godwit::smtp {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

bool IsPlain(char c) { return c >= 33 && c <= 126 && c != '+' && c != '='; }

}  // namespace

std::string XtextEncode(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    if (IsPlain(c)) {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += '+';
    out += kHex[octet >> 4];
    out += kHex[octet & 15];
  }
  return out;
}

std::optional<std::string> XtextDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsPlain(text[i])) {
      out += text[i];
      continue;
    }
    if (text[i] != '+' || i + 2 >= text.size()) return std::nullopt;
    const size_t high = kHex.find(text[i + 1]);
    const size_t low = kHex.find(text[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace godwit::smtp

#include "libs/obs/json.h"

#include <cstddef>

#include "libs/base/ascii.h"

namespace godwit::obs {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

void AppendAscii(char c, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  switch (c) {
    case '"': *out += "\\\""; return;
    case '\\': *out += "\\\\"; return;
    case '\n': *out += "\\n"; return;
    case '\r': *out += "\\r"; return;
    case '\t': *out += "\\t"; return;
    default: break;
  }
  if (byte >= 0x20 && byte != 0x7f) {
    *out += c;
    return;
  }
  *out += "\\u00";
  *out += kHex[byte >> 4];
  *out += kHex[byte & 0x0f];
}

// The length that a UTF-8 sequence with this first byte has; 0 for a byte that starts none.
size_t SequenceLength(unsigned char first) {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  for (size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) {
      AppendAscii(text[at++], out);
      continue;
    }
    const size_t length = SequenceLength(first);
    const std::string_view sequence = text.substr(at, length);
    if (length != 0 && sequence.size() == length && base::IsUtf8(sequence)) {
      *out += sequence;
      at += length;
    } else {
      *out += kReplacement;
      ++at;
    }
  }
  *out += '"';
}

}  // namespace godwit::obs

#include "libs/dsn/clean.h"

#include "libs/base/ascii.h"

namespace godwit::dsn {
namespace {

constexpr size_t kQpLine = 76;  // RFC 2045 §6.7 (5), without the CRLF

bool IsBreak(char c) { return c == '\r' || c == '\n' || c == '\t' || c == '\0'; }

bool IsControl(char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }

// One line of text without its CRLF.
void AppendQpLine(std::string_view line, std::string* out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  size_t column = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const auto octet = static_cast<unsigned char>(line[i]);
    const bool last = i + 1 == line.size();
    // RFC 2045 §6.7 (3): white space at the end of a line is encoded.
    const bool plain = octet >= 32 && octet < 127 && octet != '=' && !(last && octet == ' ');
    const size_t size = plain ? 1 : 3;
    if (column + size > kQpLine - (last ? 0 : 1)) {
      *out += "=\r\n";
      column = 0;
    }
    if (plain) {
      *out += line[i];
    } else {
      *out += {'=', kHex[octet >> 4], kHex[octet & 15]};
    }
    column += size;
  }
}

}  // namespace

std::string CleanLine(std::string_view text, bool utf8) {
  const bool keep_high = utf8 && base::IsUtf8(text);
  std::string out;
  for (const char c : text) {
    const bool high = static_cast<unsigned char>(c) > 127;
    if (IsBreak(c)) {
      if (!out.ends_with(' ')) out += ' ';
    } else if (IsControl(c) || (high && !keep_high)) {
      out += '?';
    } else {
      out += c;
    }
  }
  return std::string(base::Trim(out));
}

std::string CleanHeader(std::string_view header) {
  std::string out;
  while (!header.empty()) {
    const size_t newline = header.find('\n');
    std::string_view line = header.substr(0, newline);
    header.remove_prefix(newline == std::string_view::npos ? header.size() : newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    for (const char c : line) out += c == '\r' || c == '\0' ? '?' : c;
    out += "\r\n";
  }
  return out;
}

std::string QuotedPrintable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find("\r\n");
    AppendQpLine(text.substr(0, end), &out);
    if (end == std::string_view::npos) break;
    out += "\r\n";
    text.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace godwit::dsn

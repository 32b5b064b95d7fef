#include "libs/imap/response_writer.h"

#include "libs/base/ascii.h"
#include "libs/imap/cursor.h"

namespace godwit::imap {
namespace {

// Longer strings go as literals: quoted ones would be scanned for escapes by slow clients.
constexpr size_t kMaxQuoted = 1000;

bool CanQuote(std::string_view text, TextMode mode) {
  if (text.size() > kMaxQuoted) return false;
  bool high = false;
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == '\0') return false;
    high |= (c & 0x80) != 0;
  }
  return !high || (mode == TextMode::kUtf8 && base::IsUtf8(text));
}

bool IsAstring(std::string_view text) {
  for (const char c : text) {
    if (!IsAtomChar(c) && c != ']') return false;
  }
  return !text.empty() && !base::EqualsIgnoreCase(text, "NIL");
}

}  // namespace

void AppendLiteralHeader(std::string* out, uint64_t size) {
  *out += '{';
  *out += std::to_string(size);
  *out += "}\r\n";
}

void AppendLiteral8Header(std::string* out, uint64_t size) {
  *out += '~';
  AppendLiteralHeader(out, size);
}

void AppendString(std::string* out, std::string_view text, TextMode mode) {
  if (!CanQuote(text, mode)) {
    AppendLiteralHeader(out, text.size());
    // RFC 9051 §4.3: only literal8 may hold NUL.
    for (const char c : text) *out += c == '\0' ? '?' : c;
    return;
  }
  *out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') *out += '\\';
    *out += c;
  }
  *out += '"';
}

void AppendNstring(std::string* out, const std::optional<std::string>& text, TextMode mode) {
  if (text) {
    AppendString(out, *text, mode);
  } else {
    *out += "NIL";
  }
}

void AppendAstring(std::string* out, std::string_view text, TextMode mode) {
  if (IsAstring(text)) {
    *out += text;
  } else {
    AppendString(out, text, mode);
  }
}

void AppendText(std::string* out, std::string_view text) {
  // RFC 9051 §9: resp-text may begin with a code, so plain text must not look like one.
  if (text.empty()) text = "-";
  if (text.front() == '[') *out += ' ';
  for (const char c : text) *out += c >= 0x20 && c <= 0x7e ? c : '?';
}

void AppendTagged(std::string* out, std::string_view tag, std::string_view condition,
                  std::string_view code, std::string_view text) {
  *out += tag;
  *out += ' ';
  *out += condition;
  *out += ' ';
  if (!code.empty()) {
    *out += '[';
    *out += code;
    *out += "] ";
  }
  AppendText(out, text);
  *out += "\r\n";
}

void AppendUntagged(std::string* out, std::string_view condition, std::string_view code,
                    std::string_view text) {
  AppendTagged(out, "*", condition, code, text);
}

void AppendContinuation(std::string* out, std::string_view text) {
  *out += "+ ";
  *out += text;
  *out += "\r\n";
}

std::string AppendUidCode(uint32_t uid_validity, uint32_t uid) {
  return "APPENDUID " + std::to_string(uid_validity) + " " + std::to_string(uid);
}

std::string CopyUidCode(uint32_t uid_validity, const UidSet& source, const UidSet& target) {
  return "COPYUID " + std::to_string(uid_validity) + " " + source.ToString() + " " +
         target.ToString();
}

}  // namespace godwit::imap

#include "libs/imap/cursor.h"

#include "libs/base/ascii.h"

namespace godwit::imap {
namespace {

bool IsListWildcard(char c) { return c == '%' || c == '*'; }

bool IsAstringChar(char c) { return IsAtomChar(c) || c == ']'; }

// The end of the quoted string that begins at `at`; npos when it is not closed.
size_t EndOfQuoted(std::string_view line, size_t at) {
  for (size_t i = at + 1; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool IsAtomChar(char c) {
  // RFC 9051 §9: any CHAR except atom-specials: "(" ")" "{" SP CTL "%" "*" DQUOTE "\" "]".
  if (c <= 0x20 || c >= 0x7f) return false;
  return std::string_view("(){%*\"\\]").find(c) == std::string_view::npos;
}

bool Cursor::Fail(std::string_view reason) {
  if (error_.empty()) error_ = reason;
  return false;
}

bool Cursor::Take(char c) {
  if (rest_.empty() || rest_.front() != c) return false;
  rest_.remove_prefix(1);
  return true;
}

bool Cursor::Expect(char c) {
  if (Take(c)) return true;
  return Fail(c == ' '               ? "missing space"
              : c == '(' || c == ')' ? "missing parenthesis"
                                     : "missing character");
}

bool Cursor::ExpectEnd() { return AtEnd() || Fail("unexpected text at the end"); }

bool Cursor::TakeWord(std::string_view word) {
  if (!base::StartsWithIgnoreCase(rest_, word)) return false;
  if (rest_.size() > word.size() && IsAtomChar(rest_[word.size()])) return false;
  rest_.remove_prefix(word.size());
  return true;
}

bool Cursor::Enter() {
  if (depth_ >= limits_->depth) return Fail("nested too deeply");
  ++depth_;
  return true;
}

std::optional<std::string_view> Cursor::Atom() {
  size_t size = 0;
  while (size < rest_.size() && IsAtomChar(rest_[size])) ++size;
  if (size == 0) {
    Fail("missing word");
    return std::nullopt;
  }
  const std::string_view atom = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return atom;
}

std::optional<std::string> Cursor::Keyword() {
  size_t size = 0;
  while (size < rest_.size() &&
         (base::IsAlnum(rest_[size]) || rest_[size] == '-' || rest_[size] == '.')) {
    ++size;
  }
  if (size == 0 || size > 64) {
    Fail("missing word");
    return std::nullopt;
  }
  const std::string_view word = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return base::Upper(word);
}

std::optional<std::string_view> Cursor::Tag() {
  // RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">.
  size_t size = 0;
  while (size < rest_.size() && IsAstringChar(rest_[size]) && rest_[size] != '+') ++size;
  if (size == 0 || size > 255) {
    Fail("missing tag");
    return std::nullopt;
  }
  const std::string_view tag = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return tag;
}

std::optional<uint64_t> Cursor::Number64() {
  size_t size = 0;
  while (size < rest_.size() && base::IsDigit(rest_[size])) ++size;
  const auto number = base::ParseDecimal(rest_.substr(0, size));
  if (!number) {
    Fail("missing number");
    return std::nullopt;
  }
  rest_.remove_prefix(size);
  return number;
}

std::optional<uint32_t> Cursor::Number() {
  const auto number = Number64();
  if (number && *number <= UINT32_MAX) return static_cast<uint32_t>(*number);
  Fail("number is too large");
  return std::nullopt;
}

std::optional<uint32_t> Cursor::NonZero() {
  const auto number = Number();
  if (number && *number != 0) return number;
  Fail("number is zero");
  return std::nullopt;
}

std::optional<std::string> Cursor::Quoted() {
  std::string text;
  rest_.remove_prefix(1);
  while (!rest_.empty()) {
    char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '"') {
      // RFC 9051 §4.3: 8-bit text in quoted strings is UTF-8. We take it under IMAP4rev1 as well.
      if (base::IsUtf8(text)) return text;
      break;
    }
    if (c == '\\') {
      c = Peek();
      if (c != '"' && c != '\\') break;
      rest_.remove_prefix(1);
    }
    if (c == '\r' || c == '\n' || c == '\0') break;
    text += c;
  }
  Fail("bad quoted string");
  return std::nullopt;
}

std::optional<std::string> Cursor::Literal() {
  const size_t line_end = rest_.find("\r\n");
  const auto header = FindLiteralHeader(rest_.substr(0, line_end));
  if (line_end == std::string_view::npos || !header || header->position != 0 ||
      header->size > rest_.size() - line_end - 2) {
    Fail("bad literal");
    return std::nullopt;
  }
  const std::string_view text = rest_.substr(line_end + 2, header->size);
  rest_.remove_prefix(line_end + 2 + text.size());
  // RFC 9051 §4.3: a literal has no NUL; only literal8 may, and no command here takes one.
  if (header->binary || text.find('\0') != std::string_view::npos) {
    Fail("binary literal is not allowed here");
    return std::nullopt;
  }
  return std::string(text);
}

std::optional<std::string> Cursor::String() {
  if (Peek() == '"') return Quoted();
  if (Peek() == '{') return Literal();
  Fail("missing string");
  return std::nullopt;
}

std::optional<std::string> Cursor::StringOrChars(bool list_wildcards) {
  if (Peek() == '"' || Peek() == '{') return String();
  size_t size = 0;
  while (size < rest_.size() &&
         (IsAstringChar(rest_[size]) || (list_wildcards && IsListWildcard(rest_[size])))) {
    ++size;
  }
  if (size == 0) {
    Fail("missing string");
    return std::nullopt;
  }
  std::string text(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return text;
}

std::optional<std::string> Cursor::Astring() { return StringOrChars(false); }

std::optional<std::string> Cursor::ListMailbox() { return StringOrChars(true); }

std::optional<std::optional<std::string>> Cursor::Nstring() {
  if (TakeWord("NIL")) return std::optional<std::string>();
  auto text = String();
  if (!text) return std::nullopt;
  return text;
}

std::optional<LiteralHeader> FindLiteralHeader(std::string_view line) {
  if (line.empty() || line.back() != '}') return std::nullopt;
  // The last "{" that is not inside a quoted string.
  size_t open = std::string_view::npos;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '{') open = i;
    if (line[i] == '"') i = EndOfQuoted(line, i);
    if (i == std::string_view::npos) return std::nullopt;
  }
  if (open == std::string_view::npos) return std::nullopt;
  std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  LiteralHeader header;
  header.position = open;
  if (!digits.empty() && digits.back() == '+') {
    header.synchronizing = false;
    digits.remove_suffix(1);
  }
  const auto size = base::ParseDecimal(digits);
  // RFC 9051 §9: number64, below 2^63.
  if (!size || *size > INT64_MAX) return std::nullopt;
  header.size = *size;
  if (open > 0 && line[open - 1] == '~') {
    header.binary = true;
    --header.position;
  }
  return header;
}

}  // namespace godwit::imap

#pragma once

// Cursor: reads the tokens of RFC 9051 §9 from one whole command, literals included as they came
// over the wire ("{3}\r\nabc"). Each function either takes what it names and returns it, or takes
// nothing useful, returns nullopt or false, and notes the first reason in error(). After an error
// the command is malformed; there is no way back.
//
// Views point into the text. No thread rule; a value on the stack.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libs/imap/limits.h"

namespace godwit::imap {

// RFC 9051 §9: ATOM-CHAR.
bool IsAtomChar(char c);

// The header of a literal at the end of `line` (without CRLF): "{12}", "{12+}", "~{12}".
struct LiteralHeader {
  uint64_t size = 0;
  bool synchronizing = true;
  bool binary = false;  // "~": literal8
  size_t position = 0;  // where it begins in the line
};

class Cursor {
 public:
  Cursor(std::string_view text, const Limits& limits) : rest_(text), limits_(&limits) {}

  bool AtEnd() const { return rest_.empty(); }
  char Peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  std::string_view rest() const { return rest_; }
  const Limits& limits() const { return *limits_; }

  // One character. Expect() notes an error when it is not there.
  bool Take(char c);
  bool Expect(char c);
  bool ExpectSpace() { return Expect(' '); }
  bool ExpectEnd();
  // `word` in any case, when no further atom character follows.
  bool TakeWord(std::string_view word);

  std::optional<std::string_view> Atom();
  // Letters, digits, "-" and ".": the name of a fetch item, search key or option; upper case.
  std::optional<std::string> Keyword();
  // RFC 9051 §9: tag.
  std::optional<std::string_view> Tag();
  std::optional<uint64_t> Number64();
  std::optional<uint32_t> Number();
  std::optional<uint32_t> NonZero();

  // Quoted or literal.
  std::optional<std::string> String();
  // Atom (with "]"), quoted or literal.
  std::optional<std::string> Astring();
  // The same with "%" and "*": the patterns of LIST.
  std::optional<std::string> ListMailbox();
  // A string, or NIL, which gives an engaged optional that holds nothing.
  std::optional<std::optional<std::string>> Nstring();

  // Calls `item()` for each member of "(a b c)", separated by single spaces, until it returns
  // false. The opening parenthesis is still there. `allow_empty` takes "()".
  template <typename Item>
  bool List(bool allow_empty, Item item);

  // Guards recursion: false (with an error) when it would be deeper than the limit.
  bool Enter();
  void Leave() { --depth_; }

  // Notes the reason, when it is the first; always false.
  bool Fail(std::string_view reason);
  // "" when nothing failed.
  std::string_view error() const { return error_; }

 private:
  std::optional<std::string> Quoted();
  std::optional<std::string> Literal();
  std::optional<std::string> StringOrChars(bool list_wildcards);

  std::string_view rest_;
  const Limits* limits_;
  std::string_view error_;
  int depth_ = 0;
};

// The literal that `line` (of a command, without CRLF; not from inside a quoted string) announces
// at its end; nullopt when there is none. A brace inside a quoted string is text.
std::optional<LiteralHeader> FindLiteralHeader(std::string_view line);

template <typename Item>
bool Cursor::List(bool allow_empty, Item item) {
  if (!Expect('(')) return false;
  if (allow_empty && Take(')')) return true;
  for (size_t count = 0; count < limits_->list_items; ++count) {
    if (!item()) return Fail("bad list member");
    if (Take(')')) return true;
    if (!ExpectSpace()) return false;
  }
  return Fail("list is too long");
}

}  // namespace godwit::imap

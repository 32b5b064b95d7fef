#pragma once

// The tokens that structured header fields share (RFC 5322 §3.2): comments, folding white space,
// quoted strings, runs of other characters. Internal to libs/mime.
//
// Works on raw values: CR, LF and NUL count as white space. Whatever is not closed (a comment, a
// quoted string) reaches to the end of the text. Every octet is looked at a bounded number of
// times.

#include <cstddef>
#include <string>
#include <string_view>

namespace godwit::mime {

class Lexer {
 public:
  explicit Lexer(std::string_view text, int max_comment_depth = 50)
      : text_(text), max_depth_(max_comment_depth) {}

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void Advance() { ++at_; }
  // Takes `c` if it is next.
  bool Take(char c);

  // White space. True if there was some.
  bool SkipSpace();
  // White space and comments; the text of the last comment goes to `*comment` if not nullptr.
  // True if there was something.
  bool SkipSpaceAndComments(std::string* comment = nullptr);

  // At '"': its content with quoted pairs resolved and folds removed.
  std::string QuotedString();
  // The run of characters up to white space or one of `stops`; a backslash escapes the next
  // character.
  std::string Word(std::string_view stops);
  // Everything up to one of `stops` or the end, line ends removed.
  std::string Until(std::string_view stops);

  static bool IsSpace(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
  }

 private:
  std::string Comment();

  std::string_view text_;
  size_t at_ = 0;
  int max_depth_;
};

}  // namespace godwit::mime

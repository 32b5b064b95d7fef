#include "libs/mime/lexer.h"

#include "libs/base/ascii.h"

namespace godwit::mime {
namespace {

// What an octet of quoted text stands for: folds are dropped by the caller, NUL is no text.
char Plain(char c) { return c == '\0' ? ' ' : c; }
bool IsLineEnd(char c) { return c == '\r' || c == '\n'; }

}  // namespace

bool Lexer::Take(char c) {
  if (done() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool Lexer::SkipSpace() {
  const size_t start = at_;
  while (!done() && IsSpace(text_[at_])) ++at_;
  return at_ > start;
}

bool Lexer::SkipSpaceAndComments(std::string* comment) {
  const size_t start = at_;
  for (;;) {
    SkipSpace();
    if (peek() != '(' || done()) break;
    std::string text = Comment();
    if (comment != nullptr) *comment = std::move(text);
  }
  return at_ > start;
}

std::string Lexer::Comment() {
  std::string out;
  int depth = 1;
  for (++at_; !done(); ++at_) {
    char c = text_[at_];
    if (IsLineEnd(c)) continue;
    if (c == '\\' && at_ + 1 < text_.size() && !IsLineEnd(text_[at_ + 1])) {
      c = text_[++at_];
    } else if (c == '(' && depth < max_depth_) {
      ++depth;
    } else if (c == ')' && --depth == 0) {
      ++at_;
      break;
    }
    out += Plain(c);
  }
  return std::string(base::Trim(out));
}

std::string Lexer::QuotedString() {
  std::string out;
  for (++at_; !done(); ++at_) {
    char c = text_[at_];
    if (IsLineEnd(c)) continue;
    if (c == '"') {
      ++at_;
      break;
    }
    if (c == '\\' && at_ + 1 < text_.size() && !IsLineEnd(text_[at_ + 1])) c = text_[++at_];
    out += Plain(c);
  }
  return out;
}

std::string Lexer::Word(std::string_view stops) {
  std::string out;
  for (; !done(); ++at_) {
    char c = text_[at_];
    if (IsSpace(c) || stops.find(c) != std::string_view::npos) break;
    if (c == '\\' && at_ + 1 < text_.size() && !IsSpace(text_[at_ + 1])) c = text_[++at_];
    out += c;
  }
  return out;
}

std::string Lexer::Until(std::string_view stops) {
  std::string out;
  for (; !done() && stops.find(text_[at_]) == std::string_view::npos; ++at_) {
    if (!IsLineEnd(text_[at_])) out += Plain(text_[at_]);
  }
  return out;
}

}  // namespace godwit::mime

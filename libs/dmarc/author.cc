#include "libs/dmarc/author.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::dmarc {
namespace {

constexpr size_t kMaxAddresses = 64;

// RFC 5322 §3.2: what the text is made of. Comments and white space separate and are left out.
struct Token {
  enum class Kind { kAtom, kQuoted, kLiteral, kSpecial };
  Kind kind = Kind::kSpecial;
  std::string_view text;

  bool Is(char special) const { return kind == Kind::kSpecial && text[0] == special; }
};

constexpr std::string_view kSpecials = "()<>[]:;@\\,.\"";

// The position behind a comment that begins at `begin`, nested ones included; npos: never closed.
size_t SkipComment(std::string_view text, size_t begin) {
  size_t depth = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '(')
      ++depth;
    else if (text[i] == ')' && --depth == 0)
      return i + 1;
  }
  return text.npos;
}

// The position behind a string that `close` ends; npos: never closed.
size_t SkipDelimited(std::string_view text, size_t begin, char close) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == close)
      return i + 1;
  }
  return text.npos;
}

bool IsSpace(char c) { return base::IsWsp(c) || c == '\r' || c == '\n'; }

size_t AtomEnd(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && !IsSpace(text[end]) && kSpecials.find(text[end]) == kSpecials.npos) {
    ++end;
  }
  return end;
}

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    size_t end = i + 1;
    Token token;
    if (IsSpace(c)) {
      ++i;
      continue;
    }
    if (c == '(') {
      end = SkipComment(text, i);
      if (end == text.npos) return base::InvalidArgument("comment not closed");
      i = end;
      continue;
    }
    if (c == '"' || c == '[') {
      token.kind = c == '"' ? Token::Kind::kQuoted : Token::Kind::kLiteral;
      end = SkipDelimited(text, i, c == '"' ? '"' : ']');
      if (end == text.npos) return base::InvalidArgument("quoted text not closed");
    } else if (kSpecials.find(c) == kSpecials.npos) {
      token.kind = Token::Kind::kAtom;
      end = AtomEnd(text, i);
    }
    token.text = text.substr(i, end - i);
    tokens.push_back(token);
    i = end;
  }
  return tokens;
}

using Tokens = std::vector<Token>;

// atom *("." atom), as one text.
absl::StatusOr<std::string> ReadDomain(Tokens::const_iterator begin, Tokens::const_iterator end) {
  std::string domain;
  bool atom_next = true;
  for (auto token = begin; token != end; ++token) {
    const bool fits = atom_next ? token->kind == Token::Kind::kAtom : token->Is('.');
    if (!fits) return base::InvalidArgument("an address without a domain name");
    domain += token->text;
    atom_next = !atom_next;
  }
  if (domain.empty() || atom_next) return base::InvalidArgument("an address without a domain name");
  auto ascii = idna::ToAscii(domain);
  if (!ascii) return base::InvalidArgument("an address without a domain name");
  return *std::move(ascii);
}

// local-part "@" domain; `route`: "@a,@b:" may stand in front (RFC 5322 §4.4).
absl::StatusOr<std::string> ReadAddress(Tokens::const_iterator begin, Tokens::const_iterator end) {
  if (begin != end && begin->Is('@')) {
    const auto colon = std::find_if(begin, end, [](const Token& token) { return token.Is(':'); });
    if (colon == end) return base::InvalidArgument("a route without an address");
    begin = colon + 1;
  }
  const auto at = std::find_if(begin, end, [](const Token& token) { return token.Is('@'); });
  if (at == end || at == begin) return base::InvalidArgument("an address without @");
  return ReadDomain(at + 1, end);
}

// One pass over the tokens: mailboxes, between commas, in groups or not.
class ListReader {
 public:
  explicit ListReader(const Tokens& tokens) : tokens_(tokens) {}

  absl::StatusOr<std::vector<std::string>> Read() {
    auto begin = tokens_.begin();  // of the current mailbox
    for (auto token = tokens_.begin(); token != tokens_.end(); ++token) {
      if (token->Is('<')) {
        token = std::find_if(token, tokens_.end(), [](const Token& t) { return t.Is('>'); });
        if (token == tokens_.end()) return base::InvalidArgument("< without >");
      } else if (token->Is(':')) {
        if (in_group_) return base::InvalidArgument("a group inside a group");
        in_group_ = true;
        begin = token + 1;
      } else if (token->Is(',') || token->Is(';')) {
        GODWIT_RETURN_IF_ERROR(Mailbox(begin, token));
        if (token->Is(';') && !in_group_) return base::InvalidArgument("; without a group");
        in_group_ = in_group_ && !token->Is(';');
        begin = token + 1;
      }
    }
    if (in_group_) return base::InvalidArgument("group not closed");
    GODWIT_RETURN_IF_ERROR(Mailbox(begin, tokens_.end()));
    return domains_;
  }

 private:
  absl::Status Mailbox(Tokens::const_iterator begin, Tokens::const_iterator end) {
    if (begin == end) return absl::OkStatus();  // RFC 5322 §4.4: empty list elements
    if (domains_.size() == kMaxAddresses) return base::InvalidArgument("too many addresses");
    const auto open = std::find_if(begin, end, [](const Token& token) { return token.Is('<'); });
    if (open != end) {
      // Whatever stands in front is a display name, "@" and dots too: many senders write that, and
      // all clients show the address in the brackets.
      if (!(end - 1)->Is('>')) return base::InvalidArgument("text behind >");
      begin = open + 1;
      --end;
    }
    GODWIT_ASSIGN_OR_RETURN(std::string domain, ReadAddress(begin, end));
    domains_.push_back(std::move(domain));
    return absl::OkStatus();
  }

  const Tokens& tokens_;
  bool in_group_ = false;
  std::vector<std::string> domains_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> FromDomains(std::string_view from_value) {
  GODWIT_ASSIGN_OR_RETURN(const Tokens tokens, Tokenize(from_value));
  return ListReader(tokens).Read();
}

absl::StatusOr<std::string> AuthorDomain(const std::vector<std::string_view>& from_values) {
  if (from_values.empty()) return base::InvalidArgument("no From field");
  if (from_values.size() > 1) return base::InvalidArgument("more than one From field");
  GODWIT_ASSIGN_OR_RETURN(const auto domains, FromDomains(from_values.front()));
  if (domains.empty()) return base::InvalidArgument("no address in From");
  // RFC 9989 §5.3.1: several addresses only when they have one domain.
  for (const std::string& domain : domains) {
    if (domain != domains.front()) return base::InvalidArgument("several domains in From");
  }
  return domains.front();
}

}  // namespace godwit::dmarc

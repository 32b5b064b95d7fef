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

// A client whose strings end at NUL sees another address than we do.
bool IsControl(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return (octet < 0x20 && !IsSpace(c)) || octet == 0x7f;
}

size_t AtomEnd(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && !IsSpace(text[end]) && kSpecials.find(text[end]) == kSpecials.npos) {
    ++end;
  }
  return end;
}

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), IsControl)) {
    return base::InvalidArgument("control character in From");
  }
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

// atom *("." atom), as one text. A dot behind it says the same name, and clients show it as such.
absl::StatusOr<std::string> ReadDomain(Tokens::const_iterator begin, Tokens::const_iterator end) {
  std::string domain;
  bool atom_next = true;
  if (end - begin > 1 && (end - 1)->Is('.')) --end;
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

// Words and dots only: a display name, or a part of one.
bool IsPhrase(Tokens::const_iterator begin, Tokens::const_iterator end) {
  return begin != end && std::all_of(begin, end, [](const Token& token) {
           return token.kind == Token::Kind::kAtom || token.kind == Token::Kind::kQuoted ||
                  token.Is('.');
         });
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
        GODWIT_RETURN_IF_ERROR(OpenGroup(begin, token));
        begin = token + 1;
      } else if (token->Is(',') || token->Is(';')) {
        GODWIT_RETURN_IF_ERROR(Mailbox(begin, token));
        if (token->Is(';')) GODWIT_RETURN_IF_ERROR(CloseGroup());
        begin = token + 1;
      }
    }
    if (in_group_) return base::InvalidArgument("group not closed");
    GODWIT_RETURN_IF_ERROR(Mailbox(begin, tokens_.end()));
    GODWIT_RETURN_IF_ERROR(EndOfPhrases());
    if (domains_.empty() && !had_group_) return base::InvalidArgument("no address in From");
    return domains_;
  }

 private:
  // What stands in front of ":" is shown to people: an address there would be one nobody checks.
  absl::Status OpenGroup(Tokens::const_iterator begin, Tokens::const_iterator end) {
    if (in_group_) return base::InvalidArgument("a group inside a group");
    if (!IsPhrase(begin, end)) return base::InvalidArgument("a group without a plain name");
    in_group_ = had_group_ = true;
    return absl::OkStatus();
  }

  absl::Status CloseGroup() {
    if (!in_group_) return base::InvalidArgument("; without a group");
    in_group_ = false;
    return EndOfPhrases();
  }

  absl::Status EndOfPhrases() const {
    return phrase_open_ ? base::InvalidArgument("an address without @") : absl::OkStatus();
  }

  absl::Status Mailbox(Tokens::const_iterator begin, Tokens::const_iterator end) {
    if (begin == end) return absl::OkStatus();  // RFC 5322 §4.4: empty list elements
    if (IsPhrase(begin, end)) {
      // "Smith, John <j@example.org>": a display name whose quotes were forgotten; it goes on.
      phrase_open_ = true;
      return absl::OkStatus();
    }
    if (domains_.size() == kMaxAddresses) return base::InvalidArgument("too many addresses");
    const auto open = std::find_if(begin, end, [](const Token& token) { return token.Is('<'); });
    if (open != end) {
      // Whatever stands in front is a display name, "@" and dots too: many senders write that, and
      // all clients show the address in the brackets.
      if (!(end - 1)->Is('>')) return base::InvalidArgument("text behind >");
      begin = open + 1;
      --end;
      phrase_open_ = false;
    }
    GODWIT_RETURN_IF_ERROR(EndOfPhrases());
    GODWIT_ASSIGN_OR_RETURN(std::string domain, ReadAddress(begin, end));
    domains_.push_back(std::move(domain));
    return absl::OkStatus();
  }

  const Tokens& tokens_;
  bool in_group_ = false;
  bool had_group_ = false;
  bool phrase_open_ = false;
  std::vector<std::string> domains_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> FromDomains(std::string_view from_value) {
  GODWIT_ASSIGN_OR_RETURN(const Tokens tokens, Tokenize(from_value));
  return ListReader(tokens).Read();
}

absl::StatusOr<std::vector<std::string>> AuthorDomains(
    const std::vector<std::string_view>& from_values) {
  // RFC 7489 §6.6.1: both are forbidden by RFC 5322, and such mail is typically rejected.
  if (from_values.empty()) return base::InvalidArgument("no From field");
  if (from_values.size() > 1) return base::InvalidArgument("more than one From field");
  GODWIT_ASSIGN_OR_RETURN(const auto all, FromDomains(from_values.front()));
  std::vector<std::string> domains;
  for (const std::string& domain : all) {
    if (std::find(domains.begin(), domains.end(), domain) == domains.end()) {
      domains.push_back(domain);
    }
  }
  if (domains.size() > kMaxAuthorDomains) return base::InvalidArgument("too many domains in From");
  return domains;
}

}  // namespace godwit::dmarc

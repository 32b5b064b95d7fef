#include "libs/mime/address.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

// Where a word of a phrase or local part ends. Dots and brackets are ordinary characters here:
// "John Q. Public" and "[list] Joe" are display names that come in practice.
constexpr std::string_view kWordStops = "()<>:;@,\"";
constexpr std::string_view kDomainStops = "()<>:;@,\"[";

// RFC 5322 §3.2.3, RFC 6532 §3.2.
bool IsAtext(char c) {
  return base::IsAlnum(c) || static_cast<unsigned char>(c) >= 128 ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool IsDotAtom(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' ? text[i - 1] == '.' : !IsAtext(text[i])) return false;
  }
  return true;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 32 || c == 127 ? ' ' : c;
  }
  return out + '"';
}

class ListParser {
 public:
  ListParser(std::string_view value, const AddressLimits& limits)
      : lexer_(value, limits.max_comment_depth), limits_(limits) {}

  AddressList Run() {
    while (!lexer_.done() && list_.size() < limits_.max_addresses) Element();
    if (in_group_) EndGroup();
    return std::move(list_);
  }

 private:
  // One element, or the separator that ends it.
  void Element() {
    phrase_.clear();
    local_.clear();
    comment_.clear();
    CollectWords();
    const bool after_angle = std::exchange(after_angle_, false);
    if (lexer_.Take('<')) return AngleAddress();
    if (lexer_.Take('@')) return PlainAddress();
    if (lexer_.Take(':')) return Colon();
    if (!phrase_.empty() && !after_angle) {
      Address address;
      address.mailbox = phrase_;
      Add(std::move(address));
    }
    if (lexer_.Take(';')) {
      // Outside of a group a semicolon separates, as some mailers write it.
      if (in_group_) EndGroup();
    } else if (!lexer_.done()) {
      lexer_.Advance();  // ',' or a stray '>' or ')'
    }
  }

  // Words up to a special. phrase_: all of them with a space where white space was; local_: the
  // last run, joined without white space around dots (RFC 5322 §4.4 obs-local-part).
  void CollectWords() {
    size_t local_start = 0;
    for (;;) {
      const bool space = lexer_.SkipSpaceAndComments(&comment_);
      if (lexer_.done()) break;
      const bool quoted = lexer_.peek() == '"';
      if (!quoted && kWordStops.find(lexer_.peek()) != std::string_view::npos) break;
      const std::string word = quoted ? lexer_.QuotedString() : lexer_.Word(kWordStops);
      const bool dotted = !local_.empty() && !word.empty() && !quoted &&
                          (local_.back() == '.' || word.front() == '.');
      if (space && !phrase_.empty()) {
        if (!dotted) {
          local_.clear();
          local_start = phrase_.size();
        }
        phrase_ += ' ';
      }
      phrase_ += word;
      local_ += word;
    }
    name_before_ = phrase_.substr(0, local_start);
  }

  // RFC 5322 §3.4: [display-name] "<" [obs-route] addr-spec ">".
  void AngleAddress() {
    Address address;
    address.name = phrase_;
    lexer_.SkipSpaceAndComments();
    if (lexer_.peek() == '@') address.route = Route();
    address.mailbox = LocalPart();
    if (lexer_.Take('@')) address.host = Domain();
    lexer_.Until(",>");
    if (lexer_.Take('>')) {
      lexer_.SkipSpaceAndComments(&comment_);
      after_angle_ = true;
    }
    if (address.name.empty()) address.name = comment_;
    Add(std::move(address));
    if (lexer_.Take(',')) after_angle_ = false;
  }

  // addr-spec alone, with the name in a comment after it, as it was once usual.
  void PlainAddress() {
    Address address;
    address.name = name_before_;
    address.mailbox = local_;
    address.host = Domain();
    lexer_.SkipSpaceAndComments(&comment_);
    if (address.name.empty()) address.name = comment_;
    Add(std::move(address));
    if (lexer_.Take(',')) return;
    after_angle_ = true;  // words without a comma between belong to nothing
  }

  // RFC 5322 §3.4: display-name ":" starts a group. Groups do not nest: a colon within one is
  // skipped with the words before it.
  void Colon() {
    if (in_group_) return;
    in_group_ = true;
    Address start;
    start.kind = Address::Kind::kGroupStart;
    start.mailbox = phrase_;
    Add(std::move(start));
  }

  void EndGroup() {
    in_group_ = false;
    list_.emplace_back().kind = Address::Kind::kGroupEnd;
  }

  // "@a,@b:" without white space and without the colon.
  std::string Route() {
    std::string route;
    while (!lexer_.done() && lexer_.peek() != ':' && lexer_.peek() != '>') {
      if (lexer_.SkipSpaceAndComments()) continue;
      route += lexer_.peek();
      lexer_.Advance();
    }
    lexer_.Take(':');
    return route;
  }

  // Within angle brackets.
  std::string LocalPart() {
    std::string local;
    for (;;) {
      lexer_.SkipSpaceAndComments();
      if (lexer_.done() || std::string_view("@>,").find(lexer_.peek()) != std::string_view::npos) {
        return local;
      }
      if (lexer_.peek() == '"') {
        local += lexer_.QuotedString();
      } else if (kWordStops.find(lexer_.peek()) == std::string_view::npos) {
        local += lexer_.Word(kWordStops);
      } else {
        local += lexer_.peek();  // "<mailto:joe@b.example>"
        lexer_.Advance();
      }
    }
  }

  // RFC 5322 §3.4.1 domain, §4.4 obs-domain (white space around dots), or a domain literal.
  std::string Domain() {
    std::string domain;
    lexer_.SkipSpaceAndComments(&comment_);
    if (lexer_.peek() == '[' && !lexer_.done()) {
      domain = lexer_.Until("]>,");
      if (lexer_.Take(']')) domain += ']';
      return domain;
    }
    for (;;) {
      std::string word = lexer_.Word(kDomainStops);
      const bool joins =
          domain.empty() || domain.back() == '.' || (!word.empty() && word[0] == '.');
      if (word.empty() || !joins) return domain;
      domain += word;
      lexer_.SkipSpaceAndComments(&comment_);
      if (domain.back() != '.' && lexer_.peek() != '.') return domain;
    }
  }

  void Add(Address address) { list_.push_back(std::move(address)); }

  Lexer lexer_;
  AddressLimits limits_;
  AddressList list_;
  bool in_group_ = false;
  bool after_angle_ = false;  // the last address ended without a comma
  std::string phrase_;
  std::string local_;
  std::string name_before_;
  std::string comment_;
};

}  // namespace

std::string Address::DecodedName() const {
  return DecodeWords(kind == Kind::kGroupStart ? mailbox : name);
}

std::string Address::Spec() const {
  if (kind != Kind::kMailbox || mailbox.empty() || host.empty()) return "";
  return QuoteLocalPart(mailbox) + '@' + host;
}

AddressList ParseAddressList(std::string_view value, const AddressLimits& limits) {
  return ListParser(value, limits).Run();
}

std::string QuoteLocalPart(std::string_view local) {
  return IsDotAtom(local) ? std::string(local) : Quoted(local);
}

std::string QuotePhrase(std::string_view utf8) {
  const bool ascii = base::IsAscii(utf8);
  if (!ascii || utf8.find("=?") != std::string_view::npos) {
    return EncodeWords(utf8, WordPlace::kPhrase);
  }
  const bool atoms =
      !utf8.empty() && utf8.front() != ' ' && utf8.back() != ' ' &&
      std::all_of(utf8.begin(), utf8.end(), [](char c) { return IsAtext(c) || c == ' '; });
  return atoms ? std::string(utf8) : Quoted(utf8);
}

std::string FormatAddressList(const AddressList& list) {
  std::string out;
  bool separate = false;
  for (const Address& address : list) {
    if (address.kind == Address::Kind::kGroupEnd) {
      out += ';';
      separate = true;
      continue;
    }
    if (separate) out += ", ";
    separate = address.kind == Address::Kind::kMailbox;
    const std::string name = address.DecodedName();
    if (!separate) {
      out += QuotePhrase(name) + ": ";
      continue;
    }
    std::string spec = QuoteLocalPart(address.mailbox);
    if (!address.host.empty()) spec += '@' + address.host;
    out += name.empty() ? spec : QuotePhrase(name) + " <" + spec + '>';
  }
  return out;
}

}  // namespace godwit::mime

#include "libs/mime/html_text.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "libs/base/ascii.h"

namespace godwit::mime {
namespace {

constexpr size_t kMaxTagName = 20;
constexpr size_t kMaxEntity = 12;

constexpr std::string_view kBlocks[] = {
    "address", "article", "aside",  "blockquote", "body", "br",  "center", "dd",     "div",
    "dl",      "dt",      "footer", "form",       "h1",   "h2",  "h3",     "h4",     "h5",
    "h6",      "header",  "hr",     "li",         "main", "nav", "ol",     "option", "p",
    "pre",     "section", "table",  "title",      "tr",   "ul"};

struct Named {
  std::string_view name;
  std::string_view text;
};
// The names that mail uses; sorted.
constexpr Named kEntities[] = {
    {"Aacute", "Á"},    {"Agrave", "À"}, {"Aring", "Å"},    {"Auml", "Ä"},     {"Ccedil", "Ç"},
    {"Eacute", "É"},    {"Ntilde", "Ñ"}, {"Oslash", "Ø"},   {"Ouml", "Ö"},     {"Uuml", "Ü"},
    {"aacute", "á"},    {"acirc", "â"},  {"aelig", "æ"},    {"agrave", "à"},   {"amp", "&"},
    {"apos", "'"},      {"aring", "å"},  {"atilde", "ã"},   {"auml", "ä"},     {"bdquo", "„"},
    {"bull", "•"},      {"ccedil", "ç"}, {"cent", "¢"},     {"copy", "©"},     {"deg", "°"},
    {"eacute", "é"},    {"ecirc", "ê"},  {"egrave", "è"},   {"euml", "ë"},     {"euro", "€"},
    {"frac12", "½"},    {"gt", ">"},     {"hellip", "…"},   {"iacute", "í"},   {"icirc", "î"},
    {"iexcl", "¡"},     {"igrave", "ì"}, {"iquest", "¿"},   {"iuml", "ï"},     {"laquo", "«"},
    {"ldquo", "“"},     {"lsquo", "‘"},  {"lt", "<"},       {"mdash", "—"},    {"middot", "·"},
    {"nbsp", "\u00A0"}, {"ndash", "–"},  {"ntilde", "ñ"},   {"oacute", "ó"},   {"ocirc", "ô"},
    {"ograve", "ò"},    {"oslash", "ø"}, {"otilde", "õ"},   {"ouml", "ö"},     {"para", "¶"},
    {"pound", "£"},     {"quot", "\""},  {"raquo", "»"},    {"rdquo", "”"},    {"reg", "®"},
    {"rsquo", "’"},     {"sbquo", "‚"},  {"sect", "§"},     {"shy", "\u00AD"}, {"szlig", "ß"},
    {"times", "×"},     {"trade", "™"},  {"uacute", "ú"},   {"ucirc", "û"},    {"ugrave", "ù"},
    {"uuml", "ü"},      {"yen", "¥"},    {"zwj", "\u200D"}, {"zwnj", "\u200C"}};

static_assert(std::is_sorted(std::begin(kBlocks), std::end(kBlocks)));
static_assert(std::is_sorted(std::begin(kEntities), std::end(kEntities),
                             [](const Named& a, const Named& b) { return a.name < b.name; }));

std::string EncodeUtf8(uint32_t c) {
  if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

// "#65", "#x41"; at most kMaxEntity characters, so nothing overflows 64 bits.
std::optional<std::string> Numeric(std::string_view digits) {
  const bool hex = !digits.empty() && base::ToLower(digits[0]) == 'x';
  if (hex) digits.remove_prefix(1);
  if (digits.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : digits) {
    const char lower = base::ToLower(c);
    const bool letter = hex && lower >= 'a' && lower <= 'f';
    if (!base::IsDigit(c) && !letter) return std::nullopt;
    value = value * (hex ? 16 : 10) + static_cast<uint64_t>(letter ? lower - 'a' + 10 : c - '0');
  }
  return EncodeUtf8(static_cast<uint32_t>(std::min<uint64_t>(value, 0xFFFFFFFF)));
}

// What the entity of that name (without "&" and ";") is.
std::optional<std::string> Resolve(std::string_view name) {
  if (!name.empty() && name[0] == '#') return Numeric(name.substr(1));
  const auto* it = std::lower_bound(std::begin(kEntities), std::end(kEntities), name,
                                    [](const Named& a, std::string_view b) { return a.name < b; });
  if (it == std::end(kEntities) || it->name != name) return std::nullopt;
  return std::string(it->text);
}

bool IsBlock(std::string_view name) {
  return std::binary_search(std::begin(kBlocks), std::end(kBlocks), name);
}

}  // namespace

void HtmlToText::Feed(std::string_view utf8, std::string* out) {
  for (const char c : utf8) Octet(c, out);
}

void HtmlToText::Finish(std::string* out) {
  if (state_ == State::kEntity) {
    const auto text = Resolve(word_);
    Put(text ? *text : '&' + word_, out);
  }
  state_ = State::kText;
}

void HtmlToText::Octet(char c, std::string* out) {
  switch (state_) {
    case State::kText: return Text(c, out);
    case State::kTag: return Tag(c, out);
    case State::kQuoted:
      if (c == quote_) state_ = State::kTag;
      return;
    case State::kComment: return Comment(c);
    case State::kEntity: return Entity(c, out);
    case State::kRaw: return Raw(c);
  }
}

void HtmlToText::Put(std::string_view text, std::string* out) const {
  if (!in_head_) out->append(text);
}

void HtmlToText::Text(char c, std::string* out) {
  word_.clear();
  if (c == '<') {
    state_ = State::kTag;
    name_done_ = false;
  } else if (c == '&') {
    state_ = State::kEntity;
  } else if (c == '\r' || c == '\n' || c == '\t') {
    Put(" ", out);
  } else {
    Put(std::string_view(&c, 1), out);
  }
}

// After '<'. What can not start a tag is text after all ("a < b").
void HtmlToText::Tag(char c, std::string* out) {
  if (word_.empty() && !base::IsAlpha(c) && c != '/' && c != '!' && c != '?') {
    state_ = State::kText;
    Put("<", out);
    return Text(c, out);
  }
  if (c == '>') return EndTag(out);
  if (name_done_) {
    if (c == '"' || c == '\'') {
      quote_ = c;
      state_ = State::kQuoted;
    }
    return;
  }
  const bool opener = word_.empty();
  if (opener || base::IsAlnum(c) || (c == '-' && word_[0] == '!')) {
    if (word_.size() < kMaxTagName) word_ += base::ToLower(c);
  } else {
    name_done_ = true;
  }
  if (word_ == "!--") {
    state_ = State::kComment;
    dashes_ = 2;  // "<!-->" is a whole comment
  }
}

// At '>'; word_ is "name" or "/name".
void HtmlToText::EndTag(std::string* out) {
  state_ = State::kText;
  const bool closing = word_[0] == '/';
  const std::string_view name = std::string_view(word_).substr(closing ? 1 : 0);
  if (name == "head") in_head_ = !closing;
  if (name == "body") in_head_ = false;  // a head that nobody closed
  if (!closing && (name == "script" || name == "style")) {
    state_ = State::kRaw;
    raw_end_ = "</" + std::string(name);
    word_.clear();
    return;
  }
  if (IsBlock(name)) Put("\n", out);
  if (name == "td" || name == "th") Put(" ", out);
}

void HtmlToText::Comment(char c) {
  if (c == '>' && dashes_ >= 2) {
    state_ = State::kText;
  } else {
    dashes_ = c == '-' ? dashes_ + (dashes_ < 2 ? 1 : 0) : 0;
  }
}

// After '&'. An entity ends with ";"; without it, it counts when another character ends it.
void HtmlToText::Entity(char c, std::string* out) {
  const bool part = base::IsAlnum(c) || (c == '#' && word_.empty());
  if (part && word_.size() < kMaxEntity) {
    word_ += c;
    return;
  }
  const auto text = Resolve(word_);
  Put(text ? *text : '&' + word_, out);
  state_ = State::kText;
  if (!(text && c == ';')) Text(c, out);
}

// In a script: nothing counts but "</script", which begins with the only '<' in it, so that a
// mismatch can start again at its own character.
void HtmlToText::Raw(char c) {
  if (c == '<') {
    word_ = c;
    return;
  }
  if (word_.empty()) return;
  word_ += base::ToLower(c);
  if (word_ == raw_end_) {
    word_.erase(0, 1);  // "/script": the rest is read as a tag
    state_ = State::kTag;
    name_done_ = true;
  } else if (raw_end_.compare(0, word_.size(), word_) != 0) {
    word_.clear();
  }
}

std::string HtmlText(std::string_view utf8) {
  std::string out;
  HtmlToText stripper;
  stripper.Feed(utf8, &out);
  stripper.Finish(&out);
  return out;
}

}  // namespace godwit::mime

#include "libs/authres/authres.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::authres {
namespace {

constexpr size_t kWidth = 78;
constexpr size_t kFieldName = sizeof "Authentication-Results: " - 1;
constexpr size_t kMaxValue = 255;
constexpr size_t kMaxResults = 100;
constexpr size_t kMaxProperties = 20;
constexpr std::string_view kTokenSpecials = "()<>@,;:\\\"/[]?=";  // RFC 2045 §5.1

bool IsTokenChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f && kTokenSpecials.find(c) == kTokenSpecials.npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

// RFC 8601 §2.2 pvalue: [[local-part] "@"] domain-name goes unquoted.
bool IsAddress(std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == text.npos) return false;
  const std::string_view local = text.substr(0, at);
  const std::string_view domain = text.substr(at + 1);
  const auto is_domain_char = [](char c) {
    return base::IsAlnum(c) || c == '-' || c == '.' || static_cast<unsigned char>(c) > 0x7f;
  };
  const bool dots_fit = local.empty() || (local.front() != '.' && local.back() != '.' &&
                                          local.find("..") == local.npos);
  return dots_fit && (local.empty() || IsToken(local)) && !domain.empty() &&
         std::all_of(domain.begin(), domain.end(), is_domain_char);
}

// At most kMaxValue octets, not cutting a UTF-8 character.
std::string_view Cut(std::string_view text) {
  if (text.size() <= kMaxValue) return text;
  size_t end = kMaxValue;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

std::string Printable(std::string_view text) {
  std::string result(Cut(text));
  const bool utf8 = base::IsUtf8(result);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte > 0x7f && !utf8)) c = '?';
  }
  return result;
}

std::string Quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result.push_back('\\');
    result.push_back(c);
  }
  return result + "\"";
}

std::string Value(std::string_view raw) {
  const std::string text = Printable(raw);
  return IsToken(text) || IsAddress(text) ? text : Quoted(text);
}

std::string Comment(std::string_view raw) {
  std::string text = Printable(raw);
  for (char& c : text) {
    if (c == '(' || c == ')' || c == '\\') c = '?';
  }
  return "(" + text + ")";
}

// Puts pieces on lines, a space or a fold between them.
class Folder {
 public:
  void NewLine() {
    text_ += "\r\n\t";
    column_ = 8;
    fresh_ = true;
  }
  void Piece(const std::string& piece) {
    if (!fresh_ && column_ + 1 + piece.size() > kWidth) NewLine();
    if (!fresh_) text_ += " ";
    column_ += piece.size() + (fresh_ ? 0 : 1);
    text_ += piece;
    fresh_ = false;
  }
  void Append(std::string_view text) {
    text_ += text;
    column_ += text.size();
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  size_t column_ = kFieldName;
  bool fresh_ = true;
};

void AddResult(const MethodResult& result, Folder* folder) {
  folder->Append(";");
  folder->NewLine();
  folder->Piece(result.method + "=" + result.result);
  if (!result.comment.empty()) folder->Piece(Comment(result.comment));
  if (!result.reason.empty()) folder->Piece("reason=" + Quoted(Printable(result.reason)));
  for (const Property& property : result.properties) {
    folder->Piece(property.ptype + "." + property.name + "=" + Value(property.value));
  }
}

// Reads the start of a field: CFWS, tokens and quoted strings.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return position_ == text_.size(); }
  char peek() const { return text_[position_]; }
  size_t position() const { return position_; }
  void Skip() { ++position_; }

  // RFC 5322 §3.2.2; false when a comment is not closed.
  bool SkipSpace() {
    while (!at_end()) {
      const char c = peek();
      if (base::IsWsp(c) || c == '\r' || c == '\n')
        ++position_;
      else if (c != '(')
        return true;
      else if (!SkipComment())
        return false;
    }
    return true;
  }

  // Takes `c` with the CFWS around it; false when something else stands there.
  bool TakeChar(char c) {
    if (!SkipSpace() || at_end() || peek() != c) return false;
    Skip();
    return SkipSpace();
  }

  // RFC 8601 §2.2 pvalue: as above, or an address or what else has no space, ";" or "(".
  std::optional<std::string> TakePropertyValue() {
    if (!at_end() && peek() == '"') return TakeQuoted();
    constexpr std::string_view kEnd = " \t\r\n;(\"";
    std::string text;
    while (!at_end() && kEnd.find(peek()) == kEnd.npos) text.push_back(text_[position_++]);
    if (text.empty()) return std::nullopt;
    return text;
  }

  // RFC 2045 value: a token or a quoted-string. nullopt when there is neither.
  std::optional<std::string> TakeValue() {
    if (at_end()) return std::nullopt;
    if (peek() == '"') return TakeQuoted();
    std::string token;
    while (!at_end() && IsTokenChar(peek())) token.push_back(text_[position_++]);
    if (token.empty()) return std::nullopt;
    return token;
  }

 private:
  bool SkipComment() {
    size_t depth = 0;
    for (; !at_end(); ++position_) {
      if (peek() == '\\')
        ++position_;
      else if (peek() == '(')
        ++depth;
      else if (peek() == ')' && --depth == 0)
        return ++position_ > 0;
      if (at_end()) return false;
    }
    return false;
  }

  std::optional<std::string> TakeQuoted() {
    std::string result;
    for (++position_; !at_end(); ++position_) {
      const char c = peek();
      if (c == '"') {
        ++position_;
        return result;
      }
      if (c == '\r' || c == '\n') continue;  // a fold
      if (c == '\\' && ++position_ == text_.size()) return std::nullopt;
      result.push_back(peek());
    }
    return std::nullopt;
  }

  std::string_view text_;
  size_t position_ = 0;
};

// RFC 8601 §2.2 reasonspec and propspec: what stands behind a result up to ";" or the end.
absl::Status ReadProperties(Reader* reader, MethodResult* result) {
  while (!reader->at_end() && reader->peek() != ';') {
    const auto name = reader->TakeValue();
    if (!name || !reader->TakeChar('=')) return base::InvalidArgument("bad property");
    auto value = reader->TakePropertyValue();
    if (!value || !reader->SkipSpace()) return base::InvalidArgument("bad value of a property");
    if (base::EqualsIgnoreCase(*name, "reason")) {
      result->reason = *std::move(value);
      continue;
    }
    const size_t dot = name->find('.');
    if (dot == name->npos) return base::InvalidArgument("bad property");
    if (result->properties.size() == kMaxProperties) {
      return base::InvalidArgument("too many properties");
    }
    result->properties.push_back(
        {base::Lower(name->substr(0, dot)), base::Lower(name->substr(dot + 1)), *std::move(value)});
  }
  return absl::OkStatus();
}

// resinfo without its ";": "spf=pass smtp.mailfrom=a@b.example".
absl::StatusOr<MethodResult> ReadResult(Reader* reader) {
  MethodResult result;
  const auto method = reader->TakeValue();
  if (!method || !reader->SkipSpace()) return base::InvalidArgument("no method");
  result.method = base::Lower(*method);
  if (!reader->at_end() && reader->peek() == '/') {
    reader->Skip();
    // A later version of a method may mean something else.
    if (!reader->SkipSpace() || reader->TakeValue() != "1") {
      return base::InvalidArgument("unknown version of a method");
    }
  }
  if (!reader->TakeChar('=')) return base::InvalidArgument("no =");
  const auto word = reader->TakeValue();
  if (!word || !reader->SkipSpace()) return base::InvalidArgument("no result");
  result.result = base::Lower(*word);
  GODWIT_RETURN_IF_ERROR(ReadProperties(reader, &result));
  return result;
}

// A-labels where it is a domain name, else lower case.
std::string Comparable(std::string_view id) {
  const auto ascii = idna::ToAscii(id);
  return ascii ? *ascii : base::Lower(id);
}

// What is left for a reader that drops white space, comments, quotes and control characters
// wherever they stand. Inside quotes a parenthesis is no comment for some and one for others: the
// name is what stands around it either way.
std::string Bare(std::string_view value) {
  std::string bare;
  size_t depth = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    const bool escaped = c == '\\' && i + 1 < value.size();
    if (escaped) c = value[++i];
    const auto octet = static_cast<unsigned char>(c);
    if (!escaped && c == '(')
      ++depth;
    else if (!escaped && c == ')' && depth > 0)
      --depth;
    else if (depth == 0 && octet > 0x20 && octet != 0x7f && c != '"')
      bare.push_back(c);
  }
  return bare;
}

// A name with other octets is read in more than one way.
bool IsHostName(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return base::IsAlnum(c) || c == '.' || c == '-' || c == '_'; });
}

bool Mentions(std::string_view value, std::string_view id) {
  const std::string ours = base::Lower(id);
  return base::Lower(value).find(ours) != std::string::npos ||
         base::Lower(Bare(value)).find(ours) != std::string::npos;
}

}  // namespace

std::string Format(std::string_view authserv_id, const std::vector<MethodResult>& results) {
  Folder folder;
  const std::string id = Printable(authserv_id);
  folder.Piece(IsToken(id) ? id : Quoted(id));
  // RFC 8601 §2.2 no-result.
  if (results.empty()) folder.Append("; none");
  for (const MethodResult& result : results) AddResult(result, &folder);
  return folder.Take();
}

absl::StatusOr<FieldStart> ParseStart(std::string_view value) {
  Reader reader(value);
  FieldStart start;
  if (!reader.SkipSpace()) return base::InvalidArgument("comment not closed");
  auto id = reader.TakeValue();
  if (!id) return base::InvalidArgument("no authserv-id");
  start.authserv_id = *std::move(id);
  if (!reader.SkipSpace()) return base::InvalidArgument("comment not closed");
  if (!reader.at_end() && reader.peek() != ';') {
    const auto version = reader.TakeValue();
    const auto number = version ? base::ParseDecimal(*version) : std::nullopt;
    if (!number || *number > 999) return base::InvalidArgument("bad version");
    start.version = static_cast<int>(*number);
    if (!reader.SkipSpace()) return base::InvalidArgument("comment not closed");
  }
  if (!reader.at_end() && reader.peek() != ';') return base::InvalidArgument("no ;");
  if (!reader.at_end()) reader.Skip();
  start.rest = reader.position();
  return start;
}

absl::StatusOr<Field> Parse(std::string_view value) {
  GODWIT_ASSIGN_OR_RETURN(const FieldStart start, ParseStart(value));
  if (start.version != 1) return base::InvalidArgument("unknown version");
  Field field;
  field.authserv_id = start.authserv_id;
  Reader reader(value.substr(start.rest));
  if (!reader.SkipSpace()) return base::InvalidArgument("comment not closed");
  // §2.2 no-result.
  if (base::EqualsIgnoreCase(base::Trim(value.substr(start.rest)), "none")) return field;
  while (!reader.at_end()) {
    if (field.results.size() == kMaxResults) return base::InvalidArgument("too many results");
    GODWIT_ASSIGN_OR_RETURN(MethodResult result, ReadResult(&reader));
    field.results.push_back(std::move(result));
    if (reader.at_end()) break;
    // ReadProperties() ended at a ";". One may end the field, as some writers have it.
    reader.Skip();
    if (!reader.SkipSpace()) return base::InvalidArgument("comment not closed");
  }
  return field;
}

bool ClaimsToBeFrom(std::string_view value, std::string_view authserv_id, bool include_subdomains) {
  const auto start = ParseStart(value);
  // What some reader might still take for ours goes too.
  if (!start.ok()) return Mentions(value, authserv_id);
  const auto theirs = idna::ToAscii(Bare(start->authserv_id));
  if (!theirs || !IsHostName(*theirs)) return Mentions(value, authserv_id);
  const std::string ours = Comparable(authserv_id);
  if (*theirs == ours) return true;
  return include_subdomains && idna::IsSameOrBelow(*theirs, ours);
}

}  // namespace godwit::authres

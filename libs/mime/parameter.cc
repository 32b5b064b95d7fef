#include "libs/mime/parameter.h"

#include <algorithm>
#include <map>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/mime/charset.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

constexpr size_t kMaxParameters = 100;
constexpr size_t kMaxName = 200;
constexpr uint64_t kMaxSection = 999;
constexpr std::string_view kTokenStops = "()<>@,;:\\\"/[]?=";  // RFC 2045 §5.1 tspecials

bool IsTokenChar(char c) {
  return c > 32 && c < 127 && kTokenStops.find(c) == std::string_view::npos;
}

// RFC 2231 §7 attribute-char: what stands unencoded in an extended value.
bool IsAttributeChar(char c) { return IsTokenChar(c) && c != '*' && c != '\'' && c != '%'; }

std::string Token(Lexer* lexer) {
  std::string token;
  for (; !lexer->done() && IsTokenChar(lexer->peek()); lexer->Advance()) token += lexer->peek();
  return token;
}

// A value that is not quoted. Beyond RFC 2045's token, what mailers write all the same: names of
// files with spaces, boundaries with "=" and ":". A comment needs white space before it.
std::string BareValue(Lexer* lexer) {
  std::string value;
  while (!lexer->done() && lexer->peek() != ';') {
    if (lexer->SkipSpace()) {
      if (lexer->peek() == '(') break;
      value += ' ';
      continue;
    }
    value += lexer->peek();
    lexer->Advance();
  }
  return std::string(base::Trim(value));
}

struct Section {
  std::string value;
  bool extended = false;
};

// The sections of one parameter that came as name*0, name*1*, ...
struct Continued {
  std::map<uint64_t, Section> sections;
  size_t position = 0;  // among the parameters
};

void PercentEncode(std::string* out, std::string_view bytes) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : bytes) {
    if (IsAttributeChar(c)) {
      *out += c;
      continue;
    }
    *out += '%';
    *out += kHex[static_cast<unsigned char>(c) >> 4];
    *out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

int HexValue(char c) {
  if (base::IsDigit(c)) return c - '0';
  const char lower = base::ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A "%" that starts no octet stays.
std::string PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = high >= 0 ? HexValue(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// RFC 2231 §3, §4.1: joins the sections 0, 1, 2, ... as far as they go.
Parameter Join(std::string name, const Continued& continued) {
  bool extended = false;
  uint64_t count = 0;
  for (auto it = continued.sections.find(0); it != continued.sections.end() && it->first == count;
       ++it, ++count) {
    extended = extended || it->second.extended;
  }
  std::string value;
  for (const auto& [index, section] : continued.sections) {
    if (index >= count) break;
    // RFC 2231 §4.1: only the first section may carry the charset; where it is a plain one, there
    // is none.
    if (index == 0 && extended && !section.extended) value += "''";
    if (extended && !section.extended) {
      PercentEncode(&value, section.value);
    } else {
      value += section.value;
    }
  }
  if (extended) name += '*';
  return {std::move(name), std::move(value)};
}

class ParameterParser {
 public:
  explicit ParameterParser(Lexer* lexer) : lexer_(lexer) {}

  Parameters Run() {
    while (!lexer_->done() && count_ < kMaxParameters) {
      lexer_->SkipSpaceAndComments();
      if (lexer_->Take(';')) continue;
      One();
    }
    Parameters all;
    for (size_t i = 0; i < plain_.size(); ++i) {
      for (auto& [name, continued] : continued_) {
        if (continued.position == i && continued.sections.count(0) > 0) {
          AddUnlessThere(&all, Join(name, continued));
        }
      }
      if (!plain_[i].name.empty()) AddUnlessThere(&all, std::move(plain_[i]));
    }
    return all;
  }

 private:
  static void AddUnlessThere(Parameters* all, Parameter parameter) {
    if (FindRawParameter(*all, parameter.name) == nullptr) all->push_back(std::move(parameter));
  }

  void One() {
    std::string name = base::Lower(Token(lexer_));
    lexer_->SkipSpaceAndComments();
    if (name.empty() || !lexer_->Take('=')) {
      lexer_->Until(";");  // junk
      return;
    }
    lexer_->SkipSpace();
    std::string value = lexer_->peek() == '"' ? lexer_->QuotedString() : BareValue(lexer_);
    lexer_->SkipSpaceAndComments();
    if (name.size() > kMaxName) return;
    ++count_;
    Keep(std::move(name), std::move(value));
  }

  // RFC 2231 §3, §4: name*3, name*3*, name*.
  void Keep(std::string name, std::string value) {
    const bool extended = name.back() == '*' && name.size() > 1;
    const std::string_view bare =
        std::string_view(name).substr(0, name.size() - (extended ? 1 : 0));
    const size_t star = bare.find('*');
    if (star == std::string_view::npos || star == 0) {
      plain_.push_back({std::move(name), std::move(value)});
      return;
    }
    const auto index = base::ParseDecimal(bare.substr(star + 1));
    if (!index || *index > kMaxSection) return;
    auto [it, added] = continued_.try_emplace(std::string(bare.substr(0, star)));
    if (added) {
      it->second.position = plain_.size();
      plain_.emplace_back();  // keeps the place of the joined one
    }
    it->second.sections.try_emplace(*index, Section{std::move(value), extended});
  }

  Lexer* lexer_;
  size_t count_ = 0;
  Parameters plain_;
  std::map<std::string, Continued> continued_;
};

// RFC 2231 §4: charset'language'percent-encoded.
std::string DecodeExtended(std::string_view value) {
  const size_t first = value.find('\'');
  const size_t second = first == std::string_view::npos ? first : value.find('\'', first + 1);
  if (second == std::string_view::npos) return ToUtf8(PercentDecode(value), "");
  return ToUtf8(PercentDecode(value.substr(second + 1)), value.substr(0, first));
}

}  // namespace

std::optional<MediaType> ParseMediaType(std::string_view value) {
  Lexer lexer(value);
  MediaType media;
  lexer.SkipSpaceAndComments();
  media.type = base::Lower(Token(&lexer));
  lexer.SkipSpaceAndComments();
  if (media.type.empty() || !lexer.Take('/')) return std::nullopt;
  lexer.SkipSpaceAndComments();
  media.subtype = base::Lower(Token(&lexer));
  if (media.subtype.empty()) return std::nullopt;
  if (media.type.size() > kMaxName || media.subtype.size() > kMaxName) return std::nullopt;
  media.params = ParameterParser(&lexer).Run();
  return media;
}

std::optional<Disposition> ParseDisposition(std::string_view value) {
  Lexer lexer(value);
  Disposition disposition;
  lexer.SkipSpaceAndComments();
  disposition.type = base::Lower(Token(&lexer));
  if (disposition.type.empty() || disposition.type.size() > kMaxName) return std::nullopt;
  disposition.params = ParameterParser(&lexer).Run();
  return disposition;
}

const std::string* FindRawParameter(const Parameters& params, std::string_view name) {
  const auto it = std::find_if(params.begin(), params.end(),
                               [&](const Parameter& p) { return p.name == name; });
  return it == params.end() ? nullptr : &it->value;
}

std::optional<std::string> FindParameter(const Parameters& params, std::string_view name) {
  if (const std::string* extended = FindRawParameter(params, std::string(name) + '*')) {
    return DecodeExtended(*extended);
  }
  const std::string* plain = FindRawParameter(params, name);
  if (plain == nullptr) return std::nullopt;
  return DecodeWords(*plain);
}

void AppendParameter(std::string* out, std::string_view name, std::string_view utf8) {
  out->append("; ").append(name);
  const bool printable =
      std::all_of(utf8.begin(), utf8.end(), [](char c) { return c >= 32 && c < 127; });
  if (!printable) {
    *out += "*=utf-8''";
    return PercentEncode(out, utf8);
  }
  if (!utf8.empty() && std::all_of(utf8.begin(), utf8.end(), IsTokenChar)) {
    out->append("=").append(utf8);
    return;
  }
  *out += "=\"";
  for (const char c : utf8) {
    if (c == '"' || c == '\\') *out += '\\';
    *out += c;
  }
  *out += '"';
}

}  // namespace godwit::mime

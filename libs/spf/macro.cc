#include "libs/spf/macro.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::spf {
namespace {

constexpr std::string_view kLetters = "slodiphcrtv";
constexpr std::string_view kExplanationLetters = "crt";
constexpr std::string_view kDelimiters = ".-+,/_=";
constexpr size_t kMaxName = 253;

// One macro-expand of RFC 7208 §7.1: "%{d2r.}", or "%%", "%_", "%-".
struct Macro {
  char letter = 0;   // as written; one of "%_-" for the short forms
  size_t parts = 0;  // 0: all
  bool reverse = false;
  std::string delimiters = {};  // empty: "."
};

std::optional<Macro> ParseBraces(std::string_view inside) {
  Macro macro;
  if (inside.empty() || kLetters.find(base::ToLower(inside[0])) == kLetters.npos) {
    return std::nullopt;
  }
  macro.letter = inside[0];
  inside.remove_prefix(1);
  size_t digits = 0;
  while (digits < inside.size() && base::IsDigit(inside[digits])) ++digits;
  if (digits > 0) {
    // §7.3: the number must not be zero. More parts than any name has means all.
    const std::string_view number = inside.substr(0, digits);
    if (number.find_first_not_of('0') == number.npos) return std::nullopt;
    macro.parts = base::ParseDecimal(number).value_or(kMaxName);
  }
  inside.remove_prefix(digits);
  if (!inside.empty() && base::ToLower(inside[0]) == 'r') {
    macro.reverse = true;
    inside.remove_prefix(1);
  }
  if (inside.find_first_not_of(kDelimiters) != inside.npos) return std::nullopt;
  macro.delimiters = std::string(inside);
  return macro;
}

// Takes one macro from the front of `*text`, which begins with "%".
std::optional<Macro> TakeMacro(std::string_view* text) {
  if (text->size() < 2) return std::nullopt;
  const char second = (*text)[1];
  if (second == '%' || second == '_' || second == '-') {
    text->remove_prefix(2);
    return Macro{.letter = second};
  }
  const size_t close = text->find('}');
  if (second != '{' || close == text->npos) return std::nullopt;
  std::optional<Macro> macro = ParseBraces(text->substr(2, close - 2));
  text->remove_prefix(close + 1);
  return macro;
}

// §7.1: letters, digits and inner hyphens, not digits alone.
bool IsTopLabel(std::string_view label) {
  if (label.empty() || label.front() == '-' || label.back() == '-') return false;
  bool other_than_digit = false;
  for (const char c : label) {
    if (!base::IsAlnum(c) && c != '-') return false;
    other_than_digit = other_than_digit || !base::IsDigit(c);
  }
  return other_than_digit;
}

// §7.1 domain-end: `tail` is the literal text behind the last macro.
bool IsDomainEnd(std::string_view tail, bool has_macro) {
  if (tail.empty()) return has_macro;
  if (tail.back() == '.') tail.remove_suffix(1);
  const size_t dot = tail.rfind('.');
  return dot != tail.npos && IsTopLabel(tail.substr(dot + 1));
}

// §7.3: an IPv6 address is nibbles with dots.
std::string DottedAddress(const base::IpAddress& ip) {
  if (ip.is_v4()) return ip.ToString();
  std::string text;
  for (const char byte : ip.bytes()) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    if (!text.empty()) text.push_back('.');
    text += {kHex[value >> 4U], '.', kHex[value & 15U]};
  }
  return text;
}

std::string LetterValue(char lower, const MacroValues& values) {
  switch (lower) {
    case 's': return std::string(values.local_part) + "@" + std::string(values.sender_domain);
    case 'l': return std::string(values.local_part);
    case 'o': return std::string(values.sender_domain);
    case 'd': return std::string(values.domain);
    case 'i': return DottedAddress(values.ip);
    case 'p': return std::string(values.validated_name);
    case 'h': return std::string(values.helo);
    case 'c': return values.ip.ToString();
    case 'r': return std::string(values.receiver);
    case 't': return std::to_string(absl::ToUnixSeconds(values.now));
    case 'v': return values.ip.is_v4() ? "in-addr" : "ip6";
    default: return "";
  }
}

std::string Transform(const std::string& value, const Macro& macro) {
  if (macro.parts == 0 && !macro.reverse && macro.delimiters.empty()) return value;
  const std::string delimiters = macro.delimiters.empty() ? "." : macro.delimiters;
  std::vector<std::string> parts(1);
  for (const char c : value) {
    if (delimiters.find(c) == delimiters.npos)
      parts.back().push_back(c);
    else
      parts.emplace_back();
  }
  if (macro.reverse) std::reverse(parts.begin(), parts.end());
  if (macro.parts != 0 && macro.parts < parts.size()) {
    parts.erase(parts.begin(), parts.end() - static_cast<std::ptrdiff_t>(macro.parts));
  }
  return base::Join(parts, ".");
}

// §7.3: an upper-case letter escapes what is not unreserved in RFC 3986 §2.3.
std::string UrlEscape(std::string_view value) {
  std::string result;
  for (const char c : value) {
    if (base::IsAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      result.push_back(c);
      continue;
    }
    constexpr std::string_view kHex = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    result += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
  }
  return result;
}

std::string Expand(const Macro& macro, const MacroValues& values) {
  switch (macro.letter) {
    case '%': return "%";
    case '_': return " ";
    case '-': return "%20";
    default: break;
  }
  const char lower = base::ToLower(macro.letter);
  std::string text = Transform(LetterValue(lower, values), macro);
  return lower == macro.letter ? text : UrlEscape(text);
}

}  // namespace

absl::Status CheckMacroString(std::string_view text, MacroContext context) {
  const std::string_view whole = text;
  bool has_macro = false;
  size_t literal = 0;  // where the text behind the last macro begins
  while (!text.empty()) {
    if (text[0] == '%') {
      const std::optional<Macro> macro = TakeMacro(&text);
      if (!macro) return base::InvalidArgument("bad macro");
      if (context != MacroContext::kExplanation &&
          kExplanationLetters.find(base::ToLower(macro->letter)) != kExplanationLetters.npos) {
        return base::InvalidArgument("a macro for explanations only");  // §7.2
      }
      has_macro = true;
      literal = whole.size() - text.size();
      continue;
    }
    const bool space = text[0] == ' ' && context == MacroContext::kExplanation;
    // §7.1 macro-literal: visible ASCII but "%".
    if ((text[0] < 0x21 || text[0] > 0x7e) && !space) {
      return base::InvalidArgument("bad character");
    }
    text.remove_prefix(1);
  }
  if (context == MacroContext::kDomainSpec && !IsDomainEnd(whole.substr(literal), has_macro)) {
    return base::InvalidArgument("no domain name");
  }
  return absl::OkStatus();
}

bool UsesMacro(std::string_view text, char letter) {
  while (!text.empty()) {
    if (text[0] != '%') {
      text.remove_prefix(1);
      continue;
    }
    const std::optional<Macro> macro = TakeMacro(&text);
    if (!macro) return false;
    if (base::ToLower(macro->letter) == letter) return true;
  }
  return false;
}

std::string ExpandMacros(std::string_view text, const MacroValues& values) {
  std::string result;
  while (!text.empty()) {
    if (text[0] == '%') {
      const std::optional<Macro> macro = TakeMacro(&text);
      if (!macro) return result;
      result += Expand(*macro, values);
    } else {
      result.push_back(text[0]);
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace godwit::spf

#pragma once

// Media types, dispositions and their parameters: RFC 2045 §5.1, RFC 2183, with the continuations
// and character sets of RFC 2231.
//
// Tolerant: parses what is there. Limits: 100 parameters, the rest is left out; a name has at most
// 200 octets.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::mime {

// One parameter. RFC 2231 §5: continuations (name*0, name*1, ...) are joined already, character
// set and language are not decoded: then `name` ends with "*" and `value` is
// "charset'language'percent-encoded". That is what IMAP's BODYSTRUCTURE tells; for reading use
// FindParameter.
struct Parameter {
  std::string name;   // lower case
  std::string value;  // unquoted; may hold encoded words and 8-bit octets

  bool operator==(const Parameter&) const = default;
};

using Parameters = std::vector<Parameter>;

struct MediaType {
  std::string type;     // lower case, "text"
  std::string subtype;  // lower case, "plain"
  Parameters params;

  bool operator==(const MediaType&) const = default;
};

struct Disposition {
  std::string type;  // lower case: "inline", "attachment", ...
  Parameters params;

  bool operator==(const Disposition&) const = default;
};

// The value of Content-Type. nullopt when there is no type/subtype at its start (RFC 2045 §5.2:
// then take the default).
std::optional<MediaType> ParseMediaType(std::string_view value);

// The value of Content-Disposition; nullopt when no token is at its start.
std::optional<Disposition> ParseDisposition(std::string_view value);

// The value of `name` (lower case, without "*"), decoded to UTF-8: by RFC 2231 where it is
// extended, else as encoded words (not allowed there, and common). The extended form wins when
// both are there (RFC 6266 §4.3 says so for HTTP; mailers write both as well).
std::optional<std::string> FindParameter(const Parameters& params, std::string_view name);

// The value as it stands, for what can not be text in another character set ("boundary",
// "charset"). nullptr when missing.
const std::string* FindRawParameter(const Parameters& params, std::string_view name);

// Appends `; name=value` in the form the value needs: token, quoted string, or RFC 2231 extended
// (UTF-8) for what is not printable ASCII.
void AppendParameter(std::string* out, std::string_view name, std::string_view utf8);

}  // namespace godwit::mime

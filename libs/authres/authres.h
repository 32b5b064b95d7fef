#pragma once

// The Authentication-Results header field (RFC 8601): writing ours, recognising the ones that claim
// to be ours in incoming mail, which have to be removed (§5), and reading those of others.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::authres {

struct Property {
  std::string ptype;  // "smtp", "header", "policy", "body"
  std::string name;   // "mailfrom", "d", "from", "iprev"
  std::string value;  // raw: quoted here where that is needed
};

struct MethodResult {
  std::string method;   // "spf", "dkim", "dmarc", "arc", "iprev", "auth"
  std::string result;   // "pass"
  std::string comment;  // "" or a few words, put in parentheses
  std::string reason;   // "" or the reason= text
  std::vector<Property> properties;
};

// The value of the field, without its name and last CRLF, folded at 78 columns between its parts:
// our name, then each method; "; none" when there is no result (§2.2). Values may hold anything
// that came from a peer: what is not a token or an address is quoted, control characters become
// "?", and each value is cut at 255 octets; values that are not ASCII stay UTF-8 (RFC 8601 §5 on
// EAI).
std::string Format(std::string_view authserv_id, const std::vector<MethodResult>& results);

struct FieldStart {
  std::string authserv_id;  // unquoted
  int version = 1;
  size_t rest = 0;  // position behind the first ";" (or the end)
};

// The beginning of a field's value: [CFWS] authserv-id [CFWS version] [CFWS] (";" or end).
// InvalidArgument when it does not parse.
absl::StatusOr<FieldStart> ParseStart(std::string_view value);

struct Field {
  std::string authserv_id;
  std::vector<MethodResult> results;  // without comments; names and results in lower case
};

// The whole value of a field, or what stands behind "i=N;" in an ARC-Authentication-Results (RFC
// 8617 §4.1.1). InvalidArgument for a syntax error anywhere, so that half a field is never
// believed, and above 100 results or 20 properties of one.
absl::StatusOr<Field> Parse(std::string_view value);

// True when the field claims to come from `authserv_id`, or from a name below it where
// `include_subdomains`. Names are compared without case, in A-label form, and as a careless reader
// sees them: without white space, comments, quotes and control characters. A field whose start does
// not parse, or whose name is no domain name, counts as a claim as soon as our name stands anywhere
// in it: rather remove too much (§5).
bool ClaimsToBeFrom(std::string_view value, std::string_view authserv_id,
                    bool include_subdomains = false);

}  // namespace godwit::authres

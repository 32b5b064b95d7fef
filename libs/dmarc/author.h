#pragma once

// The Author Domains of a message: the domains of its From field (RFC 9989 §5.3.1, RFC 7489
// §6.6.1).
//
// There is one From field, and all its addresses have one domain: that is the rule, and DMARC is
// made for it. Whoever breaks the rule wants a reader to see a domain that nobody checked (RFC 9989
// §11.5), so three outcomes are kept apart:
//
//   domains    check each and take the strictest result; nearly always there is one
//   none       From is well-formed and names nobody ("Undisclosed:;"): DMARC has nothing to check
//   an error   no From, several of them, or one that readers could take in different ways: the
//              author can't be determined, and the caller had better not show such mail
//
// Stricter than RFC 5322 where clients disagree (control characters, text behind ">"); milder where
// they do not: one dot behind a domain, "Smith, John <j@example.org>", display names with dots.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::dmarc {

// More domains than this in one From are not checked (RFC 9989 §11.5: their number is an attack).
inline constexpr size_t kMaxAuthorDomains = 5;

// The domains of all addresses in the value of one From field (RFC 5322 §3.4, obsolete forms too),
// in their order, as A-labels. InvalidArgument when it does not parse, when an address has no
// domain name, when there is neither an address nor a group, or above 64 addresses. Linear time, no
// recursion.
absl::StatusOr<std::vector<std::string>> FromDomains(std::string_view from_value);

// `from_values`: the values of all From fields of the message. Each domain once, in their order, at
// most kMaxAuthorDomains. InvalidArgument says why the author can't be determined.
absl::StatusOr<std::vector<std::string>> AuthorDomains(
    const std::vector<std::string_view>& from_values);

}  // namespace godwit::dmarc

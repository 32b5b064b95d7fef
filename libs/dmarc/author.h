#pragma once

// The Author Domain of a message: the domain of its From field (RFC 9989 §5.3.1, RFC 7489 §6.6.1).
//
// There must be exactly one From field. With several addresses in it, all must have the same
// domain; else DMARC does not apply. A group without members, an address without a domain and
// everything that can't be parsed likewise: callers decide what to do with such mail, it is not
// DMARC's.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::dmarc {

// The domains of all addresses in the value of one From field (RFC 5322 §3.4, obsolete forms too),
// in their order, as A-labels. InvalidArgument when it does not parse, when an address has no
// domain name, or above 64 addresses. Linear time, no recursion.
absl::StatusOr<std::vector<std::string>> FromDomains(std::string_view from_value);

// `from_values`: the values of all From fields of the message. InvalidArgument says why DMARC does
// not apply.
absl::StatusOr<std::string> AuthorDomain(const std::vector<std::string_view>& from_values);

}  // namespace godwit::dmarc

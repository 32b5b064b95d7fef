#pragma once

// Domain names as the protocols compare and ask them: lower-case A-labels without the final dot.
//
//   ToAscii("Bücher.Example.") == "xn--bcher-kva.example"
//
// Pure; safe from every thread. RFC 5890 §2.3, RFC 5891 §5 (lookup protocol), RFC 1035 §2.3.4.

#include <optional>
#include <string>
#include <string_view>

namespace godwit::idna {

// The A-label form of `domain`, or nullopt when it can't be a domain name: an empty label, a label
// above 63 octets, a name above 253, text that is not UTF-8 or not allowed by IDNA 2008. An ASCII
// name is only lower-cased and measured: underscores and other unusual octets pass, as DNS has
// them.
std::optional<std::string> ToAscii(std::string_view domain);

// True when `name` is in the form ToAscii() gives: lower-case ASCII, labels of 1..63 octets, at
// most 253 octets, no final dot.
bool IsDnsName(std::string_view name);

// IsDnsName() with letters, digits, hyphens and underscores only: what may stand in a URL or
// another text as a host.
bool IsHostName(std::string_view name);

// True when `name` is `parent` or below it. Both in ToAscii() form.
bool IsSameOrBelow(std::string_view name, std::string_view parent);

}  // namespace godwit::idna

#pragma once

// The organizational domain by the public suffix list (RFC 7489 §3.2), from the list that is built
// into libpsl or installed beside it.

#include <string>
#include <string_view>

namespace godwit::dmarc {

// The public suffix of `domain` and one label: "example.co.uk" for "a.b.example.co.uk". `domain`
// itself when it is a public suffix. A-labels, lower case, in and out.
std::string OrganizationalDomainByList(std::string_view domain);

}  // namespace godwit::dmarc

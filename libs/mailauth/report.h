#pragma once

// The Authentication-Results value of a verdict (RFC 8601 §2.2, §2.7).

#include <string>
#include <string_view>

#include "libs/mailauth/verdict.h"

namespace godwit::mailauth {

std::string FormatResults(const Verdict& verdict, const Envelope& envelope,
                          std::string_view authserv_id);

// The same of what can be said without the connection: DKIM and ARC. For sealing a message whose
// Authentication-Results are lost.
std::string FormatMessageResults(const Verdict& verdict, std::string_view authserv_id);

}  // namespace godwit::mailauth

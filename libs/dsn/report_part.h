#pragma once

// The machine-readable part of a notification (RFC 3464 §2). Internal to libs/dsn.

#include <string>

#include "libs/dsn/dsn.h"

namespace godwit::dsn {

// The fields with CRLF line ends. With `utf8` addresses and replies are written in UTF-8 where they
// have it: a message/global-delivery-status (RFC 6533 §4); else all is ASCII.
std::string WriteReport(const Report& report, bool utf8);

}  // namespace godwit::dsn

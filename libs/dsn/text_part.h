#pragma once

// The part of a notification that people read. Internal to libs/dsn.

#include <string>
#include <string_view>

#include "libs/dsn/dsn.h"

namespace godwit::dsn {

// "Mail could not be delivered": of several actions the worst.
std::string_view SubjectText(const Report& report);

// UTF-8 with CRLF line ends, lines of about 76 columns.
std::string WriteText(const Report& report, Returned returned);

}  // namespace godwit::dsn

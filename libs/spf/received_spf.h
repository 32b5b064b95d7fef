#pragma once

// The Received-SPF header field (RFC 7208 §9.1): its value, without name and final CRLF, folded at
// 78 columns.

#include <string>
#include <string_view>

#include "libs/spf/evaluate.h"

namespace godwit::spf {

// `receiver` is our host name. Everything that came from the peer is quoted or left out.
std::string FormatReceivedSpf(const Result& result, const Query& query, std::string_view receiver);

}  // namespace godwit::spf

#pragma once

// The other way than unpack.h.

#include <string>
#include <string_view>

namespace godwit::report_file {

// RFC 1952, without a time.
std::string Gzip(std::string_view octets);

}  // namespace godwit::report_file

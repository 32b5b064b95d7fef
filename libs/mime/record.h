#pragma once

// A Summary as bytes for the database. The first byte is the version of the format (now 1), then
// come numbers as varints (base 128, least first) and strings with their size in front. The
// format only grows: a change takes a new version, and Decode goes on reading the old ones.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/mime/structure.h"

namespace godwit::mime {

// Decode(Encode(s)) == s for every Summary that Parser makes: parts at most 1000 deep, no strings
// in a kGroupEnd.
std::string Encode(const Summary& summary);

// DataLoss for bytes that are not a whole record and nothing more, or are of an unknown version.
// Safe for any bytes: memory and time grow with their size only.
absl::StatusOr<Summary> Decode(std::string_view record);

}  // namespace godwit::mime

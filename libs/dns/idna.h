#pragma once

// Domain names between U-labels and A-labels (RFC 5890; UTS #46, non-transitional, as browsers and
// RFC 6531 senders use it).

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace godwit::dns {

// The form that is asked and compared: lower-case A-labels, without a final dot. Underscores are
// kept (_dmarc.example.org). ASCII names only get lower-cased and checked for label (63) and name
// (253 octets) lengths. InvalidArgument when the name is empty or can't be converted.
absl::StatusOr<std::string> ToAscii(std::string_view domain);

// U-labels for people; a label that isn't a valid A-label stays as it is.
std::string ToUnicode(std::string_view domain);

}  // namespace godwit::dns

#pragma once

// From a header block to the structs of structure.h: the envelope, and what a header says of the
// part below it. Both only look; neither fails.

#include <cstddef>
#include <string_view>

#include "libs/mime/header.h"
#include "libs/mime/structure.h"

namespace godwit::mime {

// RFC 3501 §7.4.2. At most `max_addresses` in each list.
Envelope ParseEnvelope(const HeaderBlock& header, size_t max_addresses);

// Sets type, subtype, params, id, description, encoding, md5, location, disposition and languages
// of `*part` (all else stays). `in_digest`: the default type is message/rfc822 (RFC 2046 §5.1.5).
void ApplyPartHeader(const HeaderBlock& header, bool in_digest, Part* part);

}  // namespace godwit::mime

#pragma once

// ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 §7.5.2) from what libs/mime knows of a message.

#include <string>

#include "libs/imap/response_writer.h"
#include "libs/mime/structure.h"

namespace godwit::imap {

// The parenthesised value, without "ENVELOPE " in front. Appends to `*out`.
void AppendEnvelope(std::string* out, const mime::Envelope& envelope, TextMode mode);

// The value of BODY, or with `extended` of BODYSTRUCTURE.
void AppendBodyStructure(std::string* out, const mime::Part& part, bool extended, TextMode mode);

}  // namespace godwit::imap

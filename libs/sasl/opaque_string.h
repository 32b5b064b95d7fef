#pragma once

// OpaqueString: how a password is brought into one form before it is hashed or compared
// (RFC 8265 §4.2, which replaces the SASLprep of RFC 5802 §5.1).
//
// Done here: must be well-formed UTF-8; every non-ASCII space becomes U+0020; Unicode NFC; then the
// FreeformClass of RFC 8264 §4.3 refuses controls, unassigned code points, noncharacters,
// default-ignorable code points and old Hangul jamo; U+200C and U+200D stand only after a virama.
// Not done: the CONTEXTO rules (middle dot, Arabic-Indic digits ...), which only forbid mixes that
// no other text is confused with. Plain ASCII passes through unchanged.
//
// A client that still uses SASLprep (NFKC) computes the same for every password that has no
// compatibility characters.

#include <string_view>

#include "absl/status/statusor.h"
#include "libs/base/secret.h"

namespace godwit::sasl {

// InvalidArgument for an empty password, one longer than 1024 bytes, or one with a code point that
// is refused (the text names the reason, never the password).
absl::StatusOr<base::Secret> PreparePassword(std::string_view utf8);

}  // namespace godwit::sasl

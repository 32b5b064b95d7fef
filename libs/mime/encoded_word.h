#pragma once

// RFC 2047 encoded words: =?charset?B?...?= in header text.

#include <string>
#include <string_view>

namespace godwit::mime {

// `text` (unfolded) with its encoded words decoded; always good UTF-8. White space between two
// encoded words goes away (RFC 2047 §6.2); characters that a mailer cut over two words of the same
// charset come together again. A broken word, or one of an unknown charset, is left as it is.
// Control characters that come out of a word become spaces, so that a word brings no line end.
// 8-bit text outside of words is taken as UTF-8, and what is none as windows-1252.
std::string DecodeWords(std::string_view text);

// `utf8` for a place where unstructured text or (kPhrase) an atom of a phrase may stand: as it is
// when it is printable ASCII that does not look like an encoded word, else encoded words of at
// most 75 characters, separated by a space, each of whole characters. B or Q, whatever is shorter.
enum class WordPlace { kText, kPhrase };
std::string EncodeWords(std::string_view utf8, WordPlace place = WordPlace::kText);

}  // namespace godwit::mime

#pragma once

// The base subject of RFC 5256 §2.1: what remains of a subject without "Re:", "Fwd:", "[list]" and
// "(fwd)", so that replies sort and thread together.

#include <string>
#include <string_view>

namespace godwit::mime {

struct BaseSubject {
  std::string text;       // UTF-8, white space collapsed; case as it was (compare without case)
  bool is_reply = false;  // it was taken from a reply or forward

  bool operator==(const BaseSubject&) const = default;
};

// `decoded` is the subject in UTF-8 (DecodeWords of the unfolded value). Linear.
BaseSubject ExtractBaseSubject(std::string_view decoded);

}  // namespace godwit::mime

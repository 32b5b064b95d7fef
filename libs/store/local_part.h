#pragma once

// How local parts are compared: without quotes ("a b"@x.example is a b at x.example, RFC 5321
// §4.1.2), in Unicode's NFC (RFC 6532 §3.1: the same letters, composed or not, are the same
// address), and without ASCII case where the domain says so.
//
// Pure; safe from every thread.

#include <string>
#include <string_view>
#include <vector>

namespace godwit::store {

struct LocalPart {
  std::string kept;    // in NFC
  std::string folded;  // the same in lower case (ASCII)
};

// `text` is unquoted. What is no UTF-8 stays as it is, and is nobody's.
LocalPart MakeLocalPart(std::string_view text);

// What could stand in front of a tag: everything before a character that may be a separator,
// longest first: "a+b-c" gives "a+b" and "a".
std::vector<std::string_view> BeforeTags(std::string_view local_part);

// Characters that may separate tags: ASCII punctuation that addresses need no quotes for, but ".".
inline constexpr std::string_view kSeparators = "!#$%&'*+-/=?^_`{|}~";

}  // namespace godwit::store

#pragma once

// Character sets to UTF-8, by ICU.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace godwit::mime {

// True for a name that CharsetDecoder converts from (RFC 2978 names and common aliases, any case).
bool IsKnownCharset(std::string_view name);

// Converts a stream. Output is always good UTF-8, whatever comes in; input that is none of the
// charset becomes U+FFFD. As browsers do, "iso-8859-1" means windows-1252, "gb2312" means gb18030,
// and so on: the larger set that mailers mean. For "us-ascii", "utf-8", an empty and an unknown
// name: UTF-8 where the octets are UTF-8, else windows-1252, octet by octet.
class CharsetDecoder {
 public:
  explicit CharsetDecoder(std::string_view charset);
  ~CharsetDecoder();
  CharsetDecoder(CharsetDecoder&&) noexcept;
  CharsetDecoder& operator=(CharsetDecoder&&) noexcept;

  // Appends to `*out`; keeps an incomplete character for the next call.
  void Decode(std::string_view bytes, std::string* out);
  // Appends what remains of an incomplete character. Call once, at the end.
  void Finish(std::string* out);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The same for bytes that are all there.
std::string ToUtf8(std::string_view bytes, std::string_view charset);

}  // namespace godwit::mime

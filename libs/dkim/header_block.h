#pragma once

// The header of a message as the exact bytes that came, cut into fields. Nothing is unfolded or
// decoded: signatures are about bytes.
//
// Line ends are CRLF. A field begins at a line that does not start with white space. A line without
// a colon becomes a field with an empty name, which no signature can name.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::dkim {

class HeaderBlock {
 public:
  HeaderBlock() = default;
  // `bytes` is the header without the empty line that ends it.
  static HeaderBlock Parse(std::string bytes);

  size_t size() const { return fields_.size(); }
  // The whole field with its last CRLF (which may be missing at the end of a cut-off message).
  std::string_view raw(size_t index) const;
  // Before the colon, without white space at its end.
  std::string_view name(size_t index) const;
  // Behind the colon, with everything up to the last CRLF, which is left out.
  std::string_view value(size_t index) const;
  // The positions of the fields with this name (any case), top to bottom.
  std::vector<size_t> Find(std::string_view name) const;

  const std::string& bytes() const { return bytes_; }

 private:
  struct Field {
    uint32_t begin = 0;
    uint32_t colon = 0;  // == end when there is none
    uint32_t end = 0;
  };

  std::string bytes_;
  std::vector<Field> fields_;
};

}  // namespace godwit::dkim

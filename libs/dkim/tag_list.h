#pragma once

// Tag=value lists (RFC 6376 §3.2), the syntax of DKIM-Signature, key records, ARC and DMARC.
//
// Strict: tag names are ALPHA then letters, digits and underscore, values are printable ASCII with
// folding white space inside, a tag stands once, and only the last ";" may be followed by nothing.

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::dkim {

struct Tag {
  std::string_view name;   // case matters
  std::string_view value;  // without white space around it
  // Where the value stands in the text with all white space around it: from behind "=" to ";" or
  // the end. What has to be removed for the b= tag (§3.7).
  size_t begin = 0;
  size_t end = 0;
};

class TagList {
 public:
  // At most `max_tags`; the views point into `text`. InvalidArgument says what is wrong.
  static absl::StatusOr<TagList> Parse(std::string_view text, size_t max_tags = 64);

  // nullptr when there is none.
  const Tag* Find(std::string_view name) const;
  // The value; "" when there is no such tag.
  std::string_view Value(std::string_view name) const;
  const std::vector<Tag>& tags() const { return tags_; }

 private:
  std::vector<Tag> tags_;
};

}  // namespace godwit::dkim

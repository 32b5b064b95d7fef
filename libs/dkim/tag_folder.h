#pragma once

// Writes a signature field over several lines of at most 76 columns.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::dkim {

class TagFolder {
 public:
  explicit TagFolder(std::string start) : text_(std::move(start)), column_(text_.size()) {}

  // "tag;", on a new line when it would go beyond the width.
  void Tag(const std::string& tag);
  // On a new line `name` and then pieces that may be broken between each other.
  void Pieces(const std::string& name, const std::vector<std::string>& pieces);
  void Append(std::string_view text);
  const std::string& text() const { return text_; }

 private:
  void NewLine();

  std::string text_;
  size_t column_;
};

// `field` ends in "b="; gives it with the base 64 of `signature`, folded, and the last CRLF. The
// white space of the folds is part of the b= value, which nobody hashes (RFC 6376 §3.7).
std::string AppendSignatureValue(std::string field, std::string_view signature);

}  // namespace godwit::dkim

#pragma once

// The text of an HTML document for previews and search: tags, comments, <head>, <script> and
// <style> removed, entities decoded, block elements as line breaks. A tag stripper, not an HTML
// parser, and nothing to make HTML safe with. Streaming, linear, same output for every split.

#include <cstdint>
#include <string>
#include <string_view>

namespace godwit::mime {

class HtmlToText {
 public:
  // Appends to `*out`. `utf8` is good UTF-8 (CharsetDecoder makes it); cuts may be anywhere.
  void Feed(std::string_view utf8, std::string* out);
  void Finish(std::string* out);

 private:
  enum class State : uint8_t { kText, kTag, kQuoted, kComment, kEntity };

  void Octet(char c, std::string* out);
  void Text(char c, std::string* out);
  void Tag(char c, std::string* out);
  void EndTag(std::string* out);
  void Entity(char c, std::string* out);
  void FlushEntity(std::string* out);

  State state_ = State::kText;
  char quote_ = 0;      // the quote that ends kQuoted
  int dashes_ = 0;      // in a comment: '-' seen in a row
  std::string word_;    // the front of a tag, or an entity's name; bounded
  std::string hidden_;  // the element whose content is skipped ("script"), or empty
};

// The same for text that is all there.
std::string HtmlText(std::string_view utf8);

}  // namespace godwit::mime

#pragma once

// The text of an HTML document for previews and search: tags, comments, <head>, <script> and
// <style> removed, entities decoded, block elements as line breaks. A tag stripper, not an HTML
// parser, and nothing to make HTML safe with. Streaming, linear, same output for every split.
//
// Output is good UTF-8 if the input is; line ends and tabs of the source become spaces.

#include <cstdint>
#include <string>
#include <string_view>

namespace godwit::mime {

class HtmlToText {
 public:
  // Appends to `*out`. `utf8` may be cut anywhere, in a character as well.
  void Feed(std::string_view utf8, std::string* out);
  void Finish(std::string* out);

 private:
  // kText -"<"-> kTag -">"-> kText; kTag -quote-> kQuoted -quote-> kTag;
  // kTag -"!--"-> kComment -"-->"-> kText; kText -"&"-> kEntity -";" or other-> kText;
  // after <script> and <style> kRaw until their end tag.
  enum class State : uint8_t { kText, kTag, kQuoted, kComment, kEntity, kRaw };

  void Octet(char c, std::string* out);
  void Text(char c, std::string* out);
  void Tag(char c, std::string* out);
  void EndTag(std::string* out);
  void Comment(char c);
  void Entity(char c, std::string* out);
  void Raw(char c);
  void Put(std::string_view text, std::string* out) const;

  State state_ = State::kText;
  char quote_ = 0;          // what ends kQuoted
  int dashes_ = 0;          // in a comment: '-' in a row just before
  bool name_done_ = false;  // in a tag: its name is complete
  bool in_head_ = false;    // within <head>: nothing is shown
  std::string word_;        // a tag's name or an entity, as far as read; bounded
  std::string raw_end_;     // kRaw: "</script" or "</style"
};

// The same for text that is all there.
std::string HtmlText(std::string_view utf8);

}  // namespace godwit::mime

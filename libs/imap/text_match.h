#pragma once

// Substring search as SEARCH means it (RFC 9051 §6.4.4: case-insensitive, on decoded text):
// Unicode NFKC_Casefold, so "STRASSE" finds "Straße", and ASCII quickly.
//
//   TextScan scan({Fold("hello")});
//   while (chunk) scan.Feed(chunk);
//   scan.Finish();
//   scan.Found(0)

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::imap {

// The form in which texts are compared. Input that is not good UTF-8 is folded as ASCII only.
std::string Fold(std::string_view utf8);

// The needle is in a text that is folded already. Time is linear in the two.
bool FindFolded(std::string_view folded, std::string_view folded_needle);
bool ContainsFolded(std::string_view utf8, std::string_view folded_needle);

// Looks for several needles in a text that comes in pieces, with memory for a piece and the
// longest needle. The same for every split.
class TextScan {
 public:
  explicit TextScan(std::vector<std::string> folded_needles);

  // `utf8` may end inside a character.
  void Feed(std::string_view utf8);
  void Finish();
  // A new text begins: what follows does not continue what came before. Keeps what was found.
  void Break() { Finish(); }

  bool Found(size_t needle) const { return found_[needle]; }
  bool AllFound() const { return missing_ == 0; }

 private:
  void Search(std::string_view folded);

  std::vector<std::string> needles_;
  std::vector<bool> found_;
  size_t missing_;
  size_t longest_ = 0;
  std::string held_;    // not folded yet: what follows may combine with it
  std::string window_;  // folded, the last longest_-1 bytes and what is new
};

}  // namespace godwit::imap

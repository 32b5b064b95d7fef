#include "libs/imap/text_match.h"

#include <string.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::imap {
namespace {

// What is held back for a combining mark is bounded: text without any ASCII is folded in pieces
// of this size at a character's start.
constexpr size_t kMaxHeld = 4096;

bool IsContinuation(char c) { return (c & 0xc0) == 0x80; }

// Where `text` may be cut so that folding both pieces is folding the whole: in front of the last
// ASCII byte, which combines with nothing before it.
size_t SafeCut(std::string_view text) {
  for (size_t i = text.size(); i > 0; --i) {
    if ((text[i - 1] & 0x80) == 0) return i - 1;
  }
  if (text.size() <= kMaxHeld) return 0;
  size_t cut = text.size() - 1;
  while (cut > 0 && IsContinuation(text[cut])) --cut;
  return cut;
}

}  // namespace

std::string Fold(std::string_view utf8) {
  if (base::IsAscii(utf8) || !base::IsUtf8(utf8)) return base::Lower(utf8);
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* fold = icu::Normalizer2::getNFKCCasefoldInstance(error);
  if (U_FAILURE(error)) return base::Lower(utf8);
  const auto text = icu::UnicodeString::fromUTF8(
      icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
  std::string out;
  fold->normalize(text, error).toUTF8String(out);
  return U_FAILURE(error) ? base::Lower(utf8) : out;
}

bool FindFolded(std::string_view folded, std::string_view folded_needle) {
  // memmem is linear whatever the bytes; string_view::find is not.
  return memmem(folded.data(), folded.size(), folded_needle.data(), folded_needle.size()) !=
             nullptr ||
         folded_needle.empty();
}

bool ContainsFolded(std::string_view utf8, std::string_view folded_needle) {
  return FindFolded(Fold(utf8), folded_needle);
}

TextScan::TextScan(std::vector<std::string> folded_needles)
    : needles_(std::move(folded_needles)), found_(needles_.size()), missing_(needles_.size()) {
  for (size_t i = 0; i < needles_.size(); ++i) {
    longest_ = std::max(longest_, needles_[i].size());
    // RFC 9051 §6.4.4: an empty string is in every text.
    if (needles_[i].empty()) {
      found_[i] = true;
      --missing_;
    }
  }
}

void TextScan::Search(std::string_view folded) {
  window_ += folded;
  for (size_t i = 0; i < needles_.size(); ++i) {
    if (found_[i] || !FindFolded(window_, needles_[i])) continue;
    found_[i] = true;
    --missing_;
  }
  const size_t keep = longest_ == 0 ? 0 : longest_ - 1;
  if (window_.size() > keep) window_.erase(0, window_.size() - keep);
}

void TextScan::Feed(std::string_view utf8) {
  if (AllFound()) return;
  held_ += utf8;
  const size_t cut = SafeCut(held_);
  if (cut == 0) return;
  Search(Fold(std::string_view(held_).substr(0, cut)));
  held_.erase(0, cut);
}

void TextScan::Finish() {
  if (!AllFound()) Search(Fold(held_));
  held_.clear();
  window_.clear();
}

}  // namespace godwit::imap

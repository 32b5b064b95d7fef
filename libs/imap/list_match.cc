#include "libs/imap/list_match.h"

#include "libs/base/ascii.h"
#include "libs/imap/mailbox_name.h"

namespace godwit::imap {
namespace {

bool IsWildcard(char c) { return c == '*' || c == '%'; }

}  // namespace

std::string JoinListPattern(std::string_view reference, std::string_view pattern) {
  std::string joined;
  // RFC 9051 §6.3.9.1 leaves it to us: a pattern with a leading separator is absolute.
  if (pattern.empty() || pattern.front() != kHierarchySeparator) {
    joined = reference;
  } else {
    pattern.remove_prefix(1);
  }
  joined += pattern;
  const size_t end = joined.find_first_of("/%*");
  if (base::EqualsIgnoreCase(std::string_view(joined).substr(0, end), kInbox)) {
    joined.replace(0, kInbox.size(), kInbox);
  }
  return joined;
}

ListPattern::ListPattern(std::string_view pattern) {
  // "**", "*%" and "%*" are "*", "%%" is "%": no wildcard stands behind another.
  std::string short_pattern;
  for (const char c : pattern) {
    const bool joins = IsWildcard(c) && !short_pattern.empty() && IsWildcard(short_pattern.back());
    if (!joins) short_pattern += c;
    if (joins && c == '*') short_pattern.back() = '*';
  }
  size_ = short_pattern.size();
  words_ = size_ / 64 + 1;
  star_.resize(words_);
  percent_.resize(words_);
  masks_.resize(words_);  // of the bytes that the pattern has not: nothing
  for (size_t i = 0; i < size_; ++i) {
    const char c = short_pattern[i];
    const uint64_t bit = uint64_t{1} << (i % 64);
    if (c == '*') star_[i / 64] |= bit;
    if (c == '%') percent_[i / 64] |= bit;
    if (IsWildcard(c)) continue;
    uint8_t& mask = mask_of_[static_cast<uint8_t>(c)];
    if (mask == 0) {
      mask = static_cast<uint8_t>(masks_.size() / words_);
      masks_.resize(masks_.size() + words_);
    }
    masks_[mask * words_ + i / 64] |= bit;
  }
}

bool ListPattern::Matches(std::string_view name) const {
  // Bit i: the name so far matches the first i characters of the pattern.
  std::vector<uint64_t> reach(words_);
  reach[0] = 1;
  SkipWildcards(&reach);
  for (const char c : name) {
    const uint64_t* mask = &masks_[mask_of_[static_cast<uint8_t>(c)] * words_];
    uint64_t carry = 0;
    uint64_t any = 0;
    for (size_t w = 0; w < words_; ++w) {
      const uint64_t taken = reach[w] & mask[w];
      const uint64_t wild = c == kHierarchySeparator ? star_[w] : star_[w] | percent_[w];
      reach[w] = (reach[w] & wild) | (taken << 1) | carry;
      carry = taken >> 63;
      any |= reach[w];
    }
    if (any == 0) return false;
    SkipWildcards(&reach);
  }
  return (reach[size_ / 64] >> (size_ % 64) & 1) != 0;
}

// A wildcard may stand for nothing.
void ListPattern::SkipWildcards(std::vector<uint64_t>* reach) const {
  uint64_t carry = 0;
  for (size_t w = 0; w < words_; ++w) {
    const uint64_t skipped = (*reach)[w] & (star_[w] | percent_[w]);
    (*reach)[w] |= (skipped << 1) | carry;
    carry = skipped >> 63;
  }
}

}  // namespace godwit::imap

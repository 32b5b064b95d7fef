#pragma once

// Patterns of LIST and LSUB (RFC 9051 §6.3.9): "*" is anything, "%" is anything but the hierarchy
// separator; the rest is literal, with INBOX as first level in any case. Pattern and names are in
// the form of mailbox_name.h.
//
//   const ListPattern pattern(JoinListPattern(reference, wire));
//   pattern.Matches("Archive/2026")
//
// One pattern is made once for many names. A name costs a few machine words of work for each of its
// octets, one word for every 64 octets of the pattern, also for "*a*a*a*" and "aaaaaa".

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::imap {

// The reference of LIST joined with a pattern, and INBOX in front in capitals.
std::string JoinListPattern(std::string_view reference, std::string_view pattern);

class ListPattern {
 public:
  explicit ListPattern(std::string_view pattern);
  bool Matches(std::string_view name) const;

 private:
  void SkipWildcards(std::vector<uint64_t>* reach) const;

  // Sets of positions in the pattern, `words_` words each.
  size_t size_ = 0;
  size_t words_ = 0;
  std::vector<uint64_t> star_;
  std::vector<uint64_t> percent_;
  std::vector<uint64_t> masks_;            // one set after the other; the first is empty
  std::array<uint8_t, 256> mask_of_ = {};  // of an octet: the number of its set
};

// For one name.
inline bool ListMatches(std::string_view pattern, std::string_view name) {
  return ListPattern(pattern).Matches(name);
}

}  // namespace godwit::imap

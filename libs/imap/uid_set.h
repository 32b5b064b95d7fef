#pragma once

// UidSet: a set of 32-bit numbers as sorted ranges, with rank and select: the map between message
// sequence numbers and UIDs of a session (RFC 9051 §2.3.1), and the value of a sequence set.
//
// A mailbox where little was expunged is a few ranges, 12 bytes each, whatever its size. Pack()
// makes of a fragmented set about 2 bytes a range for a session that idles.
//
// Contains, Rank and Select are logarithmic in the ranges; changes are linear in the ranges behind
// the place. A value; no thread rule.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::imap {

class UidSet {
 public:
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;    // inclusive
    uint32_t before = 0;  // members in all ranges in front
    uint32_t size() const { return last - first + 1; }
    friend bool operator==(const Range&, const Range&) = default;
  };

  UidSet() = default;
  // {first..last}; needs first <= last.
  static UidSet Of(uint32_t first, uint32_t last);

  bool empty() const { return ranges_.empty(); }
  uint32_t size() const;
  // 0 when empty.
  uint32_t min() const { return empty() ? 0 : ranges_.front().first; }
  uint32_t max() const { return empty() ? 0 : ranges_.back().last; }
  const std::vector<Range>& ranges() const { return ranges_; }

  bool Contains(uint32_t value) const;
  // How many members are at most `value`: the sequence number of a member.
  uint32_t Rank(uint32_t value) const;
  // The member with sequence number `position`, 1..size(); nullopt outside.
  std::optional<uint32_t> Select(uint32_t position) const;
  // The least member that is at least `value`.
  std::optional<uint32_t> AtLeast(uint32_t value) const;

  void Add(uint32_t value) { AddRange(value, value); }
  // Needs first <= last.
  void AddRange(uint32_t first, uint32_t last);
  // False when it was no member.
  bool Remove(uint32_t value);
  void RemoveAll(const UidSet& others);
  void AddAll(const UidSet& others);
  void clear() { ranges_.clear(); }

  UidSet Intersect(const UidSet& other) const;
  // The members at these positions (positions outside 1..size() give nothing), and back.
  UidSet SelectAll(const UidSet& positions) const;
  UidSet RankAll(const UidSet& members) const;

  template <typename Fn>
  void ForEach(Fn fn) const {
    for (const Range& range : ranges_) {
      for (uint32_t value = range.first;; ++value) {
        fn(value);
        if (value == range.last) break;
      }
    }
  }

  // RFC 9051 §9 sequence-set: "1:3,7"; "" when empty.
  std::string ToString() const;

  std::string Pack() const;
  // DataLoss for bytes that Pack() did not make.
  static absl::StatusOr<UidSet> Unpack(std::string_view bytes);

  friend bool operator==(const UidSet&, const UidSet&) = default;

 private:
  size_t FindRange(uint32_t value) const;
  void Renumber(size_t from);

  std::vector<Range> ranges_;  // sorted, apart from one another by at least one
};

}  // namespace godwit::imap

#pragma once

// UidRanges: a set of UIDs as ranges. 10,000 messages without gaps are eight bytes.
//
// A set is *normal* when its ranges are ascending, do not overlap or touch, and none is empty.
// Functions return normal sets; those of libs/store accept any and normalise.

#include <cstdint>
#include <string>
#include <vector>

namespace godwit::store {

// RFC 9051 §2.3.1.1: a UID is a non-zero 32-bit value.
using Uid = uint32_t;

struct UidRange {
  Uid first = 0;
  Uid last = 0;  // inclusive
  friend bool operator==(const UidRange&, const UidRange&) = default;
};
using UidRanges = std::vector<UidRange>;

inline constexpr UidRange kAllUids = {1, 0xffffffff};

// Sorts, joins what overlaps or touches, drops ranges with first > last or first == 0.
UidRanges Normalize(UidRanges ranges);
// Of single UIDs in any order.
UidRanges FromUids(std::vector<Uid> uids);

// The rest takes normal sets.
uint64_t Count(const UidRanges& set);
bool Contains(const UidRanges& set, Uid uid);
UidRanges Intersect(const UidRanges& a, const UidRanges& b);
UidRanges Subtract(const UidRanges& a, const UidRanges& b);
UidRanges Union(const UidRanges& a, const UidRanges& b);
// Every UID of the set, ascending. Mind the size.
std::vector<Uid> Expand(const UidRanges& set);

// The UID with this sequence number (1 is the first); 0 when there is none.
Uid UidAt(const UidRanges& set, uint64_t sequence_number);
// The sequence number of a UID; 0 when it is not in the set.
uint64_t SequenceOf(const UidRanges& set, Uid uid);

// Takes the `count` lowest UIDs out of `*set` (fewer when there are not so many): for paging.
UidRanges TakeFront(UidRanges* set, uint64_t count);

// "1:3,7,9:12", the IMAP form; "" for the empty set.
std::string ToString(const UidRanges& set);

}  // namespace godwit::store

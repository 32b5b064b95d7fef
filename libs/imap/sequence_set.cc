#include "libs/imap/sequence_set.h"

#include <algorithm>

namespace godwit::imap {
namespace {

std::optional<uint32_t> ParseNumberOrStar(Cursor* cursor) {
  if (cursor->Take('*')) return SequenceSet::kStar;
  return cursor->NonZero();
}

}  // namespace

std::optional<SequenceSet> ParseSequenceSet(Cursor* cursor, bool allow_saved) {
  SequenceSet set;
  if (allow_saved && cursor->Take('$')) {
    set.saved = true;
    return set;
  }
  do {
    const auto first = ParseNumberOrStar(cursor);
    if (!first) return std::nullopt;
    auto last = first;
    if (cursor->Take(':')) last = ParseNumberOrStar(cursor);
    if (!last) return std::nullopt;
    set.ranges.push_back({*first, *last});
  } while (cursor->Take(','));
  return set;
}

UidSet SequenceSet::Resolve(uint32_t max) const {
  // Sorted first, so that a set of many ranges costs no quadratic time.
  std::vector<std::pair<uint32_t, uint32_t>> bounds;
  for (const Range& range : ranges) {
    const uint32_t a = range.first == kStar ? max : range.first;
    const uint32_t b = range.last == kStar ? max : range.last;
    if (a != 0 && b != 0) bounds.emplace_back(std::min(a, b), std::max(a, b));
  }
  std::sort(bounds.begin(), bounds.end());
  UidSet set;
  for (const auto& [first, last] : bounds) set.AddRange(first, last);
  return set;
}

bool SequenceSet::Exceeds(uint32_t max) const {
  return std::any_of(ranges.begin(), ranges.end(), [max](const Range& range) {
    const bool star_of_nothing = max == 0 && (range.first == kStar || range.last == kStar);
    return star_of_nothing || range.first > max || range.last > max;
  });
}

}  // namespace godwit::imap

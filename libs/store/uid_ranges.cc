#include "libs/store/uid_ranges.h"

#include <algorithm>

namespace godwit::store {
namespace {

// The first range that ends at `uid` or above.
UidRanges::const_iterator Find(const UidRanges& set, Uid uid) {
  return std::lower_bound(set.begin(), set.end(), uid,
                          [](const UidRange& range, Uid value) { return range.last < value; });
}

uint64_t Size(const UidRange& range) { return uint64_t{range.last} - range.first + 1; }

}  // namespace

UidRanges Normalize(UidRanges ranges) {
  std::erase_if(ranges, [](const UidRange& r) { return r.first == 0 || r.first > r.last; });
  std::sort(ranges.begin(), ranges.end(),
            [](const UidRange& a, const UidRange& b) { return a.first < b.first; });
  UidRanges normal;
  for (const UidRange& range : ranges) {
    if (normal.empty() || uint64_t{normal.back().last} + 1 < range.first) {
      normal.push_back(range);
    } else {
      normal.back().last = std::max(normal.back().last, range.last);
    }
  }
  return normal;
}

UidRanges FromUids(std::vector<Uid> uids) {
  UidRanges ranges;
  ranges.reserve(uids.size());
  for (Uid uid : uids) ranges.push_back({uid, uid});
  return Normalize(std::move(ranges));
}

uint64_t Count(const UidRanges& set) {
  uint64_t count = 0;
  for (const UidRange& range : set) count += Size(range);
  return count;
}

bool Contains(const UidRanges& set, Uid uid) {
  const auto it = Find(set, uid);
  return it != set.end() && it->first <= uid;
}

UidRanges Intersect(const UidRanges& a, const UidRanges& b) {
  UidRanges both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const UidRange range = {std::max(a[i].first, b[j].first), std::min(a[i].last, b[j].last)};
    if (range.first <= range.last) both.push_back(range);
    if (a[i].last < b[j].last) {
      ++i;
    } else {
      ++j;
    }
  }
  return both;
}

UidRanges Subtract(const UidRanges& a, const UidRanges& b) {
  UidRanges left;
  size_t j = 0;
  for (UidRange range : a) {
    while (j < b.size() && b[j].last < range.first) ++j;
    bool any = true;
    for (size_t k = j; any && k < b.size() && b[k].first <= range.last; ++k) {
      if (b[k].first > range.first) left.push_back({range.first, b[k].first - 1});
      any = b[k].last < range.last;
      if (any) range.first = b[k].last + 1;
    }
    if (any) left.push_back(range);
  }
  return left;
}

UidRanges Union(const UidRanges& a, const UidRanges& b) {
  UidRanges all = a;
  all.insert(all.end(), b.begin(), b.end());
  return Normalize(std::move(all));
}

std::vector<Uid> Expand(const UidRanges& set) {
  std::vector<Uid> uids;
  uids.reserve(Count(set));
  for (const UidRange& range : set) {
    for (uint64_t uid = range.first; uid <= range.last; ++uid)
      uids.push_back(static_cast<Uid>(uid));
  }
  return uids;
}

Uid UidAt(const UidRanges& set, uint64_t sequence_number) {
  if (sequence_number == 0) return 0;
  for (const UidRange& range : set) {
    if (sequence_number <= Size(range)) {
      return static_cast<Uid>(range.first + sequence_number - 1);
    }
    sequence_number -= Size(range);
  }
  return 0;
}

uint64_t SequenceOf(const UidRanges& set, Uid uid) {
  uint64_t before = 0;
  for (const UidRange& range : set) {
    if (uid < range.first) return 0;
    if (uid <= range.last) return before + uid - range.first + 1;
    before += Size(range);
  }
  return 0;
}

UidRanges TakeFront(UidRanges* set, uint64_t count) {
  UidRanges front;
  size_t taken = 0;
  for (UidRange& range : *set) {
    if (count == 0) break;
    if (Size(range) > count) {
      front.push_back({range.first, static_cast<Uid>(range.first + count - 1)});
      range.first += static_cast<Uid>(count);
      break;
    }
    count -= Size(range);
    front.push_back(range);
    ++taken;
  }
  set->erase(set->begin(), set->begin() + static_cast<std::ptrdiff_t>(taken));
  return front;
}

std::string ToString(const UidRanges& set) {
  std::string text;
  for (const UidRange& range : set) {
    if (!text.empty()) text += ',';
    text += std::to_string(range.first);
    if (range.last != range.first) text += ":" + std::to_string(range.last);
  }
  return text;
}

}  // namespace godwit::store

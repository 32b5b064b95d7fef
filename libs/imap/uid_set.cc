#include "libs/imap/uid_set.h"

#include <algorithm>

#include "libs/base/status.h"

namespace godwit::imap {
namespace {

void AppendVarint(std::string* out, uint32_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

std::optional<uint32_t> TakeVarint(std::string_view* in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 35 && !in->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value <= UINT32_MAX ? std::optional<uint32_t>(value) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

UidSet UidSet::Of(uint32_t first, uint32_t last) {
  UidSet set;
  set.ranges_.push_back({first, last, 0});
  return set;
}

uint32_t UidSet::size() const {
  return empty() ? 0 : ranges_.back().before + ranges_.back().size();
}

// The first range that ends at or after `value`.
size_t UidSet::FindRange(uint32_t value) const {
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), value,
                                   [](const Range& range, uint32_t v) { return range.last < v; });
  return static_cast<size_t>(at - ranges_.begin());
}

void UidSet::Renumber(size_t from) {
  for (size_t i = from; i < ranges_.size(); ++i) {
    ranges_[i].before = i == 0 ? 0 : ranges_[i - 1].before + ranges_[i - 1].size();
  }
}

bool UidSet::Contains(uint32_t value) const {
  const size_t i = FindRange(value);
  return i < ranges_.size() && ranges_[i].first <= value;
}

uint32_t UidSet::Rank(uint32_t value) const {
  const size_t i = FindRange(value);
  if (i == ranges_.size()) return size();
  const Range& range = ranges_[i];
  return value < range.first ? range.before : range.before + (value - range.first) + 1;
}

std::optional<uint32_t> UidSet::Select(uint32_t position) const {
  if (position == 0 || position > size()) return std::nullopt;
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), position - 1,
                       [](uint32_t p, const Range& range) { return p < range.before; });
  const Range& range = *(after - 1);
  return range.first + (position - 1 - range.before);
}

std::optional<uint32_t> UidSet::AtLeast(uint32_t value) const {
  const size_t i = FindRange(value);
  if (i == ranges_.size()) return std::nullopt;
  return std::max(value, ranges_[i].first);
}

void UidSet::AddRange(uint32_t first, uint32_t last) {
  // All ranges that overlap or touch become one.
  const size_t begin = FindRange(first == 0 ? 0 : first - 1);
  size_t end = begin;
  while (end < ranges_.size() && (last == UINT32_MAX || ranges_[end].first <= last + 1)) {
    first = std::min(first, ranges_[end].first);
    last = std::max(last, ranges_[end].last);
    ++end;
  }
  const auto at = ranges_.begin() + static_cast<ptrdiff_t>(begin);
  if (begin == end) {
    ranges_.insert(at, Range{first, last, 0});
  } else {
    *at = Range{first, last, 0};
    ranges_.erase(at + 1, ranges_.begin() + static_cast<ptrdiff_t>(end));
  }
  Renumber(begin);
}

bool UidSet::Remove(uint32_t value) {
  const size_t i = FindRange(value);
  if (i == ranges_.size() || ranges_[i].first > value) return false;
  const Range whole = ranges_[i];
  const auto at = ranges_.begin() + static_cast<ptrdiff_t>(i);
  if (whole.first == whole.last) {
    ranges_.erase(at);
  } else if (value == whole.first) {
    ++at->first;
  } else if (value == whole.last) {
    --at->last;
  } else {
    at->last = value - 1;
    ranges_.insert(at + 1, Range{value + 1, whole.last, 0});
  }
  Renumber(i);
  return true;
}

void UidSet::RemoveAll(const UidSet& others) {
  std::vector<Range> kept;
  size_t j = 0;
  for (Range range : ranges_) {
    while (j < others.ranges_.size() && others.ranges_[j].last < range.first) ++j;
    bool whole_gone = false;
    for (size_t k = j; k < others.ranges_.size() && others.ranges_[k].first <= range.last; ++k) {
      const Range& hole = others.ranges_[k];
      if (hole.first > range.first) kept.push_back({range.first, hole.first - 1, 0});
      whole_gone = hole.last >= range.last;
      if (whole_gone) break;
      range.first = hole.last + 1;
    }
    if (!whole_gone) kept.push_back(range);
  }
  ranges_ = std::move(kept);
  Renumber(0);
}

void UidSet::AddAll(const UidSet& others) {
  for (const Range& range : others.ranges_) AddRange(range.first, range.last);
}

UidSet UidSet::Intersect(const UidSet& other) const {
  UidSet both;
  size_t i = 0;
  size_t j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const Range& a = ranges_[i];
    const Range& b = other.ranges_[j];
    const uint32_t first = std::max(a.first, b.first);
    const uint32_t last = std::min(a.last, b.last);
    if (first <= last) both.ranges_.push_back({first, last, 0});
    a.last < b.last ? ++i : ++j;
  }
  both.Renumber(0);
  return both;
}

UidSet UidSet::SelectAll(const UidSet& positions) const {
  UidSet members;
  for (const Range& range : ranges_) {
    // The positions of this range are before+1 .. before+size.
    const uint32_t low = range.before + 1;
    const uint32_t high = range.before + range.size();
    for (size_t i = positions.FindRange(low); i < positions.ranges_.size(); ++i) {
      const Range& wanted = positions.ranges_[i];
      if (wanted.first > high) break;
      const uint32_t first = std::max(wanted.first, low) - low + range.first;
      const uint32_t last = std::min(wanted.last, high) - low + range.first;
      members.ranges_.push_back({first, last, 0});
    }
  }
  members.Renumber(0);
  return members;
}

UidSet UidSet::RankAll(const UidSet& members) const {
  UidSet positions;
  for (const Range& range : Intersect(members).ranges_) {
    const uint32_t first = Rank(range.first);
    positions.AddRange(first, first + range.size() - 1);
  }
  return positions;
}

std::string UidSet::ToString() const {
  std::string text;
  for (const Range& range : ranges_) {
    if (!text.empty()) text += ',';
    text += std::to_string(range.first);
    if (range.last != range.first) text += ':' + std::to_string(range.last);
  }
  return text;
}

std::string UidSet::Pack() const {
  std::string bytes;
  uint32_t previous = 0;
  for (const Range& range : ranges_) {
    AppendVarint(&bytes, range.first - previous);
    AppendVarint(&bytes, range.last - range.first);
    previous = range.last;
  }
  bytes.shrink_to_fit();
  return bytes;
}

absl::StatusOr<UidSet> UidSet::Unpack(std::string_view bytes) {
  UidSet set;
  uint64_t previous = 0;
  while (!bytes.empty()) {
    const auto gap = TakeVarint(&bytes);
    const auto extent = TakeVarint(&bytes);
    const bool apart = gap && *gap >= (set.empty() ? 1u : 2u);
    if (!apart || !extent || previous + *gap + *extent > UINT32_MAX) {
      return base::DataLoss("packed UID set is damaged");
    }
    const auto first = static_cast<uint32_t>(previous + *gap);
    set.ranges_.push_back({first, first + *extent, 0});
    previous = first + *extent;
  }
  set.Renumber(0);
  return set;
}

}  // namespace godwit::imap

#include "services/imap-gateway/selected.h"

#include <algorithm>
#include <utility>

#include "libs/base/check.h"

namespace godwit::imap_gateway {
namespace {

// Fewer ranges than this are not worth packing.
constexpr size_t kSmallSet = 16;
constexpr size_t kFewKeywords = 8;

}  // namespace

imap::UidSet& UidMap::get() {
  if (!packed_.empty()) {
    auto set = imap::UidSet::Unpack(packed_);
    GODWIT_CHECK(set.ok());
    set_ = *std::move(set);
    packed_ = std::string();
  }
  return set_;
}

void UidMap::Rest() {
  if (!packed_.empty() || set_.ranges().size() < kSmallSet) return;
  packed_ = set_.Pack();
  set_ = imap::UidSet();
}

bool Selected::NameKeywords(const store::Flags& flags, std::vector<std::string>* names) const {
  names->clear();
  for (const store::KeywordId id : flags.keywords) {
    const auto at = std::lower_bound(
        keywords.begin(), keywords.end(), id,
        [](const store::Keyword& keyword, store::KeywordId wanted) { return keyword.id < wanted; });
    if (at == keywords.end() || at->id != id) return false;
    names->push_back(at->name);
  }
  return true;
}

void Selected::Rest() {
  uids.Rest();
  saved.Rest();
  if (keywords.size() > kFewKeywords) keywords = std::vector<store::Keyword>();
}

store::UidRanges ToRanges(const imap::UidSet& set) {
  store::UidRanges ranges;
  ranges.reserve(set.ranges().size());
  for (const auto& range : set.ranges()) ranges.push_back({range.first, range.last});
  return ranges;
}

imap::UidSet ToUidSet(const store::UidRanges& ranges) {
  imap::UidSet set;
  for (const store::UidRange& range : ranges) set.AddRange(range.first, range.last);
  return set;
}

}  // namespace godwit::imap_gateway

#include "libs/store/rows.h"

#include "libs/base/check.h"

namespace godwit::store {

void AppendRanges(db::Params* params, const UidRanges& ranges) {
  std::vector<int64_t> first;
  std::vector<int64_t> last;
  for (const UidRange& range : ranges) {
    first.push_back(range.first);
    last.push_back(range.last);
  }
  params->Ints(first).Ints(last);
}

UidRanges RangesFrom(const db::Row& row, int first_column, int last_column) {
  const std::vector<int64_t> first = row.Ints(first_column);
  const std::vector<int64_t> last = row.Ints(last_column);
  GODWIT_CHECK(first.size() == last.size());
  UidRanges ranges;
  ranges.reserve(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    ranges.push_back({static_cast<Uid>(first[i]), static_cast<Uid>(last[i])});
  }
  return Normalize(std::move(ranges));
}

std::vector<Uid> UidsFrom(const db::Row& row, int column) {
  std::vector<Uid> uids;
  for (int64_t uid : row.Ints(column)) uids.push_back(static_cast<Uid>(uid));
  return uids;
}

Change ChangeFrom(const db::Row& row, int modseq_column, int watchers_column) {
  return {row.Int(modseq_column), row.Texts(watchers_column)};
}

}  // namespace godwit::store

#include "libs/store/uid_ranges.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>

namespace godwit::store {
namespace {

using Set = std::set<Uid>;

Set ToSet(const UidRanges& ranges) {
  const auto uids = Expand(ranges);
  return Set(uids.begin(), uids.end());
}

bool IsNormal(const UidRanges& ranges) { return Normalize(ranges) == ranges; }

TEST_CASE("UidRanges does what a set of UIDs does", "[store][unit]") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    auto make = [&] {
      UidRanges ranges;
      for (unsigned i = random() % 6; i > 0; --i) {
        const Uid first = static_cast<Uid>(random() % 40);
        ranges.push_back({first, first + static_cast<Uid>(random() % 5) - 1});
      }
      return ranges;
    };
    const UidRanges raw = make();
    const UidRanges a = Normalize(raw);
    const UidRanges b = Normalize(make());
    const Set sa = ToSet(a);
    const Set sb = ToSet(b);
    Set both;
    Set only;
    Set all = sa;
    for (Uid uid : sa) (sb.contains(uid) ? both : only).insert(uid);
    all.insert(sb.begin(), sb.end());
    CHECK(ToSet(Intersect(a, b)) == both);
    CHECK(ToSet(Subtract(a, b)) == only);
    CHECK(ToSet(Union(a, b)) == all);
    CHECK((IsNormal(Intersect(a, b)) && IsNormal(Subtract(a, b)) && IsNormal(Union(a, b))));
    CHECK(Count(a) == sa.size());
    CHECK(FromUids(Expand(a)) == a);
    uint64_t sequence = 0;
    for (Uid uid = 1; uid < 50; ++uid) {
      CHECK(Contains(a, uid) == sa.contains(uid));
      const uint64_t expected = sa.contains(uid) ? ++sequence : 0;
      CHECK(SequenceOf(a, uid) == expected);
      if (expected != 0) CHECK(UidAt(a, expected) == uid);
    }
    CHECK(UidAt(a, sequence + 1) == 0);
    UidRanges rest = a;
    const uint64_t take = random() % 10;
    const UidRanges front = TakeFront(&rest, take);
    CHECK(Count(front) == std::min<uint64_t>(take, sa.size()));
    CHECK(Union(front, rest) == a);
    CHECK(Intersect(front, rest).empty());
  }
}

TEST_CASE("UidRanges holds at the ends of the number range", "[store][unit]") {
  const UidRanges all = {kAllUids};
  CHECK(Count(all) == 0xffffffffull);
  CHECK(Subtract(all, {{1, 1}, {0xffffffff, 0xffffffff}}) == UidRanges{{2, 0xfffffffe}});
  CHECK(Subtract(all, all).empty());
  CHECK(Normalize({{0xffffffff, 0xffffffff}, {5, 4}, {0, 9}}) ==
        UidRanges{{0xffffffff, 0xffffffff}});
  CHECK(ToString({{1, 3}, {7, 7}}) == "1:3,7");
}

}  // namespace
}  // namespace godwit::store

#include "libs/imap/uid_set.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

namespace godwit::imap {
namespace {

UidSet Make(std::initializer_list<std::pair<uint32_t, uint32_t>> ranges) {
  UidSet set;
  for (const auto& [first, last] : ranges) set.AddRange(first, last);
  return set;
}

TEST_CASE("UidSet joins ranges that overlap or touch", "[imap][unit]") {
  CHECK(Make({{1, 3}, {4, 5}, {9, 9}, {7, 8}}).ToString() == "1:5,7:9");
  CHECK(Make({{5, 9}, {1, 20}}).ToString() == "1:20");
  CHECK(Make({{1, 1}, {3, 3}, {5, 5}, {2, 4}}).ToString() == "1:5");
  CHECK(Make({{4294967295u, 4294967295u}, {4294967290u, 4294967294u}}).ToString() ==
        "4294967290:4294967295");
}

TEST_CASE("UidSet maps sequence numbers to UIDs and back", "[imap][unit]") {
  const UidSet uids = Make({{10, 12}, {20, 20}, {30, 31}});
  CHECK(uids.size() == 6);
  CHECK(uids.Select(0) == std::nullopt);
  CHECK(uids.Select(3) == 12u);
  CHECK(uids.Select(4) == 20u);
  CHECK(uids.Select(6) == 31u);
  CHECK(uids.Select(7) == std::nullopt);
  CHECK(uids.Rank(20) == 4);
  CHECK(uids.Rank(25) == 4);
  CHECK(uids.Rank(9) == 0);
  CHECK(uids.AtLeast(13) == 20u);
  CHECK(uids.AtLeast(32) == std::nullopt);
  CHECK(uids.SelectAll(Make({{2, 4}, {6, 9}})).ToString() == "11:12,20,31");
  CHECK(uids.RankAll(Make({{11, 25}, {31, 99}})).ToString() == "2:4,6");
}

TEST_CASE("UidSet does what a std::set does", "[imap][unit]") {
  std::mt19937 random(GENERATE(range(1u, 9u)));
  std::set<uint32_t> model;
  UidSet set;
  for (int step = 0; step < 600; ++step) {
    const uint32_t first = random() % 300 + 1;
    const uint32_t last = first + random() % 4;
    if (random() % 2 == 0) {
      set.AddRange(first, last);
      for (uint32_t v = first; v <= last; ++v) model.insert(v);
    } else {
      CHECK(set.Remove(first) == (model.erase(first) == 1));
    }
  }
  REQUIRE(set.size() == model.size());
  uint32_t position = 0;
  for (const uint32_t value : model) {
    ++position;
    REQUIRE(set.Select(position) == value);
    REQUIRE(set.Rank(value) == position);
    REQUIRE(set.Contains(value));
  }
  std::vector<uint32_t> listed;
  set.ForEach([&](uint32_t v) { listed.push_back(v); });
  CHECK(std::equal(listed.begin(), listed.end(), model.begin(), model.end()));
  const auto unpacked = UidSet::Unpack(set.Pack());
  REQUIRE(unpacked.ok());
  CHECK(*unpacked == set);
}

TEST_CASE("UidSet intersects and subtracts like std::set", "[imap][unit]") {
  std::mt19937 random(GENERATE(range(1u, 9u)));
  UidSet a;
  UidSet b;
  for (int i = 0; i < 40; ++i) {
    const uint32_t x = random() % 200 + 1;
    a.AddRange(x, x + random() % 5);
    const uint32_t y = random() % 200 + 1;
    b.AddRange(y, y + random() % 9);
  }
  const UidSet both = a.Intersect(b);
  UidSet rest = a;
  rest.RemoveAll(b);
  for (uint32_t v = 0; v < 250; ++v) {
    CAPTURE(v);
    REQUIRE(both.Contains(v) == (a.Contains(v) && b.Contains(v)));
    REQUIRE(rest.Contains(v) == (a.Contains(v) && !b.Contains(v)));
  }
  CHECK(both.size() + rest.size() == a.size());
}

TEST_CASE("A large mailbox without gaps packs into a few bytes", "[imap][unit]") {
  CHECK(UidSet::Of(1, 1'000'000).Pack().size() <= 6);
  CHECK_FALSE(UidSet::Unpack("\xff\xff\xff\xff\xff\xff").ok());
  CHECK_FALSE(UidSet::Unpack(std::string("\x05\x00\x01\x00", 4)).ok());  // ranges that touch
}

}  // namespace
}  // namespace godwit::imap

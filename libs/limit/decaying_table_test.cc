#include "libs/limit/decaying_table.h"

#include <catch2/catch.hpp>
#include <thread>

namespace godwit::limit {
namespace {

constexpr Seed kSeed = {1, 2};
const absl::Duration kNow = absl::Hours(1);

NetworkKey Key(uint32_t number) { return {number, 32, true}; }

TEST_CASE("DecayingTable: a burst counts at once and fades by e in a period", "[limit][unit]") {
  DecayingTable table({.period = absl::Minutes(1)}, kSeed);
  CHECK(table.Level(Key(1), kNow) == 0);
  for (int i = 1; i <= 10; ++i) CHECK(table.Add(Key(1), 1, kNow) == Approx(i));
  CHECK(table.Level(Key(1), kNow + absl::Minutes(1)) == Approx(10 / 2.71828).epsilon(0.001));
  CHECK(table.Level(Key(1), kNow + absl::Hours(1)) < 1e-20);
  // A thread that read the clock earlier and comes later.
  CHECK(table.Level(Key(1), kNow - absl::Seconds(1)) == Approx(10));
  CHECK(table.Level(Key(2), kNow) == 0);
}

TEST_CASE("DecayingTable: who does r in each period has the level r", "[limit][unit]") {
  DecayingTable table({.period = absl::Minutes(1)}, kSeed);
  absl::Duration now = kNow;
  for (int i = 0; i < 10 * 60; ++i) table.Add(Key(1), 1, now += absl::Seconds(1));
  CHECK(table.Level(Key(1), now) == Approx(60).epsilon(0.02));
}

TEST_CASE("DecayingTable: half a million passers-by lend nobody their level and hide nobody",
          "[limit][unit]") {
  DecayingTable table({.period = absl::Minutes(1), .slots = 4096}, kSeed);
  constexpr uint32_t kPassers = 500'000;
  constexpr double kHeavy = kPassers / 500;  // each 500th is of one network
  double lowest = kPassers;
  for (uint32_t i = 0; i < kPassers; ++i) {
    CHECK_FALSE(table.Add(Key(100 + i), 1, kNow) > 1);
    if (i % 500 == 0) table.Add(Key(1), 1, kNow);
  }
  lowest = table.Level(Key(1), kNow);
  // The bound of the header: too low by an eighth of what its set did, about total / slots.
  CHECK(lowest <= kHeavy);
  CHECK(lowest >= kHeavy - 1.5 * (kPassers + kHeavy) / 4096);
  CHECK(table.Level(Key(7), kNow) == 0);
  // Nobody else is loud.
  const auto loud = table.Above(50, kNow);
  REQUIRE(loud.size() == 1);
  CHECK(loud[0].network == Key(1));
}

TEST_CASE("DecayingTable: with room for all it is exact", "[limit][unit]") {
  DecayingTable table({.period = absl::Minutes(1), .slots = 16384}, kSeed);
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < 4000; ++i) table.Add(Key(i), 1, kNow);
  }
  int exact = 0;
  for (uint32_t i = 0; i < 4000; ++i) exact += table.Level(Key(i), kNow) == Approx(3) ? 1 : 0;
  CHECK(exact >= 3995);  // a set of eight among a quarter of its keys is full once in thousands
  CHECK(table.Above(2.9, kNow).size() == static_cast<size_t>(exact));
  CHECK(table.Above(3.1, kNow).empty());
}

TEST_CASE("DecayingTable: threads that add at the same time lose nothing", "[limit][unit]") {
  DecayingTable table({.period = absl::Minutes(1)}, kSeed);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&table] {
      for (uint32_t i = 0; i < 10'000; ++i) table.Add(Key(i % 100), 1, kNow);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < 100; ++i) CHECK(table.Level(Key(i), kNow) == Approx(400));
}

}  // namespace
}  // namespace godwit::limit

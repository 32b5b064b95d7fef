#include "libs/base/rate_limiter.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_clock.h"

namespace godwit::base {
namespace {

TEST_CASE("A key has its amount at once, and again evenly over the period", "[base][unit]") {
  testing::FakeClock clock;
  RateLimiter limiter({.amount = 10, .period = absl::Hours(10)}, &clock);
  CHECK(limiter.Has("a", 10));
  CHECK_FALSE(limiter.Take("a", 11));
  CHECK(limiter.Take("a", 9));
  CHECK_FALSE(limiter.Take("a", 2));
  CHECK(limiter.Take("a", 1));
  CHECK_FALSE(limiter.Has("a", 1));
  CHECK(limiter.Take("b", 10));  // another one's is its own
  clock.Advance(absl::Minutes(61));
  CHECK(limiter.Has("a", 1));
  CHECK_FALSE(limiter.Has("a", 2));
  clock.Advance(absl::Hours(100));
  CHECK_FALSE(limiter.Has("a", 11));
  CHECK(limiter.Take("a", 10));
  limiter.GiveBack("a", 20);
  CHECK(limiter.Has("a", 10));
  CHECK_FALSE(limiter.Has("a", 11));
}

TEST_CASE("No amount is no limit", "[base][unit]") {
  testing::FakeClock clock;
  RateLimiter limiter({.amount = 0}, &clock);
  CHECK(limiter.Take("a", 1'000'000));
  CHECK(limiter.Has("a", 1'000'000));
}

TEST_CASE("With too many keys full ones are forgotten, and used ones are not", "[base][unit]") {
  testing::FakeClock clock;
  RateLimiter limiter({.amount = 10, .period = absl::Hours(1), .max_keys = 2}, &clock);
  CHECK(limiter.Take("a", 10));
  CHECK(limiter.Take("b", 1));
  CHECK(limiter.Take("c", 10));  // no room: not limited
  CHECK(limiter.Take("c", 10));
  clock.Advance(absl::Minutes(10));  // "b" is full again
  CHECK(limiter.Take("c", 10));
  CHECK_FALSE(limiter.Take("c", 10));
  CHECK_FALSE(limiter.Take("a", 10));
}

}  // namespace
}  // namespace godwit::base

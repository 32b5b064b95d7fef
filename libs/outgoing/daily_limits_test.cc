#include "libs/outgoing/daily_limits.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_clock.h"

namespace godwit::outgoing {
namespace {

TEST_CASE("What there is of a day is taken whole or not at all", "[outgoing][unit]") {
  testing::FakeClock clock;
  DailyLimits limits({.messages = 3, .recipients = 10}, &clock);
  CHECK_FALSE(limits.Take(1, 8));
  CHECK(limits.Take(1, 3) == "recipients");
  CHECK(limits.HasMessage(1));
  CHECK_FALSE(limits.Take(1, 1));
  CHECK_FALSE(limits.Take(1, 1));
  CHECK(limits.Take(1, 0) == "messages");
  CHECK_FALSE(limits.HasMessage(1));
  CHECK_FALSE(limits.HasRecipients(1, 1));
  CHECK_FALSE(limits.Take(2, 10));  // somebody else
  limits.GiveBack(1, 8);
  CHECK(limits.HasMessage(1));
  CHECK(limits.HasRecipients(1, 8));
  clock.Advance(absl::Hours(24));
  CHECK_FALSE(limits.Take(1, 10));
}

TEST_CASE("No limit is none", "[outgoing][unit]") {
  testing::FakeClock clock;
  DailyLimits limits({}, &clock);
  CHECK_FALSE(limits.Take(1, 1'000'000));
  CHECK(limits.HasMessage(1));
}

}  // namespace
}  // namespace godwit::outgoing

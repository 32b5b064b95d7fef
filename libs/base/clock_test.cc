#include "libs/base/clock.h"

#include <catch2/catch.hpp>
#include <ctime>

namespace godwit::base {
namespace {

TEST_CASE("The system clock tells the wall clock's time and never runs back", "[base][unit]") {
  Clock* clock = Clock::System();
  const absl::Time before = absl::FromTimeT(std::time(nullptr));
  const absl::Time now = clock->Now();
  CHECK(now >= before - absl::Seconds(1));
  CHECK(now <= before + absl::Minutes(1));
  absl::Duration last = clock->Monotonic();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration next = clock->Monotonic();
    CHECK(next >= last);
    last = next;
  }
}

}  // namespace
}  // namespace godwit::base

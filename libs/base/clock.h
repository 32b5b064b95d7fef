#pragma once

// Clock: where time comes from. Everything that needs the time takes a Clock*, so that tests hold
// it (testing::FakeClock) and SQL never says now().

#include "absl/time/time.h"

namespace godwit::base {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall-clock time: for stored times, header dates, signature and certificate lifetimes.
  virtual absl::Time Now() const = 0;
  // Monotonic time since an unnamed start: for timeouts and lease margins.
  virtual absl::Duration Monotonic() const = 0;

  // The machine's clock; lives for ever.
  static Clock* System();
};

}  // namespace godwit::base

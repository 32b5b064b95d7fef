#pragma once

// FakeClock: a base::Clock that moves only when a test says so. Any thread may read and advance it.

#include <mutex>

#include "absl/time/time.h"
#include "libs/base/clock.h"

namespace godwit::testing {

class FakeClock : public base::Clock {
 public:
  // Starts at 2026-01-01 00:00:00 UTC unless told otherwise.
  FakeClock() : FakeClock(absl::FromUnixSeconds(1767225600)) {}
  explicit FakeClock(absl::Time start) : now_(start) {}

  absl::Time Now() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }
  absl::Duration Monotonic() const override {
    std::lock_guard lock(mutex_);
    return monotonic_;
  }

  // Both clocks move on.
  void Advance(absl::Duration by) {
    std::lock_guard lock(mutex_);
    now_ += by;
    monotonic_ += by;
  }
  // Only the wall clock jumps, as when somebody sets it.
  void SetWallClock(absl::Time now) {
    std::lock_guard lock(mutex_);
    now_ = now;
  }

 private:
  mutable std::mutex mutex_;
  absl::Time now_;
  absl::Duration monotonic_ = absl::Seconds(1000);
};

}  // namespace godwit::testing

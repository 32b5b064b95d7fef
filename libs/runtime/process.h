#pragma once

// Process: what the running daemon says of itself, and how it is told to end.
//
// Kept by ServiceMain, read by the Admin service (libs/admin). Any thread, once Run() has begun.

#include <atomic>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/runtime/config_summary.h"

namespace godwit::runtime {

class Process {
 public:
  absl::Time started() const { return started_; }
  absl::Duration uptime() const { return base::Clock::System()->Monotonic() - started_monotonic_; }
  bool serving() const { return serving_; }
  bool draining() const { return draining_; }
  // Without secrets.
  const std::vector<Setting>& settings() const { return settings_; }

  // What SIGTERM does; returns at once. OK when it drains already. FailedPrecondition when no
  // ServiceMain runs (tests).
  absl::Status Drain();

 private:
  friend class ServiceMain;

  const absl::Time started_ = base::Clock::System()->Now();
  const absl::Duration started_monotonic_ = base::Clock::System()->Monotonic();
  std::atomic<bool> running_{false};  // ServiceMain waits for signals
  std::atomic<bool> serving_{false};
  std::atomic<bool> draining_{false};
  std::vector<Setting> settings_;  // set before Service::Start(), then constant
};

}  // namespace godwit::runtime

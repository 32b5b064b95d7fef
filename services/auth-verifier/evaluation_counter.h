#pragma once

// EvaluationCounter: counts messages for reports, in the store. An attacker with many domains and
// addresses fills no more than the room that is configured.

#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "services/auth-verifier/aggregate_report.h"

namespace godwit::auth_verifier {

class EvaluationCounter {
 public:
  struct Options {
    CountingOptions counting;
    store::DmarcRoom room;
  };
  // Pool and clock outlive it.
  EvaluationCounter(Options options, db::Pool* pool, const base::Clock* clock);

  // Durable when it has answered; how many found no room. Unknown: they may have been counted.
  base::Task<absl::StatusOr<int64_t>> Add(std::vector<ReportedMessage> messages);

 private:
  base::Task<absl::StatusOr<store::DmarcRoom>> Room();

  const Options options_;
  db::Pool* const pool_;
  const base::Clock* const clock_;
  std::mutex mutex_;
  store::DmarcTotals totals_;  // of all replicas, as they were not long ago
  absl::Duration counted_ = -absl::InfiniteDuration();
};

}  // namespace godwit::auth_verifier

#pragma once

// RateLimiter: how much each of many may do in a period: messages of an account, failed logins of
// an address. A bucket a key, full at first, that fills again evenly over the period.
//
//   RateLimiter limiter({.amount = 1000, .period = absl::Hours(24)}, clock);
//   if (!limiter.Take(account, 1)) ... later ...
//
// Approximate by design: each process counts for itself and forgets when it ends, so with n
// replicas up to n times the amount may pass. Memory is bounded: above max_keys those are forgotten
// that are full, and if there are none, new keys are not limited. Thread-safe.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "libs/base/clock.h"

namespace godwit::base {

class RateLimiter {
 public:
  struct Options {
    int64_t amount = 0;  // 0: no limit
    absl::Duration period = absl::Hours(24);
    size_t max_keys = 100'000;
  };
  RateLimiter(const Options& options, const Clock* clock) : options_(options), clock_(clock) {}

  // Takes `amount` if it is there; else takes nothing and says false.
  bool Take(const std::string& key, int64_t amount);
  // Whether Take() would succeed now.
  bool Has(const std::string& key, int64_t amount);
  // What was taken was not used after all.
  void GiveBack(const std::string& key, int64_t amount);

 private:
  struct Bucket {
    double level = 0;
    absl::Duration at;  // on the monotonic clock
  };
  // The bucket as it is now; nullptr: not limited.
  Bucket* Find(const std::string& key);
  double LevelAt(const Bucket& bucket, absl::Duration now) const;
  void ForgetFull(absl::Duration now);

  const Options options_;
  const Clock* const clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;  // guarded by mutex_
  absl::Duration swept_;                             // guarded by mutex_
};

}  // namespace godwit::base

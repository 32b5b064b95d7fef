#include "libs/base/rate_limiter.h"

#include <algorithm>

namespace godwit::base {
namespace {

// A sweep looks at every key: not more often than this.
constexpr absl::Duration kSweepPause = absl::Seconds(1);

}  // namespace

double RateLimiter::LevelAt(const Bucket& bucket, absl::Duration now) const {
  const auto full = static_cast<double>(options_.amount);
  return std::min(full, bucket.level + full * absl::FDivDuration(now - bucket.at, options_.period));
}

void RateLimiter::ForgetFull(absl::Duration now) {
  if (now - swept_ < kSweepPause) return;
  swept_ = now;
  const auto full = static_cast<double>(options_.amount);
  std::erase_if(buckets_, [&](const auto& entry) { return LevelAt(entry.second, now) >= full; });
}

RateLimiter::Bucket* RateLimiter::Find(const std::string& key) {
  const absl::Duration now = clock_->Monotonic();
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= options_.max_keys) ForgetFull(now);
    if (buckets_.size() >= options_.max_keys) return nullptr;
    found = buckets_.emplace(key, Bucket{static_cast<double>(options_.amount), now}).first;
  }
  found->second = {LevelAt(found->second, now), now};
  return &found->second;
}

bool RateLimiter::Take(const std::string& key, int64_t amount) {
  if (options_.amount == 0) return true;
  std::lock_guard lock(mutex_);
  Bucket* bucket = Find(key);
  if (bucket == nullptr) return true;
  if (bucket->level < static_cast<double>(amount)) return false;
  bucket->level -= static_cast<double>(amount);
  return true;
}

bool RateLimiter::Has(const std::string& key, int64_t amount) {
  if (options_.amount == 0) return true;
  std::lock_guard lock(mutex_);
  const auto found = buckets_.find(key);
  const double level = found == buckets_.end() ? static_cast<double>(options_.amount)
                                               : LevelAt(found->second, clock_->Monotonic());
  return level >= static_cast<double>(amount);
}

void RateLimiter::GiveBack(const std::string& key, int64_t amount) {
  std::lock_guard lock(mutex_);
  const auto found = buckets_.find(key);
  if (found == buckets_.end()) return;
  found->second.level = std::min(static_cast<double>(options_.amount),
                                 found->second.level + static_cast<double>(amount));
}

}  // namespace godwit::base

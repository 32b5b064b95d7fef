#include "services/delivery-queue/retry.h"

#include <algorithm>

namespace godwit::delivery_queue {
namespace {

constexpr int kMaxDoublings = 20;

}  // namespace

absl::Duration PauseAfter(int attempts, const RetryPolicy& policy, base::RandomSource* random) {
  const int doublings = std::clamp(attempts - 1, 0, kMaxDoublings);
  const absl::Duration pause = std::min(policy.first * (int64_t{1} << doublings), policy.longest);
  return pause + pause * static_cast<double>(random->Id63() % 1000) / 5000;
}

Deferral Defer(int attempts, absl::Time now, absl::Time expires, const RetryPolicy& policy,
               base::RandomSource* random) {
  if (now >= expires) return {.give_up = true, .next_attempt = absl::InfiniteFuture()};
  return {.give_up = false,
          .next_attempt = std::min(now + PauseAfter(attempts, policy, random), expires)};
}

bool DelayIsDue(absl::Time now, absl::Time enqueued, bool told, const RetryPolicy& policy) {
  return !told && now - enqueued >= policy.delay_notice;
}

}  // namespace godwit::delivery_queue

#pragma once

// When a recipient that could not be reached is tried again, when he is given up, and when his
// sender is told of the delay. Pure.

#include "absl/time/time.h"
#include "libs/base/random.h"

namespace godwit::delivery_queue {

struct RetryPolicy {
  absl::Duration first = absl::Minutes(5);
  absl::Duration longest = absl::Hours(4);
  absl::Duration delay_notice = absl::Hours(4);
};

// The pause after attempt number `attempts` (1 is the first): doubled with each, up to `longest`,
// and made up to a fifth longer by chance, so that what failed together does not come back
// together.
absl::Duration PauseAfter(int attempts, const RetryPolicy& policy, base::RandomSource* random);

// What an attempt that failed for now means for its recipient.
struct Deferral {
  bool give_up = false;
  absl::Time next_attempt;  // when it is not given up
};
// RFC 5321 §4.5.4.1. There is always one attempt, also of a message that was held beyond its time;
// the last one is at the time of expiry, not one pause later.
Deferral Defer(int attempts, absl::Time now, absl::Time expires, const RetryPolicy& policy,
               base::RandomSource* random);

// Whether the sender is to be told now that it takes longer.
bool DelayIsDue(absl::Time now, absl::Time enqueued, bool told, const RetryPolicy& policy);

}  // namespace godwit::delivery_queue

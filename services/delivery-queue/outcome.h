#pragma once

// From what a dialogue came to to what is written down: the recipients' new states, when those that
// are left are tried again, and what the sender is to be told. Pure.

#include <vector>

#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/dsn/dsn.h"
#include "libs/store/queue_record.h"
#include "services/delivery-queue/message.h"
#include "services/delivery-queue/retry.h"

namespace godwit::delivery_queue {

struct Outcome {
  store::AttemptRecord record;  // without notices
  // What the sender is told, where he wants to be: empty for nothing.
  std::vector<dsn::Recipient> told;
};

// What makes a notice about `outcome` the only one with its idempotency key: the message, the first
// recipient whose attempt is counted, and the number of that attempt, which each outcome raises.
std::string NoticeKey(const Attempt& attempt, const Outcome& outcome);

Outcome MakeOutcome(const Job& job, const JobResult& result, absl::Time now,
                    const RetryPolicy& policy, base::RandomSource* random);

// "550 5.1.1 No such user", one line of at most store::kMaxReply octets.
std::string ReplyLine(const smtp::Reply& reply);
smtp::DsnNotify NotifyFrom(int mask);

}  // namespace godwit::delivery_queue

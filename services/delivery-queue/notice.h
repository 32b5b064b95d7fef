#pragma once

// NoticeWriter: makes the notification (DSN) about an attempt as a message for the queue: written
// by libs/dsn, signed where we have a key, to be enqueued with the outcome in one transaction.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dsn/dsn.h"
#include "libs/store/queue.h"
#include "services/delivery-queue/message.h"
#include "services/delivery-queue/settings.h"
#include "services/delivery-queue/signer.h"

namespace godwit::delivery_queue {

class NoticeWriter {
 public:
  struct Parts {
    const Settings* settings = nullptr;
    db::Pool* pool = nullptr;
    base::RandomSource* random = nullptr;
    Signer* signer = nullptr;  // null: notices leave unsigned
  };
  explicit NoticeWriter(const Parts& parts) : parts_(parts) {}

  // About `told`, who are recipients of `attempt`. `key` (NoticeKey() of the outcome) is that of no
  // other notice, so that this one is enqueued once. NotFound when the message is gone; whatever
  // else fails may be tried again.
  base::Task<absl::StatusOr<store::NewQueueMessage>> Write(AttemptPtr attempt,
                                                           std::vector<dsn::Recipient> told,
                                                           std::string key, absl::Time now);

 private:
  base::Task<absl::StatusOr<std::string>> Read(AttemptPtr attempt, int32_t seq);
  base::Task<absl::StatusOr<std::string>> ReadBody(AttemptPtr attempt);
  // As it is when there is no signature to be had.
  base::Task<std::string> Sign(std::string text, std::string from, std::string trace);
  absl::StatusOr<store::NewQueueMessage> Pack(const Attempt& attempt, std::string text,
                                              bool smtputf8, std::string key, absl::Time now) const;

  const Parts parts_;
};

}  // namespace godwit::delivery_queue

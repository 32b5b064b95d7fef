#pragma once

// Writing down what an attempt came to.
//
// Every write is fenced: by the epoch of the shard's lease, or by the claim of a first attempt. One
// that comes too late changes nothing and says kStale. A message without a pending recipient is
// removed in the same transaction, and the notifications (DSNs) that the outcome asks for are
// enqueued in it: one that is due is never lost, and never sent twice.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/queue.h"

namespace godwit::store {

enum class RecipientState { kPending, kDelivered, kFailed };

struct RecipientRecord {
  int number = 0;
  RecipientState state = RecipientState::kPending;
  absl::Time next_attempt;        // of one that stays pending
  std::string reply;              // of the server, or what was wrong; for people, cut at kMaxReply
  std::string site;               // the host that was spoken to
  bool delayed_dsn_sent = false;  // its sender is told of the delay now
  // False, of one that stays pending: he was not asked for, it was no attempt of his.
  bool counted = true;
};
inline constexpr size_t kMaxReply = 1000;

struct AttemptRecord {
  QueueId id = QueueId::kNone;
  int64_t epoch = 0;  // of the shard's lease; 0: a first attempt under a claim
  // Nothing else of this attempt will come: a claim ends.
  bool last = true;
  absl::Time at;
  std::vector<RecipientRecord> recipients;
  std::vector<NewQueueMessage> notices;
};

enum class RecordCode {
  kWritten,
  kGone,   // the message is not there any more: dropped, or ended by another
  kStale,  // the lease or claim is another's by now
};
struct RecordResult {
  RecordCode code = RecordCode::kWritten;
  int pending = 0;  // recipients that are left; with none the message is gone
  // Notices of a record that is written whose keys belong to other messages: they are not enqueued,
  // which is a fault of the caller's.
  int notices_lost = 0;
};

// All in one transaction. Two records of one message may be in a group.
absl::StatusOr<std::vector<RecordResult>> RecordGroup(db::Connection& connection,
                                                      std::span<const AttemptRecord* const> records,
                                                      WorkerId worker,
                                                      const EnqueueOptions& options);

}  // namespace godwit::store

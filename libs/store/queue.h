#pragma once

// The queue's messages: taking them, and reading what they say.
//
// What it is: the durable half of delivery-queue. A message is a row, its recipients, and its
// octets in chunks (0 the header, 1.. the body, as in blob.h). Who works on it and when is
// queue_lease.h; what an attempt came to is queue_record.h; what an operator does is queue_admin.h.
// Every state is told in docs/queue-states.md.
//
// Enqueue is idempotent: a key of the caller leads to one message for ever (as long as the key is
// kept, see EnqueueOptions::keep_keys). A large body is staged first: written chunk by chunk while
// it arrives, in short transactions, under the queue id the message will have; EnqueueGroup only
// refers to it, SweepQueue removes what nobody enqueued.
//
//   NewQueueMessage message{.id = NewQueueId(random), .idempotency_key = key, ...};
//   auto results = EnqueueGroup(connection, {&message}, {.worker = me, .claim =
//   absl::Seconds(20)});
//
// All functions block on the database; errors as in libs/db.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

enum class QueueId : int64_t { kNone = 0 };   // random, 63 bits
enum class WorkerId : int64_t { kNone = 0 };  // random, drawn anew at each start of a worker

inline constexpr int kQueueShards = 256;
// Ids are random, so their rest is as good as any hash.
constexpr int ShardOf(QueueId id) { return static_cast<int>(ToInt(id) % kQueueShards); }
QueueId NewQueueId(base::RandomSource* random);

enum class QueueOrigin { kSubmission, kForward, kDsn, kReport, kLocal, kRelay };
std::string_view QueueOriginName(QueueOrigin origin);  // as the column has it: "submission"

// RFC 3461 §4.1. Bits of QueueRecipient::notify; none: failures and delays are told.
inline constexpr int kNotifyNever = 1;
inline constexpr int kNotifySuccess = 2;
inline constexpr int kNotifyFailure = 4;
inline constexpr int kNotifyDelay = 8;

struct NewQueueRecipient {
  std::string local_part;  // unquoted
  std::string domain;      // A-labels, lower case; or an address literal
  std::string orcpt;       // RFC 3461 §4.2 as it came: "rfc822;..."
  int notify = 0;
};

// The envelope and what is known of a message, but for its recipients and content.
struct QueueEnvelope {
  QueueOrigin origin = QueueOrigin::kSubmission;
  AccountId account = AccountId::kNone;
  std::string client_address;              // "" unknown
  std::string user;                        // who authenticated; "" nobody
  std::string reverse_path;                // "" for <>
  std::string ret;                         // RFC 3461 §4.3: "", "FULL", "HDRS"
  std::string envid;                       // decoded
  bool requiretls = false;                 // RFC 8689
  bool smtputf8 = false;                   // RFC 6531: an address or the header needs it
  bool body_8bit = false;                  // there are octets above 127
  std::optional<absl::Time> hold_until{};  // RFC 4865
  std::string trace_id;
  absl::Time enqueued_at;
  absl::Time expires_at;
};

// A body that is being staged.
struct StagedQueueBody {
  int32_t next_seq = 1;
  int64_t size = 0;
};

struct NewQueueMessage {
  QueueId id = QueueId::kNone;
  std::string idempotency_key;
  QueueEnvelope envelope;
  std::vector<NewQueueRecipient> recipients;
  std::string header;  // with the empty line behind it
  std::string body;    // empty when it is staged
  std::optional<StagedQueueBody> staged{};
  // The first attempt is the worker's who takes it; nobody else looks at it until the claim ends.
  // Not for a message with hold_until.
  bool claim = false;
};

struct EnqueueOptions {
  WorkerId worker = WorkerId::kNone;
  absl::Duration claim = absl::Seconds(20);
  // A key is remembered for so long, and for as long as its message waits.
  absl::Duration keep_keys = absl::Hours(6);
};

enum class EnqueueCode {
  kTaken,
  kDuplicate,  // the key is known; `id` is the message it led to
  kExpired,    // the staged body was swept
};
struct EnqueueResult {
  EnqueueCode code = EnqueueCode::kTaken;
  QueueId id = QueueId::kNone;
};

// All in one transaction (the caller's, if one is open). InvalidArgument for a message without
// recipients or with a header above kMaxHeaderSize; then nothing is taken.
absl::StatusOr<std::vector<EnqueueResult>> EnqueueGroup(
    db::Connection& connection, std::span<const NewQueueMessage* const> messages,
    const EnqueueOptions& options);

// Begins a staged body under the id that the message will have.
absl::StatusOr<StagedQueueBody> StageQueueBody(db::Connection& connection, QueueId id,
                                               absl::Time expires);
// Adds the next chunk: kChunkSize octets, fewer only for the last one; it is kept until `expires`
// at least. FailedPrecondition when it was swept.
absl::Status StageQueueChunk(db::Connection& connection, QueueId id, StagedQueueBody* staged,
                             std::string_view octets, absl::Time expires);
// Gives it up at once; the sweep would do it, too.
absl::Status DropStagedQueueBody(db::Connection& connection, QueueId id);

// Staged bodies and keys that are over, at most `limit` of each. With `limit` or more there may be
// others: call it again.
absl::StatusOr<int64_t> SweepQueue(db::Connection& connection, absl::Time now, int limit = 100);

// Chunk `seq` of a message: 0 is the header. NotFound past the end, or when the message is gone.
absl::StatusOr<std::string> ReadQueueChunk(db::Connection& connection, QueueId id, int32_t seq);

// May this account send now? An error is the database's.
enum class SendingAccount { kMaySend, kDisabled, kUnknown };
absl::StatusOr<SendingAccount> LookupSendingAccount(db::Connection& connection, AccountId account);

}  // namespace godwit::store

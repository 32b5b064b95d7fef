#pragma once

// Who works on what: leases of shards, claims of first attempts, and the messages that are due.
//
// A worker beats every few seconds: that prolongs its lease by the database's clock and takes
// shards of workers whose lease is over, up to its fair share. Each shard has an epoch that grows
// with every change of hands; queue_record.h writes nothing for an epoch that is not the present
// one. A worker must count on its lease only until `lease` after it began to beat, on its own
// monotonic clock.
//
//   const absl::Duration until = clock->Monotonic() + lease;      // before the call
//   auto leases = BeatQueue(connection, me, "10.1.2.3:9000", lease);
//
// New messages do not wait for that: the worker that enqueued one has a claim on it (queue.h), and
// loads nothing. A claim that ended without a word is seen by the shard's worker like any due
// message and taken over.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/queue.h"

namespace godwit::store {

struct ShardLease {
  int shard = 0;
  int64_t epoch = 0;
};
struct QueueLeases {
  std::vector<ShardLease> shards;  // all that the worker has now, ascending
  int share = kQueueShards;        // how many it should have
};

absl::StatusOr<QueueLeases> BeatQueue(db::Connection& connection, WorkerId worker,
                                      std::string_view address, absl::Duration lease);

// Gives up some shards, so that others get their share: nothing of them may be in work.
absl::Status ReleaseShards(db::Connection& connection, WorkerId worker,
                           std::span<const int64_t> shards);
// Gives up everything: the worker ends. `claims` are first attempts that it did not end, which are
// due at `now`.
absl::Status LeaveQueue(db::Connection& connection, WorkerId worker,
                        std::span<const int64_t> claims, absl::Time now);

// Prolongs claims on first attempts that take longer. Returns those that are still the worker's.
absl::StatusOr<std::vector<QueueId>> RenewClaims(db::Connection& connection, WorkerId worker,
                                                 std::span<const int64_t> claims, absl::Time now,
                                                 absl::Duration claim);

// A recipient that is due.
struct DueRecipient {
  int number = 0;
  std::string local_part{};
  std::string domain{};
  std::string orcpt{};
  int notify = 0;
  int attempts = 0;
  bool delayed_dsn_sent = false;
};

struct DueMessage {
  QueueId id = QueueId::kNone;
  QueueEnvelope envelope;
  int64_t size = 0;
  int64_t header_size = 0;
  absl::Time next_due;
  // An operator has given it up: every recipient fails with this text ("" the standard one).
  std::optional<std::string> give_up;
  std::vector<DueRecipient> recipients;  // those that are due, ascending
};

// Where a page of the schedule begins: behind this one.
struct DueCursor {
  absl::Time due = absl::InfinitePast();
  QueueId id = QueueId::kNone;
};

struct DuePage {
  std::vector<DueMessage> messages;
  DueCursor end;      // where the next page begins
  bool more = false;  // the page was full
};

// Messages of `shards` that are due at `until`, by time, at most `limit`. Takes over claims that
// are over, but not of `busy`: first attempts that this worker is at still, whose outcome would be
// stale. What somebody else has a claim on, or is held, does not appear.
absl::StatusOr<DuePage> LoadDue(db::Connection& connection, std::span<const int64_t> shards,
                                const DueCursor& from, absl::Time until, int limit,
                                std::span<const int64_t> busy = {});

// Of `ids`, those that LoadDue would give, in its order.
absl::StatusOr<std::vector<DueMessage>> LoadQueued(db::Connection& connection,
                                                   std::span<const int64_t> shards,
                                                   std::span<const int64_t> ids, absl::Time until);

// The recipients of a message that may be attempted still, ascending; none when it is gone, held or
// given up. What waited in memory for a while is asked for again before its dialogue begins.
absl::StatusOr<std::vector<int>> StillDue(db::Connection& connection, QueueId id);

// What lies in the worker's shards, for its metrics.
struct QueueDepth {
  int64_t messages = 0;
  int64_t held = 0;
  std::optional<absl::Time> oldest;  // enqueued, not held
};
absl::StatusOr<QueueDepth> MeasureQueue(db::Connection& connection,
                                        std::span<const int64_t> shards);

}  // namespace godwit::store

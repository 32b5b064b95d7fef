#pragma once

// What an operator sees of the queue and does about it. Everything here is a change in the
// database; workers see it within two seconds (they look for what is due every second, and look
// again at what waited in memory before they begin with it). An attempt that is under way is not
// interrupted.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/queue.h"

namespace godwit::store {

// Which messages: all that is set must hold. With a recipient or a domain an action is on those
// recipients only.
struct QueueSelection {
  std::vector<QueueId> ids{};
  AccountId account = AccountId::kNone;
  std::string sender{};            // part of the reverse-path, any case
  std::string recipient{};         // part of a recipient's address, any case
  std::string recipient_domain{};  // exactly, in A-label form
  bool only_held = false;

  bool empty() const {
    return ids.empty() && account == AccountId::kNone && sender.empty() && recipient.empty() &&
           recipient_domain.empty() && !only_held;
  }
};

struct QueueRecipientStatus {
  int number = 0;
  std::string address;
  std::string state;  // "pending", "delivered", "failed", "dropped"
  bool hold = false;
  int attempts = 0;
  absl::Time next_attempt;
  std::optional<absl::Time> last_attempt;
  std::string last_reply;
  std::string last_site;
};

struct QueueMessageStatus {
  QueueId id = QueueId::kNone;
  QueueEnvelope envelope;
  int64_t size = 0;
  bool hold = false;
  std::string hold_reason;
  absl::Time next_due;         // InfiniteFuture while it is held
  bool first_attempt = false;  // a worker has a claim on it
  int recipients_total = 0;
  int recipients_pending = 0;
  std::vector<QueueRecipientStatus> recipients;  // ShowQueued only
};

// Oldest first, those behind (`after`, `after_id`), at most `limit`.
struct QueuePosition {
  absl::Time enqueued = absl::InfinitePast();
  QueueId id = QueueId::kNone;
};
absl::StatusOr<std::vector<QueueMessageStatus>> ListQueued(db::Connection& connection,
                                                           const QueueSelection& selection,
                                                           const QueuePosition& after, int limit);
// NotFound.
absl::StatusOr<QueueMessageStatus> ShowQueued(db::Connection& connection, QueueId id);

// Actions return how many messages were changed. InvalidArgument for an empty selection.

// Due now. Held ones stay held.
absl::StatusOr<int64_t> RetryQueued(db::Connection& connection, const QueueSelection& selection,
                                    absl::Time now);
absl::StatusOr<int64_t> HoldQueued(db::Connection& connection, const QueueSelection& selection,
                                   std::string_view reason);
// Ends holds of every kind; due now.
absl::StatusOr<int64_t> ReleaseQueued(db::Connection& connection, const QueueSelection& selection,
                                      absl::Time now);
// The message's worker fails every recipient of it and tells the sender. `text` is for the bounce.
// With a recipient or a domain: InvalidArgument, it is the whole message or nothing.
absl::StatusOr<int64_t> FailQueued(db::Connection& connection, const QueueSelection& selection,
                                   std::string_view text, absl::Time now);
// Removes without a word to anybody.
absl::StatusOr<int64_t> DropQueued(db::Connection& connection, const QueueSelection& selection);

}  // namespace godwit::store

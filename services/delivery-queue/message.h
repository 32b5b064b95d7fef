#pragma once

// Attempt and Job: a message in work in this process.
//
// An Attempt is one message from the moment it is loaded (or enqueued) to the moment its outcome is
// written. It is split into Jobs: the recipients of one site, at most so many, one SMTP transaction
// each. What is const after loading may be read on every thread; the rest says whose it is.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/store/queue_lease.h"
#include "services/delivery-queue/route.h"

namespace godwit::delivery_queue {

struct Attempt {
  store::DueMessage message;  // const after loading
  int64_t epoch = 0;          // of the shard's lease; 0: a first attempt under our claim
  // Its octets, when they are in memory still (a first attempt of a message that is not large).
  std::optional<std::string> header{};
  std::optional<std::string> body{};
  absl::Duration loaded_at;                               // monotonic
  absl::Duration enqueued_at = absl::InfiniteDuration();  // monotonic; of a first attempt
  // On the monotonic clock, in nanoseconds: our claim, which the worker prolongs. Any thread.
  std::atomic<int64_t> claim_until{0};
  // The lease or claim is another's: nothing more must be sent. Any thread.
  std::atomic<bool> lost{false};
  // Worker's thread only.
  int open_jobs = 0;
  int writing = 0;                 // outcomes that are being written
  base::Completion<bool> written;  // set when there is no open job and the last of these is written
  RoutePtr full;                   // a job of it found its site full

  store::QueueId id() const { return message.id; }
  const std::string& trace() const { return message.envelope.trace_id; }
};
using AttemptPtr = std::shared_ptr<Attempt>;

struct Job {
  AttemptPtr attempt;
  RoutePtr route;
  // Of the same lane, for other domains among the recipients: for their reports of TLS.
  std::vector<RoutePtr> also{};
  std::vector<size_t> recipients;  // of attempt->message.recipients
  int dead = 0;                    // connections that were found dead under it
};

// What became of one recipient.
struct RecipientResult {
  enum class State { kDelivered, kDeferred, kFailed };
  size_t recipient = 0;
  State state = State::kDeferred;
  smtp::Reply reply{};
  bool ours = false;       // the reply is our own words, not the server's
  std::string host{};      // that answered; "" nobody did
  bool dsn_taken = false;  // the server will tell the sender what becomes of it (RFC 3461 §5.2.2)
  const char* at = "";     // of metrics.h, when it is deferred
};

struct JobResult {
  std::vector<RecipientResult> recipients;
  bool uncertain = false;  // the dot was sent and its reply never came
  // Nobody has it, and another host may take it: all are put off, or we object to what this host
  // can not do.
  bool elsewhere = false;
};

// Everybody of `job` alike.
JobResult AllOf(const Job& job, RecipientResult::State state, const smtp::Reply& reply,
                const char* at);

}  // namespace godwit::delivery_queue

#pragma once

// Intake: one message that is being enqueued: checks who may, takes its octets as they come (a
// large body is staged in the database), commits.
//
//   Intake intake(&parts, caller);
//   GODWIT_CO_RETURN_IF_ERROR(intake.Begin(submission));     // co_await'ed pieces
//   ... intake.TakeHeader(bytes), co_await intake.TakeBody(bytes) ...
//   absl::StatusOr<store::EnqueueResult> result = co_await intake.Commit();
//
// Errors are those of the RPC (proto/godwit/delivery_queue/v1). On one reactor.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/store/queue.h"
#include "libs/store/queue_group.h"
#include "services/delivery-queue/settings.h"
#include "services/delivery-queue/signer.h"
#include "services/delivery-queue/worker.h"

namespace godwit::delivery_queue {

// What a caller says of a message, before its octets.
struct Submission {
  std::string caller;  // the daemon, by its certificate
  std::string key;
  store::QueueEnvelope envelope;  // without times
  struct Recipient {
    std::string address;
    int notify = 0;
    std::string orcpt;
  };
  std::vector<Recipient> recipients;
  uint64_t size = 0;  // 0: not known yet
};

// Shared by all intakes.
class IntakeShared {
 public:
  using Enqueuer = store::QueueGroup<store::NewQueueMessage, store::EnqueueResult>;

  struct Parts {
    const Settings* settings = nullptr;
    const base::Clock* clock = nullptr;
    base::RandomSource* random = nullptr;
    db::Pool* pool = nullptr;
    Worker* worker = nullptr;
    Signer* signer = nullptr;  // null: notifications leave unsigned
    Metrics* metrics = nullptr;
  };
  explicit IntakeShared(const Parts& parts);

  const Parts& parts() const { return parts_; }
  Enqueuer* enqueuer() { return &enqueuer_; }

  // OK, or PermissionDenied, which are remembered for two seconds; or the database's failure.
  // `account` 0: only the domain; `domain` "": only the account.
  base::Task<absl::Status> MaySend(int64_t account, std::string domain);

 private:
  struct Known {
    absl::Status verdict;
    absl::Duration until;
  };
  const Parts parts_;
  Enqueuer enqueuer_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // guarded by mutex_
};

class Intake {
 public:
  explicit Intake(IntakeShared* shared) : shared_(shared) {}

  base::Task<absl::Status> Begin(Submission submission);
  absl::Status TakeHeader(std::string_view bytes);
  base::Task<absl::Status> TakeBody(std::string bytes);
  // After the last octet; the first attempt has begun then.
  base::Task<absl::StatusOr<store::EnqueueResult>> Commit();
  // The caller is gone, or an error was returned: what was staged goes.
  base::Task<void> Abandon();

 private:
  const Settings& settings() const { return *shared_->parts().settings; }
  absl::Status TakeSubmission(const Submission& submission);
  absl::Status AddRecipient(const Submission::Recipient& recipient);
  absl::Status CheckSize(size_t more) const;
  absl::Status CheckLineEnds(std::string_view bytes);
  base::Task<absl::Status> Stage(std::string_view octets);
  base::Task<void> Sign();
  uint64_t size() const;

  IntakeShared* const shared_;
  store::NewQueueMessage message_;
  uint64_t expected_ = 0;
  bool body_begun_ = false;
  bool after_cr_ = false;
};

}  // namespace godwit::delivery_queue

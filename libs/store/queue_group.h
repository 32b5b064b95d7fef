#pragma once

// QueueGroup: what waits at the same moment shares a transaction, as in deliverer.h, for the
// queue's two hot writes (EnqueueGroup, RecordGroup).
//
//   QueueGroup<NewQueueMessage, EnqueueResult> enqueuer(&pool, {}, [=](db::Connection& c, auto
//   items) {
//     return EnqueueGroup(c, items, options);
//   });
//   absl::StatusOr<EnqueueResult> result = co_await enqueuer.Run(std::move(message));
//
// As there, a second group is begun beside one under way when it is full. When a group fails for a
// reason that is not the database's absence, each of it is tried once alone, so that only the
// poison fails. Thread-safe; outlives the coroutines that await it.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"

namespace godwit::store {

struct QueueGroupOptions {
  size_t max_group = 64;
  size_t max_group_bytes = 4 * 1024 * 1024;
  // Groups under way at the same time, each on a thread of the pool.
  int max_groups = 2;
  // Items that may wait; one more is refused with Unavailable.
  size_t max_waiting = 4000;
};

template <typename Item, typename Result>
class QueueGroup {
 public:
  using Commit = std::function<absl::StatusOr<std::vector<Result>>(db::Connection&,
                                                                   std::span<const Item* const>)>;

  QueueGroup(db::Pool* pool, QueueGroupOptions options, Commit commit)
      : pool_(pool), options_(options), commit_(std::move(commit)) {}
  ~QueueGroup() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0 && queue_.empty(); });
  }
  QueueGroup(const QueueGroup&) = delete;
  QueueGroup& operator=(const QueueGroup&) = delete;

  // Resumes after the commit. `item` is the caller's and lives until then; `bytes` is about what it
  // weighs. Errors as Commit's, and those of db::Pool.
  base::Task<absl::StatusOr<Result>> Run(const Item* item, size_t bytes) {
    base::Completion<absl::StatusOr<Result>> done;
    absl::Status queued = Add({item, bytes, done});
    if (!queued.ok()) co_return queued;
    absl::StatusOr<Result> result = co_await done;
    co_return result;
  }

 private:
  struct Waiting {
    const Item* item;
    size_t bytes;
    base::Completion<absl::StatusOr<Result>> done;
  };
  using Group = std::vector<Waiting>;

  absl::Status Add(Waiting waiting) {
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() >= options_.max_waiting) return base::Unavailable("too much is waiting");
      queue_bytes_ += waiting.bytes;
      queue_.push_back(std::move(waiting));
      // Two groups of five cost nearly twice as much as one of ten.
      if (running_ > 0 && !FullGroupWaits()) return absl::OkStatus();
      if (running_ >= options_.max_groups) return absl::OkStatus();
      ++running_;
    }
    absl::Status submitted =
        pool_->Submit([this](db::Connection* connection, absl::Status refused) {
          return RunGroups(connection, refused);
        });
    // Everything in the queue has a runner or an answer.
    if (!submitted.ok()) (void)RunGroups(nullptr, submitted);
    return absl::OkStatus();
  }

  // The mutex is held.
  bool FullGroupWaits() const {
    return queue_.size() >= options_.max_group || queue_bytes_ >= options_.max_group_bytes;
  }

  Group Take() {
    std::lock_guard lock(mutex_);
    Group group;
    size_t bytes = 0;
    const bool more = begun_ == 1 || FullGroupWaits();
    while (more && !queue_.empty() && group.size() < options_.max_group) {
      bytes += queue_.front().bytes;
      if (!group.empty() && bytes > options_.max_group_bytes) break;
      queue_bytes_ -= queue_.front().bytes;
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (group.empty()) {
      // Still under the lock: what is queued from now on starts a runner of its own. Nothing of
      // this object may be touched after the destructor could have seen it.
      --running_;
      --begun_;
      idle_.notify_all();
    }
    return group;
  }

  // Runs groups until nothing waits: one job of the pool.
  absl::Status RunGroups(db::Connection* connection, absl::Status refused) {
    {
      std::lock_guard lock(mutex_);
      ++begun_;
    }
    absl::Status last;
    for (Group group = Take(); !group.empty(); group = Take()) {
      last = connection == nullptr ? Answer(group, refused) : CommitGroup(*connection, group);
      if (connection != nullptr && !connection->Healthy()) {
        // A broken connection stays broken: the pool opens another for the next job.
        connection = nullptr;
        refused = base::Unavailable("connection lost");
      }
    }
    return last;
  }

  static absl::Status Answer(const Group& group, const absl::Status& status) {
    for (const Waiting& waiting : group) waiting.done.Set(status);
    return status;
  }

  absl::Status CommitGroup(db::Connection& connection, const Group& group) {
    std::vector<const Item*> items;
    for (const Waiting& waiting : group) items.push_back(waiting.item);
    absl::StatusOr<std::vector<Result>> results = commit_(connection, items);
    if (results.ok()) {
      for (size_t i = 0; i < group.size(); ++i) group[i].done.Set(std::move((*results)[i]));
      return absl::OkStatus();
    }
    // The database is away, or may have done it all: trying each alone helps nobody.
    const absl::Status status = results.status();
    const bool all = base::IsRetryable(status) || status.code() == absl::StatusCode::kUnknown;
    if (all || group.size() == 1) return Answer(group, status);
    for (const Waiting& waiting : group) {
      const Item* const alone[] = {waiting.item};
      absl::StatusOr<std::vector<Result>> result = commit_(connection, alone);
      if (result.ok()) {
        waiting.done.Set(std::move(result->front()));
      } else {
        waiting.done.Set(result.status());
      }
    }
    return status;
  }

  db::Pool* const pool_;
  const QueueGroupOptions options_;
  const Commit commit_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable idle_;
  std::deque<Waiting> queue_;
  size_t queue_bytes_ = 0;
  int running_ = 0;  // runners, those included that wait for a thread
  int begun_ = 0;
};

}  // namespace godwit::store

#pragma once

// Deliverer: the grouping committer. Deliveries that wait at the same moment share a transaction.
//
//   store::Deliverer deliverer(&pool, {});
//   auto result = co_await deliverer.Deliver(std::move(delivery));
//
// A message alone costs a commit; ten in a transaction cost little more. Nothing waits for company
// while nothing commits; while a group commits, what arrives gathers and is the next one. A group
// is bounded by count and bytes; when as much waits, another is begun beside the first. When a
// group fails for a reason that is not the database's absence (a poisonous message), each of it is
// tried once alone, so that only the poison fails. Unavailable and Unknown are given to all of the
// group: with Unknown it may have been delivered. What is over quota within a group is tried alone,
// too: the refused ones before it counted.
//
// An account may be locked for long, by a client that copies all of its mail or by a stuck session.
// A group waits for none: what concerns such an account is put aside and tried again, with a brief
// wait, by one runner apart from the others, and Unavailable after some ten seconds.
//
// Thread-safe; outlives the coroutines that await it. The order of deliveries is that of the calls
// within a group, and nothing is promised between groups.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/store/delivery.h"

namespace godwit::store {

struct DelivererOptions {
  size_t max_group = 32;
  size_t max_group_bytes = 4 * 1024 * 1024;
  // Groups under way at the same time, each on a thread of the pool.
  int max_groups = 2;
  // Deliveries that may wait; one more is refused with Unavailable. Those put aside
  // are bounded by half of it.
  size_t max_waiting = 1000;
};

struct DelivererStats {
  int64_t waiting = 0;
  int64_t groups_total = 0;
  int64_t deliveries_total = 0;     // attempted
  int64_t failed_groups_total = 0;  // split up
  int64_t postponed_total = 0;      // put aside: the account was locked
};

class Deliverer {
 public:
  explicit Deliverer(db::Pool* pool, DelivererOptions options = {});
  ~Deliverer();
  Deliverer(const Deliverer&) = delete;
  Deliverer& operator=(const Deliverer&) = delete;

  // Resumes after the commit. Errors as DeliverGroup's, and those of db::Pool.
  base::Task<absl::StatusOr<DeliveryResult>> Deliver(Delivery delivery);

  DelivererStats Stats() const;

 private:
  struct Waiting {
    Delivery delivery;
    base::Completion<absl::StatusOr<DeliveryResult>> done;
    int postponed = 0;
  };
  using Group = std::vector<std::unique_ptr<Waiting>>;

  absl::Status Enqueue(std::unique_ptr<Waiting> waiting);
  Group TakeFrom(std::deque<std::unique_ptr<Waiting>>* queue);
  bool FullGroupWaits() const;
  Group TakeGroup();
  Group TakePostponed();
  absl::Status RunGroup(db::Connection* connection, const absl::Status& refused);
  absl::Status RunPostponed(db::Connection* connection, const absl::Status& refused);
  absl::Status Commit(db::Connection& connection, WhenLocked when_locked, Group* group);
  void Settle(std::unique_ptr<Waiting> waiting, absl::StatusOr<DeliveryResult> result);
  absl::Status Postpone(std::unique_ptr<Waiting>* waiting);
  void SubmitPostponed();

  db::Pool* const pool_;
  const DelivererOptions options_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable idle_;
  std::deque<std::unique_ptr<Waiting>> queue_;
  size_t queue_bytes_ = 0;
  int running_ = 0;  // runners, those included that wait for a thread
  int begun_ = 0;
  // Those whose account was locked, and whether a runner of theirs is under way.
  std::deque<std::unique_ptr<Waiting>> postponed_;
  bool retrying_ = false;
  bool stopping_ = false;
  DelivererStats stats_;
};

}  // namespace godwit::store

#include "libs/store/deliverer.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

size_t Bytes(const Delivery& delivery) {
  return (delivery.header.size() + delivery.body.size() + delivery.summary.size()) *
         delivery.targets.size();
}

// The database is away, or may have done it all: trying each alone helps nobody.
bool ConcernsAll(const absl::Status& status) {
  return base::IsRetryable(status) || status.code() == absl::StatusCode::kUnknown;
}

// Each takes kBriefWait when the account stays locked: ten seconds.
constexpr int kMaxPostponed = 50;

}  // namespace

Deliverer::Deliverer(db::Pool* pool, DelivererOptions options) : pool_(pool), options_(options) {}

Deliverer::~Deliverer() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  idle_.wait(lock, [this] { return running_ == 0 && !retrying_ && queue_.empty(); });
}

base::Task<absl::StatusOr<DeliveryResult>> Deliverer::Deliver(Delivery delivery) {
  base::Completion<absl::StatusOr<DeliveryResult>> done;
  auto waiting = std::make_unique<Waiting>();
  waiting->delivery = std::move(delivery);
  waiting->done = done;
  absl::Status queued = Enqueue(std::move(waiting));
  if (!queued.ok()) co_return queued;
  absl::StatusOr<DeliveryResult> result = co_await done;
  co_return result;
}

DelivererStats Deliverer::Stats() const {
  std::lock_guard lock(mutex_);
  DelivererStats stats = stats_;
  stats.waiting = static_cast<int64_t>(queue_.size() + postponed_.size());
  return stats;
}

absl::Status Deliverer::Enqueue(std::unique_ptr<Waiting> waiting) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.max_waiting) {
      return base::Unavailable("too many deliveries are waiting");
    }
    queue_bytes_ += Bytes(waiting->delivery);
    queue_.push_back(std::move(waiting));
    // Two groups of five cost nearly twice as much as one of ten.
    if (running_ > 0 && !FullGroupWaits()) return absl::OkStatus();
    if (running_ >= options_.max_groups) return absl::OkStatus();
    ++running_;
  }
  absl::Status submitted = pool_->Submit([this](db::Connection* connection, absl::Status refused) {
    return RunGroup(connection, refused);
  });
  // Every delivery in the queue has a runner or an answer.
  if (!submitted.ok()) (void)RunGroup(nullptr, submitted);
  return absl::OkStatus();
}

// The mutex is held.
bool Deliverer::FullGroupWaits() const {
  return queue_.size() >= options_.max_group || queue_bytes_ >= options_.max_group_bytes;
}

// The mutex is held.
Deliverer::Group Deliverer::TakeFrom(std::deque<std::unique_ptr<Waiting>>* queue) {
  Group group;
  size_t bytes = 0;
  while (!queue->empty() && group.size() < options_.max_group) {
    bytes += Bytes(queue->front()->delivery);
    if (!group.empty() && bytes > options_.max_group_bytes) break;
    group.push_back(std::move(queue->front()));
    queue->pop_front();
  }
  return group;
}

Deliverer::Group Deliverer::TakeGroup() {
  std::lock_guard lock(mutex_);
  Group group;
  // The other runner takes what is less than a group.
  if (begun_ == 1 || FullGroupWaits()) group = TakeFrom(&queue_);
  for (const auto& waiting : group) queue_bytes_ -= Bytes(waiting->delivery);
  if (group.empty()) {
    // Still under the lock: what is queued from now on starts a runner of its own. Nothing of this
    // object may be touched after the destructor could have seen it.
    --running_;
    --begun_;
    idle_.notify_all();
    return group;
  }
  ++stats_.groups_total;
  stats_.deliveries_total += static_cast<int64_t>(group.size());
  return group;
}

Deliverer::Group Deliverer::TakePostponed() {
  std::lock_guard lock(mutex_);
  Group group = TakeFrom(&postponed_);
  if (group.empty()) {
    // As in TakeGroup.
    retrying_ = false;
    idle_.notify_all();
  }
  return group;
}

// Runs groups until nothing waits. One job of the pool: others wait for the thread, so it gives it
// back when the queue is empty, which under load it hardly ever is; then deliveries are the load.
absl::Status Deliverer::RunGroup(db::Connection* connection, const absl::Status& refused) {
  {
    std::lock_guard lock(mutex_);
    ++begun_;
  }
  absl::Status last;
  absl::Status reason = refused;
  for (Group group = TakeGroup(); !group.empty(); group = TakeGroup()) {
    last = connection == nullptr ? reason : Commit(*connection, WhenLocked::kSkip, &group);
    if (last.ok()) continue;
    for (auto& waiting : group) waiting->done.Set(last);
    if (connection != nullptr && !connection->Healthy()) {
      // A broken connection stays broken: the pool opens another for the next job.
      connection = nullptr;
      reason = base::Unavailable("connection lost");
    }
  }
  return last;
}

// One group of those put aside; then the thread goes back to the pool, where others wait for it.
absl::Status Deliverer::RunPostponed(db::Connection* connection, const absl::Status& refused) {
  Group group = TakePostponed();
  if (group.empty()) return absl::OkStatus();
  absl::Status last =
      connection == nullptr ? refused : Commit(*connection, WhenLocked::kBriefly, &group);
  if (!last.ok()) {
    for (auto& waiting : group) waiting->done.Set(last);
  }
  SubmitPostponed();
  return last;
}

// `retrying_` is set: there is one such runner.
void Deliverer::SubmitPostponed() {
  absl::Status submitted = pool_->Submit([this](db::Connection* connection, absl::Status refused) {
    return RunPostponed(connection, refused);
  });
  if (submitted.ok()) return;
  for (Group group = TakePostponed(); !group.empty(); group = TakePostponed()) {
    for (auto& waiting : group) waiting->done.Set(submitted);
  }
}

// Takes `*waiting` aside, or says why not and leaves it.
absl::Status Deliverer::Postpone(std::unique_ptr<Waiting>* waiting) {
  {
    std::lock_guard lock(mutex_);
    const bool full = postponed_.size() >= std::max<size_t>(1, options_.max_waiting / 2);
    if (stopping_ || full || ++(*waiting)->postponed > kMaxPostponed) {
      return base::Unavailable("the account is locked");
    }
    ++stats_.postponed_total;
    postponed_.push_back(std::move(*waiting));
    if (retrying_) return absl::OkStatus();
    retrying_ = true;
  }
  SubmitPostponed();
  return absl::OkStatus();
}

void Deliverer::Settle(std::unique_ptr<Waiting> waiting, absl::StatusOr<DeliveryResult> result) {
  if (result.status().code() == absl::StatusCode::kAborted) {
    absl::Status postponed = Postpone(&waiting);
    if (postponed.ok()) return;
    result = postponed;
  }
  waiting->done.Set(std::move(result));
}

// Answers or puts aside all of the group, or returns the error that concerns all of it.
absl::Status Deliverer::Commit(db::Connection& connection, WhenLocked when_locked, Group* group) {
  std::vector<const Delivery*> deliveries;
  for (const auto& waiting : *group) deliveries.push_back(&waiting->delivery);
  auto results = DeliverGroup(connection, deliveries, when_locked);
  if (when_locked == WhenLocked::kBriefly &&
      results.status().code() == absl::StatusCode::kDeadlineExceeded) {
    results = DeliverGroup(connection, deliveries, WhenLocked::kSkip);
  }
  if (!results.ok() && (ConcernsAll(results.status()) || group->size() == 1)) {
    return results.status();
  }
  if (!results.ok()) {
    std::lock_guard lock(mutex_);
    ++stats_.failed_groups_total;
  }
  for (size_t i = 0; i < group->size(); ++i) {
    auto result = results.ok() ? std::move((*results)[i]) : absl::StatusOr<DeliveryResult>();
    // One of them poisons the group, or takes the room of those behind it: tried once alone.
    const bool alone =
        !results.ok() ||
        (group->size() > 1 && result.status().code() == absl::StatusCode::kResourceExhausted);
    if (alone) result = store::Deliver(connection, *deliveries[i], WhenLocked::kSkip);
    Settle(std::move((*group)[i]), std::move(result));
  }
  return absl::OkStatus();
}

}  // namespace godwit::store

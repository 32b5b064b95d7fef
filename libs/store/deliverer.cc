#include "libs/store/deliverer.h"

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

}  // namespace

Deliverer::Deliverer(db::Pool* pool, DelivererOptions options) : pool_(pool), options_(options) {}

Deliverer::~Deliverer() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0 && queue_.empty(); });
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
  stats.waiting = static_cast<int64_t>(queue_.size());
  return stats;
}

absl::Status Deliverer::Enqueue(std::unique_ptr<Waiting> waiting) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.max_waiting) {
      return base::ResourceExhausted("too many deliveries are waiting");
    }
    queue_.push_back(std::move(waiting));
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

Deliverer::Group Deliverer::TakeGroup() {
  std::lock_guard lock(mutex_);
  Group group;
  size_t bytes = 0;
  while (!queue_.empty() && group.size() < options_.max_group) {
    bytes += Bytes(queue_.front()->delivery);
    if (!group.empty() && bytes > options_.max_group_bytes) break;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  if (group.empty()) {
    // Still under the lock: what is queued from now on starts a runner of its own. Nothing of this
    // object may be touched after the destructor could have seen it.
    --running_;
    idle_.notify_all();
    return group;
  }
  ++stats_.groups_total;
  stats_.deliveries_total += static_cast<int64_t>(group.size());
  return group;
}

// Runs groups until nothing waits. One job of the pool: others wait for the thread, so it gives it
// back when the queue is empty, which under load it hardly ever is; then deliveries are the load.
absl::Status Deliverer::RunGroup(db::Connection* connection, const absl::Status& refused) {
  absl::Status last;
  absl::Status reason = refused;
  for (Group group = TakeGroup(); !group.empty(); group = TakeGroup()) {
    last = connection == nullptr ? reason : Commit(*connection, &group);
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

// Answers all of the group, or returns the error that concerns all of it.
absl::Status Deliverer::Commit(db::Connection& connection, Group* group) {
  std::vector<const Delivery*> deliveries;
  for (const auto& waiting : *group) deliveries.push_back(&waiting->delivery);
  auto results = DeliverGroup(connection, deliveries);
  if (results.ok()) {
    for (size_t i = 0; i < group->size(); ++i) (*group)[i]->done.Set(std::move((*results)[i]));
    return absl::OkStatus();
  }
  if (ConcernsAll(results.status()) || group->size() == 1) return results.status();
  {
    std::lock_guard lock(mutex_);
    ++stats_.failed_groups_total;
  }
  // One of them poisons the group: each is tried once alone.
  for (auto& waiting : *group) waiting->done.Set(store::Deliver(connection, waiting->delivery));
  return absl::OkStatus();
}

}  // namespace godwit::store

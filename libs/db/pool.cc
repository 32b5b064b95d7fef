#include "libs/db/pool.h"

#include <algorithm>

#include "libs/base/check.h"
#include "libs/base/status.h"

namespace godwit::db {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(50);

}  // namespace

struct Pool::Worker {
  std::thread thread;
  std::unique_ptr<Connection> connection;  // of this thread only
};

Pool::Pool(PoolOptions options, base::Clock* clock)
    : options_(std::move(options)), clock_(clock), retry_at_(clock->Monotonic()) {
  GODWIT_CHECK(options_.threads > 0);
  for (int i = 0; i < options_.threads; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    Worker* worker = workers_.back().get();
    worker->thread = std::thread([this, worker] { Serve(worker); });
  }
}

Pool::~Pool() {
  std::deque<Waiting> left;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    left.swap(queue_);
  }
  wake_.notify_all();
  for (Waiting& waiting : left) (void)waiting.work(nullptr, base::Cancelled("pool is stopping"));
  for (auto& worker : workers_) worker->thread.join();
}

absl::Status Pool::Submit(Work work) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return base::Cancelled("pool is stopping");
    if (queue_.size() >= options_.max_waiting) {
      ++stats_.rejected_total;
      return base::Unavailable("too much is waiting for the database");
    }
    queue_.push_back({std::move(work), clock_->Monotonic()});
  }
  wake_.notify_one();
  return absl::OkStatus();
}

PoolStats Pool::Stats() const {
  std::lock_guard lock(mutex_);
  PoolStats stats = stats_;
  stats.waiting = static_cast<int64_t>(queue_.size());
  return stats;
}

void Pool::Serve(Worker* worker) {
  while (true) {
    Waiting job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) break;
      job = std::move(queue_.front());
      queue_.pop_front();
      ++stats_.running;
      ++stats_.jobs_total;
    }
    RunOne(worker, std::move(job));
  }
  worker->connection.reset();
}

void Pool::RunOne(Worker* worker, Waiting job) {
  const absl::Duration begun = clock_->Monotonic();
  const bool late = begun - job.since > options_.queue_timeout;
  absl::Status refused =
      late ? base::DeadlineExceeded("waited too long for the database") : Connect(worker);
  const bool refuse = !refused.ok();
  absl::Status status = job.work(refuse ? nullptr : worker->connection.get(), std::move(refused));
  if (!refuse) {
    GODWIT_CHECK(!worker->connection->in_transaction());
  }
  std::lock_guard lock(mutex_);
  --stats_.running;
  if (late) ++stats_.timed_out_total;
  if (!status.ok()) ++stats_.failed_total;
  stats_.wait_total += begun - job.since;
  stats_.run_total += clock_->Monotonic() - begun;
}

// A healthy connection for `worker`, opened when there is none and the back-off allows it.
absl::Status Pool::Connect(Worker* worker) {
  if (worker->connection != nullptr && worker->connection->Healthy()) return absl::OkStatus();
  const bool had_one = worker->connection != nullptr;
  worker->connection.reset();
  {
    std::lock_guard lock(mutex_);
    if (had_one) --stats_.connected;
    if (clock_->Monotonic() < retry_at_) return last_failure_;
  }
  auto opened = Connection::Open(options_.connect);
  std::lock_guard lock(mutex_);
  if (opened.ok()) {
    worker->connection = *std::move(opened);
    backoff_ = absl::ZeroDuration();
    ++stats_.connects_total;
    ++stats_.connected;
    return absl::OkStatus();
  }
  ++stats_.connect_failures_total;
  backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, options_.max_backoff);
  retry_at_ = clock_->Monotonic() + backoff_;
  last_failure_ = base::Unavailable(base::Message(opened.status()));
  return last_failure_;
}

}  // namespace godwit::db

#include "services/smtp-ingress/session_log.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "libs/limit/network.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"

namespace godwit::smtp_ingress {
namespace {

// Rows of one transaction.
constexpr size_t kBatch = 500;

// Of one that sends a few bad messages all are kept, however few may be kept of all.
constexpr int64_t kLeastOfNetwork = 10;

constexpr absl::Duration kFinishPatience = absl::Seconds(2);
constexpr absl::Duration kFinishPoll = absl::Milliseconds(20);

base::RateLimiter::Options Bucket(int64_t amount) {
  return {.amount = amount, .period = absl::Minutes(1), .max_keys = 20'000};
}

// The store is away; the same rows may go later.
bool MayTryAgain(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kAborted;
}

}  // namespace

SessionLog::SessionLog(const Options& options, db::Pool* pool, const base::Clock* clock,
                       obs::CounterFamily* results)
    : options_(options),
      pool_(pool),
      clock_(clock),
      results_(results),
      of_network_(Bucket(std::max(options.per_minute / 10, kLeastOfNetwork)), clock),
      outside_(Bucket(std::max<int64_t>(options.per_minute / 2, 1)), clock),
      sample_(Bucket(options.per_minute), clock) {}

bool SessionLog::IsSampled(const store::RefusedSession& session) {
  if (options_.per_minute == 0) return false;
  const bool v4 = session.client.Unmapped().is_v4();
  const std::string network = limit::NetworkKey::Of(session.client, v4 ? 24 : 48).ToString();
  if (!of_network_.Take(network, 1)) return false;
  if (session.transaction == 0 && !outside_.Take("", 1)) return false;
  return sample_.Take("", 1);
}

void SessionLog::Add(store::RefusedSession session) {
  if (!IsSampled(session)) {
    results_->At({"sampled-out"}).Add();
    return;
  }
  session.at = clock_->Now();
  store::Trim(&session);
  std::lock_guard lock(mutex_);
  if (waiting_.size() < kMaxWaiting) {
    waiting_.push_back(std::move(session));
  } else {
    results_->At({"lost"}).Add();
  }
}

std::vector<store::RefusedSession> SessionLog::Take() {
  std::lock_guard lock(mutex_);
  const auto count = static_cast<std::ptrdiff_t>(std::min(kBatch, waiting_.size()));
  std::vector<store::RefusedSession> batch(std::make_move_iterator(waiting_.begin()),
                                           std::make_move_iterator(waiting_.begin() + count));
  waiting_.erase(waiting_.begin(), waiting_.begin() + count);
  writing_ += batch.size();
  return batch;
}

void SessionLog::PutBack(std::vector<store::RefusedSession> batch) {
  std::lock_guard lock(mutex_);
  writing_ -= batch.size();
  waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()),
                  std::make_move_iterator(batch.end()));
}

void SessionLog::Settle(size_t count) {
  std::lock_guard lock(mutex_);
  writing_ -= count;
}

size_t SessionLog::Left() {
  std::lock_guard lock(mutex_);
  return waiting_.size() + writing_;
}

base::Task<void> SessionLog::Run() {
  for (;;) {
    const bool running = co_await net::Reactor::Current()->Sleep(options_.write_interval);
    if (!running) co_return;
    (void)co_await Flush();  // it logs
  }
}

base::Task<absl::Status> SessionLog::Flush() {
  for (;;) {
    auto batch = std::make_shared<std::vector<store::RefusedSession>>(Take());
    if (batch->empty()) co_return absl::OkStatus();
    const absl::Status written = co_await pool_->Run(
        [batch](db::Connection& c) { return store::AddRefusedSessions(c, *batch); });
    if (written.ok()) {
      results_->At({"kept"}).Add(static_cast<double>(batch->size()));
      Settle(batch->size());
      continue;
    }
    obs::Log(obs::Level::kWarning, "refused sessions not written",
             {{"rows", batch->size()}, {"status", written}});
    if (!MayTryAgain(written)) {
      results_->At({"lost"}).Add(static_cast<double>(batch->size()));
      Settle(batch->size());
      continue;
    }
    PutBack(std::move(*batch));
    co_return written;
  }
}

base::Task<void> SessionLog::FlushAtEnd() {
  (void)co_await Flush();  // it logs
}

// A hanging database holds us for all of its timeouts, and the supervisor has less patience.
base::Task<void> SessionLog::Finish() {
  base::Spawn(FlushAtEnd());
  for (absl::Duration waited; Left() > 0 && waited < kFinishPatience; waited += kFinishPoll) {
    const bool running = co_await net::Reactor::Current()->Sleep(kFinishPoll);
    if (!running) break;
  }
  const size_t lost = Left();
  if (lost == 0) co_return;
  results_->At({"lost"}).Add(static_cast<double>(lost));
  obs::Log(obs::Level::kWarning, "refused sessions not written", {{"rows", lost}});
}

}  // namespace godwit::smtp_ingress

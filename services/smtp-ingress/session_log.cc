#include "services/smtp-ingress/session_log.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "libs/net/reactor.h"
#include "libs/obs/log.h"

namespace godwit::smtp_ingress {
namespace {

// Rows of one transaction.
constexpr size_t kBatch = 500;

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
      sample_({.amount = options.per_minute, .period = absl::Minutes(1)}, clock) {}

void SessionLog::Add(store::RefusedSession session) {
  if (options_.per_minute == 0 || !sample_.Take("", 1)) {
    results_->At({"sampled-out"}).Add();
    return;
  }
  session.at = clock_->Now();
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
  return batch;
}

void SessionLog::PutBack(std::vector<store::RefusedSession> batch) {
  std::lock_guard lock(mutex_);
  waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()),
                  std::make_move_iterator(batch.end()));
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
      continue;
    }
    obs::Log(obs::Level::kWarning, "refused sessions not written",
             {{"rows", batch->size()}, {"status", written}});
    if (!MayTryAgain(written)) {
      results_->At({"lost"}).Add(static_cast<double>(batch->size()));
      continue;
    }
    PutBack(std::move(*batch));
    co_return written;
  }
}

}  // namespace godwit::smtp_ingress

#include "services/auth-verifier/evaluation_counter.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"

namespace godwit::auth_verifier {
namespace {

constexpr absl::Duration kTotalsValid = absl::Seconds(30);

}  // namespace

EvaluationCounter::EvaluationCounter(Options options, db::Pool* pool, const base::Clock* clock)
    : options_(std::move(options)), pool_(pool), clock_(clock) {}

// Counting all open periods takes milliseconds: not for every call.
base::Task<absl::StatusOr<store::DmarcRoom>> EvaluationCounter::Room() {
  const absl::Duration now = clock_->Monotonic();
  bool stale = false;
  {
    std::lock_guard lock(mutex_);
    stale = now - counted_ >= kTotalsValid;
  }
  if (stale) {
    absl::StatusOr<store::DmarcTotals> totals =
        co_await pool_->Run([](db::Connection& c) { return store::CountDmarc(c); });
    if (!totals.ok()) co_return totals.status();
    std::lock_guard lock(mutex_);
    totals_ = *totals;
    counted_ = now;
  }
  store::DmarcRoom room = options_.room;
  std::lock_guard lock(mutex_);
  room.rows = std::max<int64_t>(0, room.rows - totals_.rows);
  room.periods = std::max<int64_t>(0, room.periods - totals_.periods);
  co_return room;
}

base::Task<absl::StatusOr<int64_t>> EvaluationCounter::Add(std::vector<ReportedMessage> messages) {
  absl::StatusOr<store::DmarcRoom> room = co_await Room();
  if (!room.ok()) co_return room.status();
  std::vector<store::DmarcEvaluation> evaluations;
  const absl::Time now = clock_->Now();
  for (const ReportedMessage& message : messages) {
    evaluations.push_back(MakeEvaluation(message, options_.counting, now));
  }
  absl::StatusOr<int64_t> dropped =
      co_await pool_->Run([evaluations = std::move(evaluations), room = *room](db::Connection& c) {
        return store::AddDmarcEvaluations(c, evaluations, room);
      });
  co_return dropped;
}

}  // namespace godwit::auth_verifier

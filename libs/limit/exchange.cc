#include "libs/limit/exchange.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "libs/base/status.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/store/shared_limits.h"

namespace godwit::limit {
namespace {

// Of Run().
constexpr int kSweepRounds = 60;
// What is not taken back ages out in kRemoteLife.
constexpr absl::Duration kFinishPatience = absl::Seconds(2);
constexpr absl::Duration kFinishPoll = absl::Milliseconds(20);

std::vector<store::SharedCount> Told(const std::vector<Counter*>& counters) {
  std::vector<store::SharedCount> told;
  for (const Counter* counter : counters) {
    for (const Count& count : counter->Loud()) {
      told.push_back({counter->name(), count.network.ToString(), std::llround(count.level)});
    }
  }
  return told;
}

// On a database thread: thousands of texts.
absl::StatusOr<std::vector<std::vector<Count>>> Hear(db::Connection& connection, int64_t replica,
                                                     const std::vector<std::string>& names) {
  GODWIT_ASSIGN_OR_RETURN(auto said, store::HearCounts(connection, replica, names, kRemoteLife));
  std::vector<std::vector<Count>> by_counter(names.size());
  for (const store::SharedCount& each : said) {
    const auto network = NetworkKey::Parse(each.network);
    const auto name = std::find(names.begin(), names.end(), each.counter);
    if (!network || name == names.end()) continue;
    by_counter[static_cast<size_t>(name - names.begin())].push_back(
        {*network, static_cast<double>(each.level)});
  }
  return by_counter;
}

}  // namespace

Exchange::Exchange(std::vector<Counter*> counters, db::Pool* pool, base::RandomSource* random,
                   ExchangeMetrics metrics, absl::Duration period)
    : counters_(std::move(counters)),
      pool_(pool),
      metrics_(metrics),
      period_(period),
      replica_(random->Id63()) {}

base::Task<void> Exchange::Run() {
  for (int round = 1;; ++round) {
    const bool running = co_await net::Reactor::Current()->Sleep(period_);
    if (!running || finishing_) co_return;
    absl::Status status = co_await Once();
    if (status.ok() && round % kSweepRounds == 0) status = co_await Sweep();
    metrics_.exchanges->At({status.ok() ? "ok" : "failed"}).Add();
    // Once when it begins to fail, and not each second.
    if (!status.ok() && !failing_) {
      obs::Log(obs::Level::kWarning, "limits are not shared now", {{"status", status}});
    }
    failing_ = !status.ok();
  }
}

base::Task<absl::Status> Exchange::Once() {
  std::vector<store::SharedCount> told = Told(counters_);
  std::vector<std::string> names;
  for (const Counter* counter : counters_) names.push_back(counter->name());
  const bool write = !told.empty() || told_;
  auto job = [replica = replica_, names = std::move(names), write,
              told](db::Connection& c) -> absl::StatusOr<std::vector<std::vector<Count>>> {
    if (write) GODWIT_RETURN_IF_ERROR(store::TellCounts(c, replica, told));
    return Hear(c, replica, names);
  };
  told_ = told_ || !told.empty();
  auto said = co_await pool_->Run(std::move(job));
  if (!said.ok()) co_return said.status();
  told_ = !told.empty();
  for (size_t i = 0; i < counters_.size(); ++i) counters_[i]->SetRemote((*said)[i]);
  co_return absl::OkStatus();
}

base::Task<absl::Status> Exchange::Sweep() {
  absl::Status swept = co_await pool_->Run([](db::Connection& c) { return store::SweepCounts(c); });
  co_return swept;
}

base::Task<void> Exchange::TakeBack() {
  const absl::Status status = co_await pool_->Run(
      [replica = replica_](db::Connection& c) { return store::TellCounts(c, replica, {}); });
  if (status.ok()) told_ = false;
}

base::Task<void> Exchange::Finish() {
  finishing_ = true;
  if (!told_) co_return;
  base::Spawn(TakeBack());
  for (absl::Duration waited; told_ && waited < kFinishPatience; waited += kFinishPoll) {
    const bool running = co_await net::Reactor::Current()->Sleep(kFinishPoll);
    if (!running) co_return;
  }
}

}  // namespace godwit::limit

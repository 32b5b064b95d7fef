#include "libs/limit/exchange.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/store/shared_limits.h"

namespace godwit::limit {
namespace {

std::vector<store::SharedCount> Told(const std::vector<Counter*>& counters) {
  std::vector<store::SharedCount> told;
  for (const Counter* counter : counters) {
    for (const Count& count : counter->Loud()) {
      told.push_back({counter->name(), count.network.ToString(), std::llround(count.level)});
    }
  }
  return told;
}

void Hear(const std::vector<Counter*>& counters, const std::vector<store::SharedCount>& said) {
  std::map<std::string, std::vector<Count>, std::less<>> by_counter;
  for (const store::SharedCount& each : said) {
    const auto network = NetworkKey::Parse(each.network);
    if (!network) continue;
    by_counter[each.counter].push_back({*network, static_cast<double>(each.level)});
  }
  for (Counter* counter : counters) counter->SetRemote(by_counter[counter->name()]);
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
  for (;;) {
    const bool running = co_await net::Reactor::Current()->Sleep(period_);
    if (!running) co_return;
    const absl::Status status = co_await Once();
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
  const bool write = !told.empty() || told_;
  auto job = [replica = replica_, write,
              told](db::Connection& c) -> absl::StatusOr<std::vector<store::SharedCount>> {
    if (write) {
      absl::Status status = store::TellCounts(c, replica, told);
      if (!status.ok()) return status;
    }
    return store::HearCounts(c, replica, kRemoteLife);
  };
  auto said = co_await pool_->Run(std::move(job));
  if (!said.ok()) co_return said.status();
  told_ = !told.empty();
  Hear(counters_, *said);
  co_return absl::OkStatus();
}

}  // namespace godwit::limit

#include "libs/dns/cache.h"

#include <algorithm>
#include <utility>

namespace godwit::dns {

using base::DnsAnswer;
using base::DnsOutcome;
using base::DnsQuestion;

Cache::Cache(Resolver* next, const base::Clock* clock, CacheOptions options)
    : next_(next), clock_(clock), options_(options) {}

base::Task<DnsAnswer> Cache::Resolve(DnsQuestion question) {
  Known known = Lookup(question);
  if (auto* answer = std::get_if<DnsAnswer>(&known)) co_return std::move(*answer);
  if (auto* flight = std::get_if<base::Completion<DnsAnswer>>(&known)) {
    DnsAnswer answer = co_await *flight;
    co_return answer;
  }
  DnsAnswer answer = co_await next_->Resolve(question);
  Land(question, answer);
  co_return answer;
}

Cache::Known Cache::Lookup(const DnsQuestion& question) {
  std::lock_guard lock(mutex_);
  if (const auto found = index_.find(question); found != index_.end()) {
    const absl::Duration left = found->second->expires - clock_->Monotonic();
    if (left > absl::ZeroDuration()) {
      ++stats_.hits;
      entries_.splice(entries_.begin(), entries_, found->second);
      DnsAnswer answer = found->second->answer;
      answer.ttl = left;
      return answer;
    }
    entries_.erase(found->second);
    index_.erase(found);
  }
  const auto [flight, is_first] = in_flight_.try_emplace(question);
  if (is_first) {
    ++stats_.misses;
    return std::monostate();
  }
  ++stats_.joined;
  return flight->second.emplace_back();
}

void Cache::Land(const DnsQuestion& question, const DnsAnswer& answer) {
  Waiters waiters;
  {
    std::lock_guard lock(mutex_);
    StoreLocked(question, answer);
    const auto flight = in_flight_.find(question);
    waiters = std::move(flight->second);
    in_flight_.erase(flight);
  }
  for (const auto& waiter : waiters) waiter.Set(answer);
}

void Cache::StoreLocked(const DnsQuestion& question, const DnsAnswer& answer) {
  if (options_.max_entries == 0) return;
  if (const auto old = index_.find(question); old != index_.end()) {
    entries_.erase(old->second);
    index_.erase(old);
  }
  entries_.push_front({question, answer, clock_->Monotonic() + Lifetime(answer)});
  index_[question] = entries_.begin();
  if (entries_.size() > options_.max_entries) {
    index_.erase(entries_.back().question);
    entries_.pop_back();
  }
}

absl::Duration Cache::Lifetime(const DnsAnswer& answer) const {
  if (answer.outcome == DnsOutcome::kTempFail) return options_.temp_fail_ttl;
  const absl::Duration most = answer.is_void() ? options_.max_negative_ttl : options_.max_ttl;
  return std::clamp(answer.ttl, std::min(options_.min_ttl, most), most);
}

Cache::Stats Cache::stats() const {
  std::lock_guard lock(mutex_);
  Stats stats = stats_;
  stats.entries = entries_.size();
  return stats;
}

void Cache::Clear() {
  std::lock_guard lock(mutex_);
  entries_.clear();
  index_.clear();
}

}  // namespace godwit::dns

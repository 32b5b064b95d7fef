#include "libs/dns/cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace godwit::dns {

using base::DnsAnswer;
using base::DnsOutcome;
using base::DnsQuestion;

namespace {

size_t BytesOf(const DnsQuestion& question, const DnsAnswer& answer) {
  // The two nodes, and what the allocator adds to each piece.
  constexpr size_t kNodes = 512;
  constexpr size_t kPiece = 32;
  size_t bytes = kNodes + 2 * question.name.size() + answer.canonical_name.size();
  bytes += answer.error.size() + answer.addresses.size() * sizeof(base::IpAddress);
  for (const auto& text : answer.texts) bytes += sizeof(text) + kPiece + text.size();
  for (const auto& mx : answer.mx) bytes += sizeof(mx) + kPiece + mx.exchange.size();
  for (const auto& srv : answer.srv) bytes += sizeof(srv) + kPiece + srv.target.size();
  for (const auto& tlsa : answer.tlsa) bytes += sizeof(tlsa) + kPiece + tlsa.data.size();
  return bytes;
}

}  // namespace

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
    EraseLocked(found->second);
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
  if (const auto old = index_.find(question); old != index_.end()) EraseLocked(old->second);
  const size_t bytes = BytesOf(question, answer);
  entries_.push_front({question, answer, clock_->Monotonic() + Lifetime(answer), bytes});
  bytes_ += bytes;
  index_[question] = entries_.begin();
  while (entries_.size() > options_.max_entries || bytes_ > options_.max_entries * kMeanBytes) {
    EraseLocked(std::prev(entries_.end()));
  }
}

void Cache::EraseLocked(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  index_.erase(entry->question);
  entries_.erase(entry);
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
  stats.bytes = bytes_;
  return stats;
}

void Cache::Clear() {
  std::lock_guard lock(mutex_);
  entries_.clear();
  bytes_ = 0;
  index_.clear();
}

}  // namespace godwit::dns

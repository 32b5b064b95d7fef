#include "libs/limit/meter.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace godwit::limit {

Seed NewSeed(base::RandomSource* random) {
  return {static_cast<uint64_t>(random->Id63()), static_cast<uint64_t>(random->Id63())};
}

Meter::Meter(const Options& options, const Networks* networks, const base::Clock* clock,
             const Seed& seed)
    : options_(options),
      networks_(networks),
      clock_(clock),
      table_({.period = options.period, .slots = options.amount > 0 ? options.slots : 1}, seed) {}

bool Meter::IsLimited(const base::IpAddress& address) const {
  return options_.amount > 0 && !networks_->IsExempt(address);
}

std::array<double, kClasses> Meter::Left(const base::IpAddress& address, double room) const {
  std::array<double, kClasses> left;
  left.fill(std::numeric_limits<double>::infinity());
  if (!IsLimited(address)) return left;
  const absl::Duration now = clock_->Monotonic();
  const auto keys = networks_->Of(address);
  for (int i = 0; i < kClasses; ++i) {
    const auto at = static_cast<size_t>(i);
    const double level = table_.Level(keys[at], now) + remote_.Of(keys[at], now);
    const double limit = options_.amount * networks_->factor(i) * room;
    // Of a limit of 1 a whole one would never be left again.
    left[at] = limit - level + std::max(0.0, 1 - limit / 2);
  }
  return left;
}

// One more: what has faded since the last one is not enough for another.
bool Meter::Over(const base::IpAddress& address) const {
  const auto left = Left(address);
  return std::any_of(left.begin(), left.end(), [](double more) { return more < 1; });
}

void Meter::Add(const base::IpAddress& address, double amount) {
  if (!IsLimited(address)) return;
  const absl::Duration now = clock_->Monotonic();
  for (const NetworkKey& key : networks_->Distinct(address)) table_.Add(key, amount, now);
}

bool Meter::NearestOver(const base::IpAddress& address) const { return Left(address)[0] < 1; }

// Two threads at the same moment may both be let through: limits are approximate.
bool Meter::Take(const base::IpAddress& address, double amount) {
  if (Over(address)) return false;
  Add(address, amount);
  return true;
}

std::vector<Count> Meter::Loud() const {
  if (options_.amount <= 0) return {};
  std::vector<Count> loud;
  // The floor of the nearest is the lowest.
  for (const Count& count : table_.Above(options_.amount * kLoudPart, clock_->Monotonic())) {
    const double floor = options_.amount * networks_->FactorOf(count.network) * kLoudPart;
    if (count.level >= floor) loud.push_back(count);
  }
  return Loudest(std::move(loud), *networks_);
}

void Meter::SetRemote(const std::vector<Count>& counts) {
  remote_.Set(counts, clock_->Monotonic());
}

}  // namespace godwit::limit

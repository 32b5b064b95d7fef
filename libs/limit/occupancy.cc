#include "libs/limit/occupancy.h"

#include "absl/hash/hash.h"

namespace godwit::limit {

Occupancy::Occupancy(const Options& options, const Networks* networks, const base::Clock* clock)
    : options_(options), networks_(networks), clock_(clock) {}

Occupancy::Place::~Place() {
  if (counted_) of_->Change(address_, -1);
}

Occupancy::Stripe& Occupancy::StripeOf(const NetworkKey& key) {
  return stripes_[(absl::Hash<NetworkKey>()(key) >> 48) % stripes_.size()];
}

uint32_t Occupancy::Held(const NetworkKey& key) {
  Stripe& stripe = StripeOf(key);
  std::lock_guard lock(stripe.mutex);
  const auto found = stripe.held.find(key);
  return found == stripe.held.end() ? 0 : found->second;
}

void Occupancy::Change(const base::IpAddress& address, int by) {
  for (const NetworkKey& key : networks_->Distinct(address)) {
    Stripe& stripe = StripeOf(key);
    std::lock_guard lock(stripe.mutex);
    uint32_t& held = stripe.held[key];
    held += static_cast<uint32_t>(by);
    if (held == 0) stripe.held.erase(key);
  }
}

Occupancy::Place Occupancy::Enter(const base::IpAddress& address) {
  Place place;
  if (options_.amount <= 0 || networks_->IsExempt(address)) {
    place.of_ = this;
    return place;
  }
  const absl::Duration now = clock_->Monotonic();
  const auto keys = networks_->Of(address);
  for (int i = 0; i < kClasses; ++i) {
    const NetworkKey& key = keys[static_cast<size_t>(i)];
    if (Held(key) + remote_.Of(key, now) >= options_.amount * networks_->factor(i)) return place;
  }
  Change(address, 1);
  place.of_ = this;
  place.counted_ = true;
  place.address_ = address;
  return place;
}

std::vector<Count> Occupancy::Loud() const {
  std::vector<Count> loud;
  if (options_.amount <= 0) return loud;
  for (const Stripe& stripe : stripes_) {
    std::lock_guard lock(stripe.mutex);
    for (const auto& [key, held] : stripe.held) {
      if (held >= options_.amount * networks_->FactorOf(key) * kLoudPart) {
        loud.push_back({key, static_cast<double>(held)});
      }
    }
  }
  return Loudest(std::move(loud), *networks_);
}

void Occupancy::SetRemote(const std::vector<Count>& counts) {
  remote_.Set(counts, clock_->Monotonic());
}

}  // namespace godwit::limit

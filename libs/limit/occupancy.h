#pragma once

// Occupancy: how many each network holds at the same time: connections.
//
//   limit::Occupancy open({.name = "smtp-connections", .amount = 30}, &networks, clock);
//   limit::Occupancy::Place place = open.Enter(address);
//   if (!place) ... too many ...            // the place is given back when it dies
//
// Exact for what this process holds; what other replicas hold is added (counter.h). Memory: three
// entries for each place that is taken, so whoever bounds the places bounds it. Thread-safe: one
// mutex for a sixteenth of the keys.

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/limit/counter.h"
#include "libs/limit/network.h"

namespace godwit::limit {

class Occupancy : public Counter {
 public:
  struct Options {
    std::string name;
    double amount = 0;  // of the nearest network; 0: no limit
  };
  // `networks` and `clock` outlive it, and it outlives its places.
  Occupancy(const Options& options, const Networks* networks, const base::Clock* clock);

  class Place {
   public:
    Place() = default;  // none
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(counted_, other.counted_);
      std::swap(address_, other.address_);
      return *this;
    }
    ~Place();
    // Whether there is one; what is not limited has one, too.
    explicit operator bool() const { return of_ != nullptr; }

   private:
    friend class Occupancy;
    Occupancy* of_ = nullptr;
    bool counted_ = false;
    base::IpAddress address_;
  };
  Place Enter(const base::IpAddress& address);

  const std::string& name() const override { return options_.name; }
  std::vector<Count> Loud() const override;
  void SetRemote(const std::vector<Count>& counts) override;

 private:
  struct Stripe {
    mutable std::mutex mutex;
    absl::flat_hash_map<NetworkKey, uint32_t> held;  // guarded by mutex
  };
  Stripe& StripeOf(const NetworkKey& key);
  uint32_t Held(const NetworkKey& key);
  void Change(const base::IpAddress& address, int by);

  const Options options_;
  const Networks* const networks_;
  const base::Clock* const clock_;
  std::array<Stripe, 16> stripes_;
  RemoteCounts remote_;
};

}  // namespace godwit::limit

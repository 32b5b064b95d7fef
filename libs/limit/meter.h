#pragma once

// Meter: how much each network does in a period, against what it may: connections a minute, failed
// logins, refused recipients, octets.
//
//   limit::Meter meter({.name = "failed-logins", .amount = 10, .period = absl::Minutes(1)},
//                      &networks, clock, seed);
//   if (meter.Over(address)) ... refuse ...
//   meter.Add(address, 1);
//
// An address is over when one more would bring one of its three networks above its limit
// (network.h); limits are per period as in decaying_table.h, whose bounds of memory and error hold.
// What other replicas count is added (counter.h). Thread-safe; O(1).

#include <array>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/limit/counter.h"
#include "libs/limit/decaying_table.h"
#include "libs/limit/network.h"

namespace godwit::limit {

class Meter : public Counter {
 public:
  struct Options {
    std::string name;
    double amount = 0;  // of the nearest network; 0: no limit
    absl::Duration period = absl::Minutes(1);
    size_t slots = DecayingTable::Options().slots;
  };
  // `networks` and `clock` outlive it.
  Meter(const Options& options, const Networks* networks, const base::Clock* clock,
        const Seed& seed);

  // How much more each of the networks may, nearest first; infinite where nothing is limited. One
  // more fits while it is at least 1. `room`: the limits times that.
  std::array<double, kClasses> Left(const base::IpAddress& address, double room = 1) const;
  // Whether one more would be too much. Never of an exempt address.
  bool Over(const base::IpAddress& address) const;
  // The same, of the nearest network alone.
  bool NearestOver(const base::IpAddress& address) const;
  void Add(const base::IpAddress& address, double amount);
  // Counts unless it is over; says whether it did.
  bool Take(const base::IpAddress& address, double amount);

  const std::string& name() const override { return options_.name; }
  std::vector<Count> Loud() const override;
  void SetRemote(const std::vector<Count>& counts) override;

 private:
  bool IsLimited(const base::IpAddress& address) const;

  const Options options_;
  const Networks* const networks_;
  const base::Clock* const clock_;
  DecayingTable table_;
  RemoteCounts remote_;
};

Seed NewSeed(base::RandomSource* random);

}  // namespace godwit::limit

#pragma once

// FailedLogins: how often logging in may fail from one network, in a minute and in a day; the same
// for all daemons that let users in, which share what they count (exchange.h).
//
//   if (failed_logins->Blocked(address)) ... no password is looked at ...
//   failed_logins->Add(address);
//
// Thread-safe.

#include <vector>

#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/limit/meter.h"
#include "libs/limit/network.h"

namespace godwit::limit {

struct FailedLoginOptions {
  NetworkOptions networks;
  double per_minute = 10;  // of the nearest network; 0: no limit
  double per_day = 50;
};

class FailedLogins {
 public:
  FailedLogins(const FailedLoginOptions& options, const base::Clock* clock,
               base::RandomSource* random);
  FailedLogins(const FailedLogins&) = delete;
  FailedLogins& operator=(const FailedLogins&) = delete;

  bool Blocked(const base::IpAddress& address) const;
  void Add(const base::IpAddress& address);
  // For limit::Exchange.
  std::vector<Counter*> counters() { return {&minute_, &day_}; }

 private:
  const Networks networks_;
  Meter minute_;
  Meter day_;
};

}  // namespace godwit::limit

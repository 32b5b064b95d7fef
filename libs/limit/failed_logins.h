#pragma once

// FailedLogins: how often logging in may fail from one network, in a minute and in a day; the same
// for all daemons that let users in, which share what they count (exchange.h).
//
//   bool begun = co_await failed_logins->Begin(address);
//   if (!begun) ... too many: the password is not even looked at ...
//   ... judge it ...
//   failed_logins->End(address, failed);
//
// An attempt counts before it is judged, and no longer once it has turned out well: a thousand
// connections that ask at the same moment have no more tries than one. Who finds room taken only by
// attempts that are still being judged waits for them, so that many users behind one address may
// come at the same time. Only what has failed is told to other replicas.
//
// Thread-safe; Begin() on a reactor's thread. login::RunCounted does all of it.

#include <cstddef>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
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

  // One attempt more; false: there is no room for it, or none within ten seconds.
  base::Task<bool> Begin(base::IpAddress address);
  // Of each attempt that began.
  void End(const base::IpAddress& address, bool failed);

  // For limit::Exchange.
  std::vector<Counter*> counters() { return {&minute_, &day_}; }

 private:
  enum class Begun { kYes, kLater, kNo };
  Begun TryBegin(const base::IpAddress& address);

  const Networks networks_;
  Meter minute_;
  Meter day_;
  std::mutex mutex_;
  absl::flat_hash_map<NetworkKey, size_t> judging_;  // guarded by mutex_
};

}  // namespace godwit::limit

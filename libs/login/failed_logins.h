#pragma once

// FailedLogins: how many wrong passwords may come from one address: over all its connections, and
// over all daemons' ways to say one.
//
//   std::optional<login::Step> step =
//       co_await failed_logins->Run(client.address, conversation->Begin(initial));
//   if (!step) ... too many: the password was not even looked at ...
//
// An attempt counts before it is judged, and no longer once it has turned out well: a thousand
// connections that ask at the same moment have no more tries than one. Who finds every place taken
// by attempts that are still being judged waits for them, so that many users behind one address may
// come at the same time.
//
// An address is an IPv4 address or an IPv6 /64 (IpAddress::CustomerNetwork). Each process counts
// for itself (RateLimiter). Thread-safe; Run() on a reactor's thread.

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/rate_limiter.h"
#include "libs/base/task.h"
#include "libs/login/login.h"

namespace godwit::login {

class FailedLogins {
 public:
  // `options.amount` failures in `options.period`; 0 is no limit.
  FailedLogins(const base::RateLimiter::Options& options, const base::Clock* clock)
      : unlimited_(options.amount == 0), limiter_(options, clock) {}

  // `step`: of a Conversation, or TryPassword; it is begun only if there is room for one more
  // failure. Nothing: there is none. A Refused counts, unless the password was right.
  base::Task<std::optional<Step>> Run(base::IpAddress address, base::Task<Step> step);

 private:
  enum class Begun { kYes, kLater, kNo };
  Begun TryBegin(const std::string& key);
  base::Task<bool> Begin(std::string key);
  void End(const std::string& key, bool failed);

  const bool unlimited_;
  base::RateLimiter limiter_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, size_t> judging_;  // guarded by mutex_
};

}  // namespace godwit::login

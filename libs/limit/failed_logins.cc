#include "libs/limit/failed_logins.h"

namespace godwit::limit {

FailedLogins::FailedLogins(const FailedLoginOptions& options, const base::Clock* clock,
                           base::RandomSource* random)
    : networks_(options.networks),
      minute_({.name = "failed-logins-minute", .amount = options.per_minute}, &networks_, clock,
              NewSeed(random)),
      day_({.name = "failed-logins-day", .amount = options.per_day, .period = absl::Hours(24)},
           &networks_, clock, NewSeed(random)) {}

bool FailedLogins::Blocked(const base::IpAddress& address) const {
  return minute_.Over(address) || day_.Over(address);
}

void FailedLogins::Add(const base::IpAddress& address) {
  minute_.Add(address, 1);
  day_.Add(address, 1);
}

}  // namespace godwit::limit

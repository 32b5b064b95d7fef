#include "libs/limit/failed_logins.h"

#include <algorithm>

#include "libs/net/reactor.h"

namespace godwit::limit {
namespace {

// While others from the same network are being judged.
constexpr absl::Duration kPause = absl::Milliseconds(50);
constexpr int kPauses = 200;

}  // namespace

FailedLogins::FailedLogins(const FailedLoginOptions& options, const base::Clock* clock,
                           base::RandomSource* random)
    : networks_(options.networks),
      minute_({.name = "failed-logins-minute", .amount = options.per_minute}, &networks_, clock,
              NewSeed(random)),
      day_({.name = "failed-logins-day", .amount = options.per_day, .period = absl::Hours(24)},
           &networks_, clock, NewSeed(random)) {}

FailedLogins::Begun FailedLogins::TryBegin(const base::IpAddress& address) {
  const auto keys = networks_.Of(address);
  std::lock_guard lock(mutex_);
  const auto minute = minute_.Left(address);
  const auto day = day_.Left(address);
  bool later = false;
  for (size_t i = 0; i < keys.size(); ++i) {
    const double left = std::min(minute[i], day[i]);
    if (left < 1) return Begun::kNo;
    const auto judging = judging_.find(keys[i]);
    if (judging != judging_.end() && left < static_cast<double>(judging->second) + 1) later = true;
  }
  if (later) return Begun::kLater;
  for (const NetworkKey& key : networks_.Distinct(address)) ++judging_[key];
  return Begun::kYes;
}

base::Task<bool> FailedLogins::Begin(base::IpAddress address) {
  for (int i = 0; i < kPauses; ++i) {
    const Begun begun = TryBegin(address);
    if (begun != Begun::kLater) co_return begun == Begun::kYes;
    const bool running = co_await net::Reactor::Current()->Sleep(kPause);
    if (!running) break;
  }
  co_return false;
}

void FailedLogins::End(const base::IpAddress& address, bool failed) {
  std::lock_guard lock(mutex_);
  if (failed) {
    minute_.Add(address, 1);
    day_.Add(address, 1);
  }
  for (const NetworkKey& key : networks_.Distinct(address)) {
    const auto judging = judging_.find(key);
    if (--judging->second == 0) judging_.erase(judging);
  }
}

}  // namespace godwit::limit

#include "libs/limit/failed_logins.h"

#include <openssl/siphash.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/hash/hash.h"
#include "libs/base/ascii.h"
#include "libs/net/reactor.h"

namespace godwit::limit {
namespace {

// While others from the same network are being judged: longer and longer, so that thousands who
// wait do not only look.
constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
constexpr absl::Duration kMaxPause = absl::Milliseconds(500);
constexpr absl::Duration kPatience = absl::Seconds(10);

// A wrong password that was tried before, in the minute: judging it costs us as much as any other.
constexpr double kRepeated = 0.1;

constexpr absl::Duration kKnownLife = absl::Hours(14 * 24);
constexpr size_t kKnownSlots = 1 << 18;
constexpr double kKnownRoom = 10;
constexpr double kKnownGuesses = 10;

uint64_t SipHash(const Seed& seed, std::string_view bytes) {
  return SIPHASH_24(seed.data(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// The tables count whatever has 64 bits. No network of ours has 255.
NetworkKey KeyOf(uint64_t pair) { return {pair, 255, false}; }

}  // namespace

FailedLogins::FailedLogins(const FailedLoginOptions& options, const base::Clock* clock,
                           base::RandomSource* random)
    : networks_(options.networks),
      clock_(clock),
      seed_(NewSeed(random)),
      minute_({.name = "failed-logins-minute", .amount = options.per_minute}, &networks_, clock,
              NewSeed(random)),
      day_({.name = "failed-logins-day", .amount = options.per_day, .period = absl::Hours(24)},
           &networks_, clock, NewSeed(random)),
      guesses_(Recently::Options()),
      known_({.life = kKnownLife, .slots = kKnownSlots}),
      known_failed_({.period = absl::Hours(24)}, NewSeed(random)) {}

FailedLogins::Stripe& FailedLogins::StripeOf(const base::IpAddress& address) {
  const NetworkKey widest = networks_.Of(address).back();
  return stripes_[(absl::Hash<NetworkKey>()(widest) >> 48) % stripes_.size()];
}

uint64_t FailedLogins::Hash(std::string_view kind, const LoginAttempt& attempt,
                            std::string_view more) const {
  // Without a copy of what may be a password.
  std::string text = std::to_string(SipHash(seed_, more));
  text += kind;
  text += base::Lower(attempt.user);
  return SipHash(seed_, text);
}

uint64_t FailedLogins::Pair(const LoginAttempt& attempt) const {
  return Hash("known", attempt, networks_.Of(attempt.address).back().ToString());
}

std::vector<NetworkKey> FailedLogins::KeysOf(const LoginAttempt& attempt) const {
  std::vector<NetworkKey> keys = networks_.Distinct(attempt.address);
  keys.push_back(KeyOf(Pair(attempt)));
  return keys;
}

FailedLogins::Begun FailedLogins::Look(const Stripe& stripe, const base::IpAddress& address,
                                       double room) const {
  const auto keys = networks_.Of(address);
  const auto minute = minute_.Left(address, room);
  auto day = day_.Left(address, room);
  day.back() = std::numeric_limits<double>::infinity();
  Begun begun = Begun::kYes;
  for (size_t i = 0; i < keys.size(); ++i) {
    const double left = std::min(minute[i], day[i]);
    if (left < 1) return Begun::kNo;
    const auto judging = stripe.judging.find(keys[i]);
    if (judging == stripe.judging.end()) continue;
    if (left < static_cast<double>(judging->second) + 1) begun = Begun::kLater;
  }
  return begun;
}

FailedLogins::Begun FailedLogins::LookKnown(const Stripe& stripe,
                                            const LoginAttempt& attempt) const {
  const absl::Duration now = clock_->Monotonic();
  const uint64_t pair = Pair(attempt);
  if (!known_.Has(pair, now)) return Begun::kNo;
  const double left = kKnownGuesses - known_failed_.Level(KeyOf(pair), now);
  if (left < 1) return Begun::kNo;
  const Begun begun = Look(stripe, attempt.address, kKnownRoom);
  const auto judging = stripe.judging.find(KeyOf(pair));
  const size_t others = judging == stripe.judging.end() ? 0 : judging->second;
  return begun == Begun::kYes && left < static_cast<double>(others) + 1 ? Begun::kLater : begun;
}

FailedLogins::Begun FailedLogins::TryBegin(const LoginAttempt& attempt) {
  Stripe& stripe = StripeOf(attempt.address);
  std::lock_guard lock(stripe.mutex);
  Begun begun = Look(stripe, attempt.address, 1);
  if (begun != Begun::kYes) {
    const Begun as_known = LookKnown(stripe, attempt);
    if (as_known != Begun::kNo) begun = as_known;
  }
  if (begun != Begun::kYes) return begun;
  for (const NetworkKey& key : KeysOf(attempt)) ++stripe.judging[key];
  return Begun::kYes;
}

base::Task<bool> FailedLogins::Begin(LoginAttempt attempt) {
  if (attempt.user.empty()) co_return true;
  absl::Duration pause = kFirstPause;
  for (absl::Duration waited; waited < kPatience; waited += pause) {
    const Begun begun = TryBegin(attempt);
    if (begun != Begun::kLater) co_return begun == Begun::kYes;
    pause = std::min(pause * 2, kMaxPause);
    const bool running = co_await net::Reactor::Current()->Sleep(pause);
    if (!running) break;
  }
  co_return false;
}

void FailedLogins::CountFailure(const LoginAttempt& attempt) {
  const absl::Duration now = clock_->Monotonic();
  const uint64_t guess = Hash("guess", attempt, attempt.password.Reveal());
  const bool again = !attempt.password.empty() && guesses_.Has(guess, now);
  minute_.Add(attempt.address, again ? kRepeated : 1);
  if (again) return;
  day_.Add(attempt.address, 1);
  if (!attempt.password.empty()) guesses_.Note(guess, now);
  const uint64_t pair = Pair(attempt);
  if (known_.Has(pair, now)) known_failed_.Add(KeyOf(pair), 1, now);
}

void FailedLogins::End(const LoginAttempt& attempt, LoginEnd end) {
  if (attempt.user.empty()) {
    if (end == LoginEnd::kWrong) CountFailure(attempt);
    return;
  }
  Stripe& stripe = StripeOf(attempt.address);
  std::lock_guard lock(stripe.mutex);
  if (end == LoginEnd::kWrong) CountFailure(attempt);
  if (end == LoginEnd::kLetIn) known_.Note(Pair(attempt), clock_->Monotonic());
  for (const NetworkKey& key : KeysOf(attempt)) {
    const auto judging = stripe.judging.find(key);
    if (--judging->second == 0) stripe.judging.erase(judging);
  }
}

}  // namespace godwit::limit

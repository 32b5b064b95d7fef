#pragma once

// FailedLogins: how often logging in may fail from one network, in a minute and in a day; the same
// for all daemons that let users in, which share what they count (exchange.h).
//
//   bool begun = co_await failed_logins->Begin(attempt);
//   if (!begun) ... too many: the password is not even looked at ...
//   ... judge it ...
//   failed_logins->End(attempt, limit::LoginEnd::kWrong);
//
// Guessing is bounded; those who share a network with who guesses, or with a program that has an
// old password, are to come in all the same:
//   - What counts is a new guess. The same password for the same account fails as often as it likes
//     within a day: again it is a tenth in the minute and nothing in the day. (Dovecot's penalty
//     leaves it out likewise. A SCRAM proof hides what it was made from: each counts.)
//   - An account that has logged in from the same widest network within two weeks, as far as this
//     process remembers, may ten times as much, but for its own ten new guesses a day.
//   - The widest network is looked at in the minute only: who holds a few networks of a provider
//     does not shut out the provider for a day.
// Nothing is counted by account: nobody can have somebody else's account closed.
//
// An attempt counts before it is judged, and no longer once it has turned out well: a thousand
// connections that ask at the same moment have no more tries than one. Who finds room taken only by
// attempts that are still being judged waits for them, so that many users behind one address may
// come at the same time. Only what has failed is told to other replicas.
//
// Of passwords a hash is kept, under a random key of this process. Thread-safe; Begin() on a
// reactor's thread. login::RunCounted does all of it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "libs/base/clock.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/base/task.h"
#include "libs/limit/decaying_table.h"
#include "libs/limit/meter.h"
#include "libs/limit/network.h"
#include "libs/limit/recently.h"

namespace godwit::limit {

struct FailedLoginOptions {
  NetworkOptions networks;
  double per_minute = 10;  // of the nearest network; 0: no limit
  double per_day = 50;
};

struct LoginAttempt {
  base::IpAddress address;
  std::string user;       // as the client says it; "": not yet
  base::Secret password;  // empty: nobody knows
};

enum class LoginEnd {
  kLetIn,
  kWrong,
  kNeither,  // it goes on, or nobody can tell
};

class FailedLogins {
 public:
  FailedLogins(const FailedLoginOptions& options, const base::Clock* clock,
               base::RandomSource* random);
  FailedLogins(const FailedLogins&) = delete;
  FailedLogins& operator=(const FailedLogins&) = delete;

  // One attempt more; false: there is no room for it, or none within ten seconds. There always is
  // while nobody has said who he is: no password is judged then.
  base::Task<bool> Begin(LoginAttempt attempt);
  // Of each attempt that began.
  void End(const LoginAttempt& attempt, LoginEnd end);

  // For limit::Exchange.
  std::vector<Counter*> counters() { return {&minute_, &day_}; }

 private:
  enum class Begun { kYes, kLater, kNo };
  // Of the networks of one widest network.
  struct Stripe {
    std::mutex mutex;
    absl::flat_hash_map<NetworkKey, size_t> judging;  // guarded by mutex
  };
  Stripe& StripeOf(const base::IpAddress& address);
  Begun TryBegin(const LoginAttempt& attempt);
  // Under the stripe's mutex; `room`: the limits times that.
  Begun Look(const Stripe& stripe, const base::IpAddress& address, double room) const;
  Begun LookKnown(const Stripe& stripe, const LoginAttempt& attempt) const;
  // What an attempt counts for: its networks, and the account in the widest of them.
  std::vector<NetworkKey> KeysOf(const LoginAttempt& attempt) const;
  uint64_t Hash(std::string_view kind, const LoginAttempt& attempt, std::string_view more) const;
  uint64_t Pair(const LoginAttempt& attempt) const;
  void CountFailure(const LoginAttempt& attempt);

  const Networks networks_;
  const base::Clock* const clock_;
  const Seed seed_;
  Meter minute_;
  Meter day_;
  Recently guesses_;            // wrong ones
  Recently known_;              // accounts and the widest networks they have come from
  DecayingTable known_failed_;  // new wrong guesses of these, in a day
  std::array<Stripe, 16> stripes_;
};

}  // namespace godwit::limit

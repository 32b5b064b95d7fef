#pragma once

// Logging in: who a client is, found out by SASL (libs/sasl) against the credentials of the store.
// IMAP's AUTHENTICATE and SMTP's AUTH drive it the same way; the bytes of the protocol, pauses
// after failures and their number are the caller's.
//
//   login::Authenticator authenticator(pool, fake_salt_key, store::kScopeSubmission, random);
//   auto conversation = authenticator.Start("PLAIN");           // nullptr: no such mechanism
//   login::Step step = co_await conversation->Begin(initial);
//   while (auto* challenge = std::get_if<sasl::Challenge>(&step)) {
//     step = co_await conversation->Answer(... what the client says to it ...);
//   }
//
// Nothing distinguishes a user that is not there from a wrong password, time included: both cost
// the same look-ups, and PLAIN and LOGIN the same derivation, on a thread of the pool.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "libs/base/ip_address.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/limit/failed_logins.h"
#include "libs/sasl/exchange.h"
#include "libs/store/credentials.h"

namespace godwit::login {

// The end: the client is who it says.
struct Accepted {
  store::LoginRef login;
  std::string address;  // that was logged in with, canonical
  std::string mechanism;
};
// The end: it is not, or may not. The text is for logs; the client learns only that it failed.
struct Refused {
  std::string reason;
  // The proof was right, and the account is disabled: that the client may be told.
  bool disabled = false;
};
// A Status: nobody can tell now.
using Step = std::variant<sasl::Challenge, Accepted, Refused, absl::Status>;

class Authenticator;

// One authentication. One reactor's thread; not destroyed while one of its tasks runs.
class Conversation {
 public:
  Conversation(const Authenticator* authenticator, std::unique_ptr<sasl::Exchange> exchange,
               std::string_view mechanism)
      : authenticator_(authenticator), exchange_(std::move(exchange)), mechanism_(mechanism) {}

  // `initial`: the initial response, where the client sent one. Once, first.
  base::Task<Step> Begin(std::optional<base::Secret> initial);
  // After a Challenge: what the client says to it.
  base::Task<Step> Answer(base::Secret bytes);
  // What the task is about that was made last, begun or not: as far as the client has said it.
  limit::LoginAttempt AttemptFrom(const base::IpAddress& address) const;

 private:
  friend class Authenticator;

  base::Task<Step> Take(sasl::Action action);
  base::Task<Step> Run(sasl::Action action);
  base::Task<Step> CheckPassword(sasl::CheckPassword check);
  base::Task<absl::StatusOr<sasl::ScramVerifiers>> FindVerifiers(sasl::NeedVerifiers need);
  Step Judge(std::string_view username, std::string_view authorization_id, size_t credential) const;

  const Authenticator* const authenticator_;
  const std::unique_ptr<sasl::Exchange> exchange_;
  const std::string mechanism_;
  std::string username_;   // as the client says it
  base::Secret password_;  // the mechanisms that tell it
  store::Login login_;
};

// Thread-safe; all that it is given outlives it.
class Authenticator {
 public:
  // `scope`: a credential without it does not count.
  Authenticator(db::Pool* pool, base::Secret fake_salt_key, store::Scope scope,
                base::RandomSource* random)
      : pool_(pool), fake_salt_key_(std::move(fake_salt_key)), scope_(scope), random_(random) {}

  // `mechanism`, in any case: those of libs/sasl without -PLUS.
  std::unique_ptr<Conversation> Start(std::string_view mechanism) const;

  // For protocols that have a command of their own for it (IMAP's LOGIN): never a Challenge.
  base::Task<Step> TryPassword(std::string username, base::Secret password) const;

 private:
  friend class Conversation;

  db::Pool* const pool_;
  const base::Secret fake_salt_key_;
  const store::Scope scope_;
  base::RandomSource* const random_;
};

}  // namespace godwit::login

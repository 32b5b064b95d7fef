#pragma once

// Credentials: what a user proves to be who they are with.
//
// A credential is a row (account, name, scopes, verifiers); the main password is the one named
// "password", others are application passwords. The verifiers are those of SCRAM (RFC 5802,
// RFC 7677), made by libs/sasl, and PLAIN is checked against them too; the password itself is never
// stored. All credentials of an account share one salt and iteration count a mechanism, so that a
// client's proof, made with the salt the server sent first, can be tried against each.
//
// Only the roles that end logins can read these tables; smtp-ingress can not.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

// What a credential opens. The numbers are stored: never renumber.
enum Scope : uint32_t {
  kScopeImap = 1,
  kScopeSubmission = 2,
  kScopeWeb = 4,
  kScopeAdmin = 8,
  kScopeAll = 7,  // everything but administration
};
using ScopeMask = uint32_t;

// RFC 5802 §3: StoredKey and ServerKey; empty when there is none for the mechanism.
struct ScramVerifier {
  base::Secret stored_key;
  base::Secret server_key;
};

// The salt and the iteration count all verifiers of an account share, for one mechanism.
struct ScramParameters {
  std::string salt;
  int iterations = 0;
};

struct Credential {
  int64_t id = 0;  // within the account; never given again, and another one when it is replaced
  std::string name;
  ScopeMask scopes = 0;
  ScramVerifier sha256;
  ScramVerifier sha1;
  absl::Time created;
};

struct Login {
  AccountId account = AccountId::kNone;
  bool disabled = false;
  bool admin = false;
  std::string address;  // the canonical one that was looked up
  ScramParameters sha256;
  ScramParameters sha1;
  std::vector<Credential> credentials;  // every scope: the caller picks
};

// Everything about logging in with `address`, or nothing when no account has it. Tags, aliases and
// the catch-all do not log in.
absl::StatusOr<std::optional<Login>> LookupLogin(db::Connection& connection,
                                                 std::string_view address);

// Whom a session or a token belongs to, and the credential that let him in; 0: none of ours did.
struct LoginRef {
  AccountId account = AccountId::kNone;
  int64_t credential = 0;
  friend bool operator==(const LoginRef&, const LoginRef&) = default;
};

// Those of `logins` that are good no more: the account is disabled or gone, or the credential was
// removed or replaced. directory_changes.h tells when to ask.
absl::StatusOr<std::vector<LoginRef>> EndedLogins(db::Connection& connection,
                                                  const std::vector<LoginRef>& logins);

// The key of the stable fake salt that unknown users are answered with: made once by the
// migrations, the same for all daemons.
absl::StatusOr<base::Secret> FakeSaltKey(db::Connection& connection);

// The parameters of an account, made on first use: read them, make the verifiers, then add them.
struct AccountScram {
  ScramParameters sha256;
  ScramParameters sha1;
};
inline constexpr int kDefaultScramIterations = 4096;
absl::StatusOr<AccountScram> GetOrMakeScramParameters(db::Connection& connection, AccountId account,
                                                      base::RandomSource* random,
                                                      int iterations = kDefaultScramIterations);

struct NewCredential {
  std::string name;
  ScopeMask scopes = kScopeAll;
  ScramVerifier sha256;
  ScramVerifier sha1;
};

// Adds the credential, or replaces the one of this name. Returns its id, which is a new one in both
// cases.
absl::StatusOr<int64_t> SetCredential(db::Connection& connection, AccountId account,
                                      const NewCredential& credential, absl::Time now);
// NotFound when there is none of this name.
absl::Status RemoveCredential(db::Connection& connection, AccountId account, std::string_view name);
// Without the verifiers.
absl::StatusOr<std::vector<Credential>> ListCredentials(db::Connection& connection,
                                                        AccountId account);

}  // namespace godwit::store

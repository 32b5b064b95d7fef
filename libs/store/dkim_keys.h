#pragma once

// The DKIM keys of our domains, and who may sign with them.
//
// A key is pending (made, its record not in the DNS yet), active (it signs; several of a domain may
// be) or retired (it signs no more; its record stays in the DNS until the mail it signed has
// arrived). Selectors name keys within their domain; a key id is never used again, so what was read
// of a key once stays right. Everything takes effect with the commit.
//
// The private half is for auth-verifier's role and the owner's alone, and leaves this file only as
// base::Secret. Names as in admin.h: lower case, A-labels.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/secret.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

// For administrators

enum class DkimKeyState { kPending, kActive, kRetired };
std::string_view DkimKeyStateName(DkimKeyState state);  // "pending"

struct DkimKey {
  std::string domain;
  std::string selector;
  std::string algorithm;   // "rsa-sha256", "ed25519-sha256"
  std::string public_key;  // what p= holds, not encoded
  DkimKeyState state = DkimKeyState::kPending;
  absl::Time created;
  std::optional<absl::Time> activated{};  // last
  std::optional<absl::Time> retired{};    // last
};

// Adds a pending key. FailedPrecondition when the domain is not ours, AlreadyExists when it has the
// selector, InvalidArgument when the selector is no DNS name or the algorithm unknown.
absl::Status AddDkimKey(db::Connection& connection, const DkimKey& key,
                        const base::Secret& private_key, absl::Time now);
// Of one domain, or of all when it is empty; by domain and selector.
absl::StatusOr<std::vector<DkimKey>> ListDkimKeys(db::Connection& connection,
                                                  std::string_view domain = "");
// pending or retired -> active. OK when it is active already; NotFound.
absl::Status ActivateDkimKey(db::Connection& connection, std::string_view domain,
                             std::string_view selector, absl::Time now);
// active -> retired. OK when it is retired already; FailedPrecondition when it never signed.
absl::Status RetireDkimKey(db::Connection& connection, std::string_view domain,
                           std::string_view selector, absl::Time now);
// FailedPrecondition while it is active.
absl::Status RemoveDkimKey(db::Connection& connection, std::string_view domain,
                           std::string_view selector);

// For auth-verifier

// What is known before signing in the name of `domain` for an account; one round trip.
struct SigningRight {
  bool ours = false;  // the domain is ours
  // The account is not disabled, and some address of the domain is one that it may be permitted to
  // send as (FindSenderRight).
  bool permitted = false;
  std::vector<int64_t> key_ids;  // active ones, RSA before Ed25519, older before newer
};
absl::StatusOr<SigningRight> LookupSigningRight(db::Connection& connection, AccountId account,
                                                std::string_view domain);

struct StoredSigningKey {
  int64_t key_id = 0;
  std::string selector;
  base::Secret private_key;  // PKCS #8, DER
};
// In the order of `key_ids`; those that are gone meanwhile are left out.
absl::StatusOr<std::vector<StoredSigningKey>> ReadSigningKeys(db::Connection& connection,
                                                              const std::vector<int64_t>& key_ids);

}  // namespace godwit::store

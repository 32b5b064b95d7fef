#pragma once

// Logins of the web page: made when a password was right, found again by a random token.
//
// The store sees the token's SHA-256 only. A session ends when it expires, is removed, or when the
// credential it was made with is removed or set anew; a disabled account's are not found.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

struct WebSession {
  AccountId account = AccountId::kNone;
  std::string token_hash;
  std::string address;
  int64_t credential = 0;
  absl::Time created;
  absl::Time expires;
};

// Of one account; the oldest one goes when there are more.
inline constexpr int kMaxWebSessions = 100;

// NotFound when the account is gone, or the credential.
absl::Status AddWebSession(db::Connection& connection, const WebSession& session);

// Nothing when there is none, or none any more at `now`.
absl::StatusOr<std::optional<WebSession>> FindWebSession(db::Connection& connection,
                                                         AccountId account,
                                                         std::string_view token_hash,
                                                         absl::Time now);

absl::Status ExtendWebSession(db::Connection& connection, AccountId account,
                              std::string_view token_hash, absl::Time expires);

// Logging out; none is no error.
absl::Status RemoveWebSession(db::Connection& connection, AccountId account,
                              std::string_view token_hash);

// Removes expired sessions and forgets expired uploads (jmap_blob.h), at most `limit` of each.
absl::Status SweepWeb(db::Connection& connection, absl::Time now, int limit = 1000);

}  // namespace godwit::store

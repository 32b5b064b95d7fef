#pragma once

// What clients of port 25 were refused: rows for people who ask what the id in a reply means. In a
// partition a day; KeepRefusedSessions drops the old ones.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct RefusedRecipient {
  std::string address;
  std::string reply;  // "" when it was accepted
  friend bool operator==(const RefusedRecipient&, const RefusedRecipient&) = default;
};

// At most so many of one transaction are kept.
inline constexpr size_t kMaxKeptRecipients = 5;

struct RefusedSession {
  absl::Time at;
  std::string session;      // of the connection
  int64_t transaction = 0;  // 1, 2, ...; 0: outside of mail transactions
  base::IpAddress client;
  std::string greeting_name;
  std::string tls;
  std::optional<std::string> mail_from;      // nullopt: outside of mail transactions
  std::vector<RefusedRecipient> recipients;  // the first kMaxKeptRecipients
  int64_t recipient_count = 0;               // of all
  std::string reply;                         // the last refusal
  std::string reason;
  std::string verdict;  // as in Authentication-Results; "": there was none
  // As it stands in replies: "k3dj4mmzq5ra.2".
  std::string id() const;
  friend bool operator==(const RefusedSession&, const RefusedSession&) = default;
};

// Cuts the texts to what is kept of them, and makes them UTF-8 without controls: whoever is refused
// chooses them. A row has then at most kMaxRefusedOctets of text.
void Trim(RefusedSession* session);
inline constexpr size_t kMaxRefusedOctets = 4096;

// In one transaction. Trims what is not trimmed.
absl::Status AddRefusedSessions(db::Connection& connection,
                                const std::vector<RefusedSession>& sessions);

// Drops the partitions of days that ended before `oldest`; returns how many.
absl::StatusOr<int64_t> KeepRefusedSessions(db::Connection& connection, absl::Time now,
                                            absl::Time oldest);

// By the id of a transaction, or of a session: all that is kept of it, the oldest first.
absl::StatusOr<std::vector<RefusedSession>> FindRefusedSession(db::Connection& connection,
                                                               std::string_view id);

// The latest first, at most `limit`. `network`: "192.0.2.0/24", "2001:db8::1", or "" for all;
// InvalidArgument for anything else.
absl::StatusOr<std::vector<RefusedSession>> ListRefusedSessions(db::Connection& connection,
                                                                absl::Time since,
                                                                std::string_view network,
                                                                int limit);

}  // namespace godwit::store

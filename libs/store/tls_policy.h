#pragma once

// What tls-policy keeps: the MTA-STS policies of other domains (RFC 8461), and counters of what
// became of TLS with them (RFC 8460). Domains are lower-case A-labels.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct StsPolicy {
  std::string domain;
  std::string record_id;
  std::string mode;  // "none", "testing", "enforce"
  std::vector<std::string> mx;
  absl::Duration max_age;
  absl::Time fetched;
  friend bool operator==(const StsPolicy&, const StsPolicy&) = default;
};

// Expired ones included; nullopt where none is kept.
absl::StatusOr<std::optional<StsPolicy>> FindStsPolicy(db::Connection& connection,
                                                       std::string_view domain);
// Mail goes there: the policy is worth renewing. Writes at most every six hours.
absl::Status MarkStsPolicyUsed(db::Connection& connection, std::string_view domain, absl::Time now);

// Of two that were fetched for one domain the younger stays.
absl::Status PutStsPolicy(db::Connection& connection, const StsPolicy& policy, absl::Time now);

// Domains whose policy was used in the last 30 days and is due to be looked at again: fetched a day
// ago or half of its life (RFC 8461 §3.3), not expired, not taken within the last hour. Whom nobody
// looked at for the longest time first. Takes them: the next call, of any replica, gives others.
absl::StatusOr<std::vector<std::string>> TakeDueStsPolicies(db::Connection& connection,
                                                            absl::Time now, int most);

// One line of a report: the policy, the outcome, and how many sessions had it.
struct TlsOutcome {
  absl::Time at;  // the day counts
  std::string domain;
  int policy_type = 0;  // as in tls_policy.proto, which RFC 8460's words are made from
  std::vector<std::string> policy;
  std::vector<std::string> mx_patterns;
  int result = 0;
  std::string mx_host;
  std::string mx_helo;
  std::string sending_ip;  // 4 or 16 octets, or none
  std::string receiving_ip;
  std::string reason;
  int64_t sessions = 0;
};

// Adds them up, in one transaction. They must be UTF-8. Equal ones may come twice.
absl::Status AddTlsOutcomes(db::Connection& connection, const std::vector<TlsOutcome>& outcomes);

// Removes policies that expired a day before and outcomes of days before `oldest`. Returns how many
// rows went; at most `most` of each kind.
absl::StatusOr<int64_t> SweepTlsPolicy(db::Connection& connection, absl::Time now,
                                       absl::Time oldest, int most);

}  // namespace godwit::store

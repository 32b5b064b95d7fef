#pragma once

// What to do with what is known of a domain's MTA-STS policy (RFC 8461 §3.3, §5.1): use it, fetch
// it, refresh it. A pure function of the cached policy, the TXT record's answer and the time.

#include <algorithm>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "libs/mtasts/policy.h"

namespace godwit::mtasts {

// A fetch that failed is tried again after this long, unless the id has changed.
inline constexpr absl::Duration kRetryFetch = absl::Minutes(5);
// §3.3: a policy is looked at again well before it expires, and at least daily.
inline constexpr absl::Duration kRefreshAge = absl::Hours(24);
// A policy is good for this long whatever its max_age says: else a domain could have it fetched for
// every message.
inline constexpr absl::Duration kShortestLife = absl::Minutes(5);

// A policy that was fetched once.
struct CachedPolicy {
  std::string id;  // of the TXT record it was fetched for
  Policy policy;
  absl::Time fetched;

  absl::Duration life() const { return std::max(policy.max_age, kShortestLife); }
  absl::Time expires() const { return fetched + life(); }
  friend bool operator==(const CachedPolicy&, const CachedPolicy&) = default;
};

// The answer for _mta-sts.DOMAIN.
struct RecordAnswer {
  // No answer (SERVFAIL, timeout).
  bool failed = false;
  std::optional<std::string> id;
};

// The last fetch, when it failed.
struct FailedFetch {
  std::string id;
  absl::Time at;
};

struct Decision {
  // Use the cached policy (a policy of mode none says: no requirement).
  bool use_cached = false;
  enum class Fetch {
    kNo,
    kNow,         // and wait for it; should it fail, use_cached says what is left
    kBackground,  // the cached policy is good; renew it in time
  };
  Fetch fetch = Fetch::kNo;
};

Decision Decide(const std::optional<CachedPolicy>& cached, const RecordAnswer& record,
                const std::optional<FailedFetch>& failed, absl::Time now);

}  // namespace godwit::mtasts

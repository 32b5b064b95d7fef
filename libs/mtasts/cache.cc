#include "libs/mtasts/cache.h"

#include <algorithm>

namespace godwit::mtasts {
namespace {

bool RecentlyFailed(const std::optional<FailedFetch>& failed, const std::string& id,
                    absl::Time now) {
  return failed && failed->id == id && now < failed->at + kRetryFetch;
}

bool IsAged(const CachedPolicy& cached, absl::Time now) {
  return now >= cached.fetched + std::min(kRefreshAge, cached.life() / 2);
}

}  // namespace

Decision Decide(const std::optional<CachedPolicy>& cached, const RecordAnswer& record,
                const std::optional<FailedFetch>& failed, absl::Time now) {
  Decision decision;
  decision.use_cached = cached && now < cached->expires();
  // RFC 8461 §3.1, §5.1: neither a missing record nor a failing DNS lookup ends a policy before its
  // time; only without a cached one there is nothing to do.
  if (record.failed || !record.id) return decision;
  if (RecentlyFailed(failed, *record.id, now)) return decision;
  if (!decision.use_cached || cached->id != *record.id) {
    decision.fetch = Decision::Fetch::kNow;
  } else if (IsAged(*cached, now)) {
    decision.fetch = Decision::Fetch::kBackground;
  }
  return decision;
}

}  // namespace godwit::mtasts

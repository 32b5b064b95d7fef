#pragma once

// Resolution: one answer to "where does mail for this domain go, and what must TLS prove?": the
// route, the MTA-STS policy and the decision, asked for at the same time.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "services/tls-policy/decision.h"
#include "services/tls-policy/route.h"
#include "services/tls-policy/sts_cache.h"

namespace godwit::tls_policy {

struct Resolution {
  Route route;                      // hosts in the order in which to try them
  std::vector<HostDecision> hosts;  // of route.hosts
  StsState sts;
  absl::Duration valid;
};

struct ResolutionParts {
  dns::Resolver* cached = nullptr;
  dns::Resolver* uncached = nullptr;  // for fresh
  StsCache* sts = nullptr;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  absl::Duration dns_time = absl::Seconds(15);
};

// Errors are those of StsCache::Get; what is wrong with the domain is Route::outcome.
base::Task<absl::StatusOr<Resolution>> Resolve(ResolutionParts parts, RouteQuery query, bool fresh);

// RFC 5321 §5.1: hosts of one preference in random order, so that the load is shared.
void ShuffleEqual(std::vector<RouteHost>* hosts, base::RandomSource* random);

}  // namespace godwit::tls_policy

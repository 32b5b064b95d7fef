#include "services/tls-policy/resolution.h"

#include <algorithm>
#include <utility>

#include "libs/dns/drive.h"

namespace godwit::tls_policy {
namespace {

// An answer is not worth asking for again at once, and not to be kept for long: the caller's memory
// knows nothing of new records.
constexpr absl::Duration kLeastValid = absl::Seconds(1);
constexpr absl::Duration kMostValid = absl::Minutes(5);

base::Task<bool> FindRouteInto(ResolutionParts parts, RouteQuery query, bool fresh, Route* out) {
  const auto step = [&query](const base::DnsAnswers& answers) { return FindRoute(query, answers); };
  const dns::DriveLimits limits{.time = parts.dns_time, .clock = parts.clock};
  *out = co_await dns::Drive(fresh ? parts.uncached : parts.cached, step, limits);
  co_return true;
}

base::Task<bool> FindStsInto(ResolutionParts parts, std::string domain, bool fresh,
                             absl::StatusOr<StsState>* out) {
  *out = co_await parts.sts->Get(std::move(domain), fresh ? parts.uncached : parts.cached, fresh);
  co_return true;
}

}  // namespace

void ShuffleEqual(std::vector<RouteHost>* hosts, base::RandomSource* random) {
  for (size_t i = 0; i + 1 < hosts->size(); ++i) {
    size_t equal = i + 1;
    while (equal < hosts->size() && (*hosts)[equal].preference == (*hosts)[i].preference) ++equal;
    const size_t chosen = i + static_cast<size_t>(random->Id63()) % (equal - i);
    if (chosen != i) std::swap((*hosts)[i], (*hosts)[chosen]);
  }
}

base::Task<absl::StatusOr<Resolution>> Resolve(ResolutionParts parts, RouteQuery query,
                                               bool fresh) {
  Resolution resolution;
  absl::StatusOr<StsState> sts = StsState{};
  const std::string domain = query.domain;
  const bool host_only = query.host_only;
  std::vector<base::Task<bool>> tasks;
  tasks.push_back(FindRouteInto(parts, std::move(query), fresh, &resolution.route));
  if (!host_only) tasks.push_back(FindStsInto(parts, domain, fresh, &sts));
  co_await base::WhenAll(std::move(tasks));
  // A route that ends here needs no policy.
  if (resolution.route.outcome == Route::Outcome::kOk) {
    if (!sts.ok()) co_return sts.status();
    resolution.sts = *std::move(sts);
  }
  ShuffleEqual(&resolution.route.hosts, parts.random);
  resolution.hosts = Decide(domain, resolution.route, resolution.sts);
  resolution.valid = std::clamp(resolution.route.ttl, kLeastValid, kMostValid);
  co_return resolution;
}

}  // namespace godwit::tls_policy

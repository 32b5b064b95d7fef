#pragma once

// StsFetcher: gets the MTA-STS policy of a domain over HTTPS (RFC 8461 §3.3): from the host
// "mta-sts." in front of the domain, with a certificate for that name, without following redirects,
// within a time and a size.

#include <memory>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/mtasts/policy.h"
#include "libs/net/http.h"
#include "libs/net/tls_context.h"
#include "services/tls-policy/decision.h"

namespace godwit::tls_policy {

struct StsFetchOptions {
  uint16_t port = 443;
  // PEM bundle of trust anchors.
  std::string ca_file = {};
  // For all addresses of the host together, without the DNS: callers wait, and without a policy
  // their mail goes on (RFC 8461 §5.1).
  absl::Duration timeout = absl::Seconds(10);
};

// Why there is no policy: as RFC 8460 names it, and for the log.
struct StsFailure {
  TlsResult result = TlsResult::kStsFetchError;
  std::string reason;
};
using StsFetched = std::variant<mtasts::Policy, StsFailure>;

// What an HTTPS answer is worth. Pure.
StsFetched ReadStsResponse(const net::HttpResponse& response);

class StsFetcher {
 public:
  // InvalidArgument when the trust anchors can't be read.
  static absl::StatusOr<std::unique_ptr<StsFetcher>> Create(StsFetchOptions options,
                                                            dns::Resolver* resolver);

  // On a net::Reactor. `domain` as lower-case A-labels.
  base::Task<StsFetched> Fetch(std::string domain) const;

 private:
  StsFetcher(StsFetchOptions options, std::shared_ptr<net::TlsContext> tls, dns::Resolver* resolver)
      : options_(std::move(options)), tls_(std::move(tls)), resolver_(resolver) {}

  const StsFetchOptions options_;
  const std::shared_ptr<net::TlsContext> tls_;
  dns::Resolver* const resolver_;
};

}  // namespace godwit::tls_policy

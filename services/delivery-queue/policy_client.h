#pragma once

// PolicyClient: asks tls-policy where a domain's mail goes and what TLS must prove, and tells it
// what became of TLS (proto/godwit/tls_policy/v1). RPC messages end here.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/rpc/client.h"
#include "services/delivery-queue/route.h"

namespace godwit::delivery_queue {

enum class PolicyOutcome { kOk, kNullMx, kNoDomain, kTemporary };

struct PolicyAnswer {
  PolicyOutcome outcome = PolicyOutcome::kTemporary;
  std::string reason;  // for people
  std::vector<RouteHost> hosts;
  absl::Duration valid;
};

// RFC 8460 §4.3, with the numbers of the RPC's ResultType.
enum class TlsResult {
  kSuccess = 1,
  kStartTlsNotSupported = 2,
  kHostMismatch = 3,
  kExpired = 4,
  kNotTrusted = 5,
  kValidationFailure = 6,
  kTlsaInvalid = 7,
};

struct TlsOutcome {
  std::string report;  // RouteHost::report
  int result = static_cast<int>(TlsResult::kSuccess);
  std::string host;
  std::string helo;  // what its EHLO answer said
  std::string reason;
  std::optional<base::IpAddress> from{};
  std::optional<base::IpAddress> to{};
};

class PolicyClient {
 public:
  virtual ~PolicyClient() = default;

  // `host_only`: `domain` is a host itself (a smarthost). Errors are those of the call.
  virtual base::Task<absl::StatusOr<PolicyAnswer>> Resolve(std::string domain, uint16_t port,
                                                           bool host_only) = 0;
  // Kept until the next Flush(); any thread. At most 1000 and 16 MiB are kept, and those above are
  // counted in the log: they are statistics.
  virtual void Record(TlsOutcome outcome) = 0;
  // Sends what is kept; on a reactor's thread.
  virtual base::Task<void> Flush() = 0;

  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<PolicyClient>> Create(rpc::ChannelOptions channel,
                                                              absl::Duration deadline);
};

}  // namespace godwit::delivery_queue

#pragma once

// TlsReportClient: hands TLS reports that came by mail to tls-policy, which keeps them (RPC
// StoreReport). RPC messages end here.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/rpc/client.h"

namespace godwit::auth_verifier {

struct TlsReport {
  std::string file;                  // as it was attached, packed
  std::string submitter;             // of TLS-Report-Submitter
  std::vector<std::string> signers;  // d= of the signatures that prove it
};

class TlsReportClient {
 public:
  struct Options {
    rpc::ChannelOptions channel;
    absl::Duration deadline = absl::Seconds(10);
  };
  virtual ~TlsReportClient() = default;

  // OK: it is stored, now or before. FailedPrecondition: it is not what it should be, and why, for
  // people. Other errors: tls-policy can not store it now.
  virtual base::Task<absl::Status> Store(TlsReport report, std::string trace) = 0;

  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<TlsReportClient>> Create(Options options);
};

}  // namespace godwit::auth_verifier

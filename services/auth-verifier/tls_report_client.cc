#include "services/auth-verifier/tls_report_client.h"

#include <grpcpp/channel.h>

#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "proto/godwit/tls_policy/v1/tls_policy.grpc.pb.h"

namespace godwit::auth_verifier {
namespace {

namespace pb = ::godwit::tls_policy::v1;

// tls-policy's bound; with it a call stays below what a server takes (4 MiB).
constexpr size_t kMostOctets = 3 << 20;

class Client : public TlsReportClient {
 public:
  Client(std::shared_ptr<grpc::Channel> channel, absl::Duration deadline)
      : deadline_(deadline), stub_(pb::TlsPolicy::NewStub(channel)) {}

  base::Task<absl::Status> Store(TlsReport report, std::string trace) override {
    if (report.file.size() > kMostOctets) {
      co_return base::FailedPrecondition("the report is too large");
    }
    pb::StoreReportRequest request;
    request.set_file(std::move(report.file));
    request.set_submitter(std::move(report.submitter));
    for (std::string& signer : report.signers) request.add_signers(std::move(signer));
    rpc::CallOptions call;
    call.deadline = deadline_;
    call.trace = std::move(trace);
    absl::StatusOr<pb::StoreReportResponse> response =
        co_await rpc::Call(stub_.get(), &pb::TlsPolicy::StubInterface::async_interface::StoreReport,
                           std::move(request), std::move(call));
    if (!response.ok()) co_return base::Annotate(response.status(), "tls-policy");
    if (response->stored()) co_return absl::OkStatus();
    co_return base::FailedPrecondition(response->problem());
  }

 private:
  const absl::Duration deadline_;
  std::unique_ptr<pb::TlsPolicy::Stub> stub_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TlsReportClient>> TlsReportClient::Create(Options options) {
  // What is stored twice is kept once.
  options.channel.idempotent = {"godwit.tls_policy.v1.TlsPolicy/StoreReport"};
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(std::move(options.channel)));
  return std::make_unique<Client>(std::move(channel), options.deadline);
}

}  // namespace godwit::auth_verifier

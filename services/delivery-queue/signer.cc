#include "services/delivery-queue/signer.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"

namespace godwit::delivery_queue {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

constexpr size_t kPiece = 256 * 1024;

class Client : public Signer {
 public:
  Client(std::shared_ptr<grpc::Channel> channel, absl::Duration deadline)
      : stub_(pb::AuthVerifier::NewStub(channel)), deadline_(deadline) {}

  base::Task<absl::StatusOr<std::string>> Sign(std::string message, std::string from,
                                               std::string trace) override {
    rpc::CallOptions options;
    options.deadline = deadline_;
    options.trace = std::move(trace);
    auto stream = rpc::ClientStream<pb::SignRequest, pb::SignResponse>::Open(
        stub_.get(), &pb::AuthVerifier::StubInterface::async_interface::Sign, std::move(options));
    for (size_t at = 0; at == 0 || at < message.size(); at += kPiece) {
      pb::SignRequest request;
      // Account 0: the suite itself.
      if (at == 0) request.mutable_context()->set_from_address(from);
      request.set_data(message.substr(at, kPiece));
      absl::Status written = co_await stream->Write(std::move(request));
      if (!written.ok()) break;
    }
    absl::StatusOr<pb::SignResponse> response = co_await stream->Finish();
    if (!response.ok()) co_return response.status();
    co_return response->header_fields();
  }

 private:
  std::unique_ptr<pb::AuthVerifier::StubInterface> stub_;
  const absl::Duration deadline_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Signer>> Signer::Create(rpc::ChannelOptions options,
                                                       absl::Duration deadline) {
  options.daemon = "auth-verifier";
  GODWIT_ASSIGN_OR_RETURN(auto channel, rpc::Connect(std::move(options)));
  return std::make_unique<Client>(std::move(channel), deadline);
}

}  // namespace godwit::delivery_queue

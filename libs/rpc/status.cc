#include "libs/rpc/status.h"

#include <grpcpp/support/status.h>

#include <string>

#include "libs/base/status.h"

namespace godwit::rpc {

absl::Status FromGrpc(const grpc::Status& status) {
  return base::MakeStatus(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(base::Message(status)));
}

}  // namespace godwit::rpc

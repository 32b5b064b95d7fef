#pragma once

// grpc::Status and absl::Status have the same codes; this carries code and text over.

#include "absl/status/status.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace godwit::rpc {

absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace godwit::rpc

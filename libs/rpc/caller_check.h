#pragma once

// gRPC's side of the table of callers: the one gate in front of every RPC of a server. Private to
// libs/rpc.

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>

#include <string>
#include <utility>
#include <vector>

#include "libs/rpc/server.h"

namespace godwit::rpc {

// The names in the peer's certificate: its SAN DNS names; its CN when it has none.
std::vector<std::string> PeerNames(const grpc::AuthContext& context);

// gRPC asks this before it looks at the handler.
class CallerCheck : public grpc::AuthMetadataProcessor {
 public:
  explicit CallerCheck(Callers callers) : callers_(std::move(callers)) {}
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

 private:
  const Callers callers_;
};

}  // namespace godwit::rpc

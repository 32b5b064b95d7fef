#pragma once

// The gRPC face of imap-gateway: hints from daemons that changed an account
// (proto/godwit/hint/v1). Messages of the protocol stop here.

#include <memory>

#include "libs/rpc/server.h"
#include "services/imap-gateway/metrics.h"
#include "services/imap-gateway/registry.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::imap_gateway {

// Who may call what.
rpc::Callers Callers();

// Both outlive the service.
std::unique_ptr<grpc::Service> NewRpcService(Registry* registry, Metrics* metrics);

}  // namespace godwit::imap_gateway

#pragma once

// The gRPC face of acme (proto/godwit/acme/v1). Messages of the protocol stop here.

#include <memory>

#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "services/acme/board.h"
#include "services/acme/metrics.h"
#include "services/acme/policy.h"

namespace godwit::acme {

// Who may call what.
rpc::Callers Callers();

// All that is passed must outlive the service.
std::unique_ptr<grpc::Service> NewRpcService(const Policy* policy, Board* board,
                                             net::ReactorPool* executors, Metrics* metrics);

}  // namespace godwit::acme

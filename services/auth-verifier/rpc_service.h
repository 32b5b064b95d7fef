#pragma once

// The gRPC face of auth-verifier: turns requests into a MessageCheck and verdicts into responses.
// Messages of the protocol stop here.

#include <memory>

#include "libs/base/clock.h"
#include "libs/dns/resolver.h"
#include "libs/mailauth/message_verifier.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "services/auth-verifier/message_check.h"
#include "services/auth-verifier/metrics.h"

namespace godwit::auth_verifier {

struct RpcOptions {
  size_t concurrent_messages = 2000;
  CheckLimits check;
  mailauth::Options verify;  // authserv_id, receiver and now are set for each message
};

// Who may call what.
rpc::Callers Callers();

// All that is passed must outlive the service.
std::unique_ptr<grpc::Service> NewRpcService(RpcOptions options, dns::Resolver* resolver,
                                             const base::Clock* clock, net::ReactorPool* executors,
                                             Metrics* metrics);

}  // namespace godwit::auth_verifier

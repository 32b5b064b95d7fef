#pragma once

// The gRPC face of tls-policy: requests in, decisions, counters and reports out. Messages of the
// protocol stop here.

#include <memory>

#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "services/tls-policy/metrics.h"
#include "services/tls-policy/outcomes.h"
#include "services/tls-policy/report_intake.h"
#include "services/tls-policy/resolution.h"

namespace godwit::tls_policy {

struct RpcParts {
  ResolutionParts resolution;
  Outcomes* outcomes = nullptr;
  ReportIntake* intake = nullptr;
  net::ReactorPool* executors = nullptr;
  Metrics* metrics = nullptr;
  size_t concurrent_resolves = 2000;
};

// Who may call what.
rpc::Callers Callers();

// All that is passed must outlive the service.
std::unique_ptr<grpc::Service> NewRpcService(RpcParts parts);

}  // namespace godwit::tls_policy

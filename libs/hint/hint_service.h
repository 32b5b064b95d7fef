#pragma once

// The Hints service of a gateway (proto/godwit/hint/v1): hints from daemons that changed an account
// wake the sessions of the registry. Messages of the protocol stop here.

#include <memory>

#include "libs/hint/registry.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/server.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::hint {

// Who may call what.
rpc::Callers HintCallers();

// Both outlive the service; `changes` counts what we were told of.
std::unique_ptr<grpc::Service> NewHintService(Registry* registry, obs::Counter* changes);

}  // namespace godwit::hint

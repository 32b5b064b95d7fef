#pragma once

// The Admin service of a daemon (proto/godwit/admin/v1): status, log level, drain.
//
//   rpc::ServerOptions options;
//   ...
//   admin::AddTo(context_, &options);            // before rpc::Server::Start()
//   admin::AddTo(context_, &options, [this] { return sessions_.load(); });
//
// Adds the service and its lines in the table of callers (godwitctl, webmail-api). `context`
// outlives the server; `connections` is called on gRPC's threads.

#include <cstdint>
#include <functional>

#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"

namespace godwit::admin {

void AddTo(runtime::Context* context, rpc::ServerOptions* options,
           std::function<int64_t()> connections = nullptr);

}  // namespace godwit::admin

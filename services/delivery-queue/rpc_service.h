#pragma once

// The gRPC face of delivery-queue: takes messages (Enqueue) and what administrators ask. Messages
// of the protocol stop here.

#include <memory>

#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "services/delivery-queue/metrics.h"
#include "services/delivery-queue/settings.h"
#include "services/delivery-queue/signer.h"
#include "services/delivery-queue/worker.h"

namespace godwit::delivery_queue {

struct RpcParts {
  const Settings* settings = nullptr;
  const base::Clock* clock = nullptr;
  base::RandomSource* random = nullptr;
  db::Pool* pool = nullptr;
  net::ReactorPool* executors = nullptr;
  Worker* worker = nullptr;
  Signer* signer = nullptr;  // null: notifications leave unsigned
  Metrics* metrics = nullptr;
};

// Who may call what.
rpc::Callers Callers();

// All that is passed must outlive the service.
std::unique_ptr<grpc::Service> NewRpcService(const RpcParts& parts);

}  // namespace godwit::delivery_queue

#pragma once

// acme as a whole: the database, the board, the gRPC listener, and the loop that makes and renews,
// made from the configuration.

#include <memory>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "services/acme/board.h"
#include "services/acme/config.pb.h"
#include "services/acme/metrics.h"
#include "services/acme/policy.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::acme {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  void Drain(absl::Duration grace) override;

  // Where it listens, for tests with port 0.
  uint16_t port() const { return rpc_->port(); }

 private:
  // Looks at the table, makes and renews, publishes.
  base::Task<absl::Status> RefreshOnce();
  base::Task<void> RefreshForEver();
  void Measure(const Snapshot& snapshot);
  void Publish(Outcome outcome);
  // Our own certificate, as every other daemon's, but without a Watch.
  void KeepOwn(const Snapshot& snapshot);
  absl::Status StartRpc();

  const Config config_;
  runtime::Context* const context_;
  Policy policy_;
  Metrics metrics_;
  Board board_;
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<db::Pool> database_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
};

}  // namespace godwit::acme

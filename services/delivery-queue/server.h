#pragma once

// delivery-queue as a whole: database, worker, the ways to the other daemons and the gRPC listener,
// made from the configuration.

#include <memory>

#include "absl/status/status.h"
#include "libs/certificates/keeper.h"
#include "libs/dns/cache.h"
#include "libs/dns/cares_resolver.h"
#include "libs/net/certificate_watch.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "services/delivery-queue/config.pb.h"
#include "services/delivery-queue/rpc_service.h"
#include "services/delivery-queue/worker.h"

namespace godwit::delivery_queue {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  absl::Status Reload() override;
  void Drain(absl::Duration grace) override;

  uint16_t rpc_port() const { return rpc_->port(); }

 private:
  absl::Status OpenResolver();
  absl::Status OpenClients();
  absl::Status OpenTls();
  absl::Status StartRpc();
  base::Task<void> FlushOutcomes();

  const Config config_;
  runtime::Context* const context_;
  Settings settings_;
  Metrics metrics_;
  ConnectionParts connections_;
  net::CertificateWatch certificates_;
  std::unique_ptr<certificates::Keeper> keeper_;
  // Before what posts to its threads, so that it goes after them.
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<db::Pool> pool_;
  std::unique_ptr<dns::CaresResolver> network_;
  std::unique_ptr<dns::Cache> resolver_;
  std::unique_ptr<PolicyClient> policy_;
  std::unique_ptr<Signer> signer_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<NoticeWriter> notices_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
  bool drained_ = false;
};

}  // namespace godwit::delivery_queue

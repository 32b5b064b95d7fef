#pragma once

// auth-verifier as a whole: resolver, database, threads and the gRPC listener, made from the
// configuration.

#include <memory>

#include "absl/status/status.h"
#include "libs/certificates/keeper.h"
#include "libs/db/pool.h"
#include "libs/dns/cache.h"
#include "libs/dns/cares_resolver.h"
#include "libs/net/reactor.h"
#include "libs/outgoing/sender.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "services/auth-verifier/config.pb.h"
#include "services/auth-verifier/evaluation_counter.h"
#include "services/auth-verifier/list_monitor.h"
#include "services/auth-verifier/metrics.h"
#include "services/auth-verifier/report_sender.h"
#include "services/auth-verifier/rpc_service.h"
#include "services/auth-verifier/signing_keys.h"
#include "services/auth-verifier/tls_report_client.h"

namespace godwit::auth_verifier {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  void Drain(absl::Duration grace) override;

  // Where it listens, for tests with port 0.
  uint16_t port() const { return rpc_->port(); }

 private:
  absl::Status OpenResolver();
  absl::Status OpenDatabase();
  absl::Status OpenLists();
  base::Task<void> WatchLists();
  absl::Status OpenReports();
  RpcOptions Options() const;

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<dns::CaresResolver> network_;
  std::unique_ptr<dns::Cache> resolver_;
  std::unique_ptr<ListMonitor> lists_;
  // Before what posts to its threads, so that it goes after them.
  std::unique_ptr<net::ReactorPool> executors_;
  std::unique_ptr<db::Pool> database_;
  std::unique_ptr<SigningKeys> keys_;
  std::unique_ptr<TlsReportClient> tls_reports_;
  std::unique_ptr<ReportIntake> intake_;
  // Null where no reports are made.
  std::unique_ptr<EvaluationCounter> counter_;
  std::unique_ptr<outgoing::Sender> queue_;
  std::unique_ptr<ReportSender> reports_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
};

}  // namespace godwit::auth_verifier

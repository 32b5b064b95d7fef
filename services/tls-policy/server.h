#pragma once

// tls-policy as a whole: resolver, database, threads, the gRPC listener, and what runs in the
// background (policies renewed in time, outcomes written, old rows swept), made from the
// configuration.

#include <memory>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/certificates/keeper.h"
#include "libs/db/pool.h"
#include "libs/dns/cache.h"
#include "libs/dns/cares_resolver.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "services/tls-policy/config.pb.h"
#include "services/tls-policy/metrics.h"
#include "services/tls-policy/outcomes.h"
#include "services/tls-policy/report_intake.h"
#include "services/tls-policy/rpc_service.h"
#include "services/tls-policy/sts_cache.h"
#include "services/tls-policy/sts_fetch.h"

namespace godwit::tls_policy {

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
  absl::Status OpenSts();
  absl::Status OpenRpc();
  base::Task<void> WriteOutcomes();
  base::Task<void> RefreshPolicies();
  base::Task<void> SweepForEver();
  base::Task<void> Sweep();

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<dns::CaresResolver> network_;
  std::unique_ptr<dns::Cache> resolver_;
  // Before what posts to its threads, so that it goes after them.
  std::unique_ptr<net::ReactorPool> executors_;
  std::unique_ptr<db::Pool> database_;
  std::unique_ptr<StsFetcher> fetcher_;
  std::unique_ptr<StsCache> sts_;
  std::unique_ptr<Outcomes> outcomes_;
  std::unique_ptr<ReportIntake> intake_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
  bool drained_ = false;
};

}  // namespace godwit::tls_policy

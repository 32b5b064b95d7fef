#pragma once

// smtp-ingress as a whole: listeners, threads, the ways to the store and to auth-verifier, and what
// runs in the background (certificates, sweeps), made from the configuration.

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/certificates/keeper.h"
#include "libs/dns/cache.h"
#include "libs/dns/cares_resolver.h"
#include "libs/limit/clients.h"
#include "libs/limit/exchange.h"
#include "libs/net/certificate_watch.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/smtpd/front.h"
#include "libs/smtpd/memory.h"
#include "services/smtp-ingress/config.pb.h"
#include "services/smtp-ingress/handler.h"
#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  absl::Status Reload() override;
  void Drain(absl::Duration grace) override;

  // Where it listens, in the order of the configuration, the internal listener last: for tests with
  // port 0.
  std::vector<net::Endpoint> endpoints() const;
  // That are open.
  int64_t sessions() const;

 private:
  absl::Status OpenPeers();
  absl::Status OpenSender();
  absl::Status DivideWholeMemory();
  absl::Status StartLimits();
  absl::Status OpenListeners();
  absl::Status OpenInternal();
  smtpd::FrontOptions MakeFrontOptions();
  absl::Status StartRpc();
  absl::Status OpenResolver();
  absl::StatusOr<std::shared_ptr<net::TlsContext>> OpenTls(net::TlsServerOptions options);
  smtpd::Profile MakeProfile(ListenerKind kind);
  base::Task<void> Background();
  base::Task<void> Sweep();

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  Services services_;
  Services internal_services_;  // of the internal listener: its memory is its own
  net::CertificateWatch certificates_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<smtpd::MemoryBudget> memory_;
  std::unique_ptr<smtpd::MemoryBudget> internal_memory_;
  std::unique_ptr<WholeMemory> whole_memory_;
  std::unique_ptr<WholeMemory> internal_whole_memory_;
  std::unique_ptr<limit::ClientLimits> clients_;
  std::unique_ptr<limit::Exchange> exchange_;
  std::unique_ptr<SessionLog> session_log_;
  // Before what posts to its threads, so that it goes after them.
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<db::Pool> pool_;
  std::unique_ptr<store::Deliverer> deliverer_;
  std::unique_ptr<VerifyClient> verifier_;
  std::unique_ptr<EvaluationSender> evaluations_;
  ReportAddresses report_addresses_;
  std::unique_ptr<outgoing::Sender> sender_;
  std::unique_ptr<Notifier> notifier_;
  std::unique_ptr<dns::CaresResolver> network_;
  std::unique_ptr<dns::Cache> resolver_;
  std::unique_ptr<Callout> callout_;
  std::unique_ptr<RecipientCache> recipients_;
  std::unique_ptr<hint::HintSender> hints_;
  std::unique_ptr<smtpd::Front> front_;
  std::unique_ptr<smtpd::Front> internal_front_;
  std::unique_ptr<rpc::Server> rpc_;
  bool drained_ = false;
};

}  // namespace godwit::smtp_ingress

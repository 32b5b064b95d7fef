#pragma once

// submission as a whole: listeners, threads, the ways to the store, to auth-verifier and to
// delivery-queue, made from the configuration.

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "libs/certificates/keeper.h"
#include "libs/limit/clients.h"
#include "libs/limit/exchange.h"
#include "libs/limit/failed_logins.h"
#include "libs/login/login.h"
#include "libs/net/certificate_watch.h"
#include "libs/net/reactor.h"
#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/sender.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/smtpd/front.h"
#include "libs/smtpd/memory.h"
#include "services/submission/config.pb.h"
#include "services/submission/services.h"

namespace godwit::submission {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  absl::Status Reload() override;
  void Drain(absl::Duration grace) override;

  // Where it listens, in the order of the configuration: for tests with port 0.
  std::vector<net::Endpoint> endpoints() const { return front_->endpoints(); }

 private:
  absl::Status OpenDatabase();
  absl::Status StartLimits();
  absl::Status OpenListeners();
  absl::Status StartRpc();

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  Services services_;
  net::CertificateWatch certificates_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<smtpd::MemoryBudget> memory_;
  std::unique_ptr<smtpd::MemoryByOwner> memory_by_account_;
  std::unique_ptr<outgoing::DailyLimits> limits_;
  std::unique_ptr<limit::ClientLimits> clients_;
  std::unique_ptr<limit::FailedLogins> failed_logins_;
  std::unique_ptr<limit::Exchange> exchange_;
  // Before what posts to its threads, so that it goes after them.
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<db::Pool> pool_;
  std::unique_ptr<login::Authenticator> authenticator_;
  std::unique_ptr<outgoing::Sender> sender_;
  std::unique_ptr<smtpd::Front> front_;
  std::unique_ptr<rpc::Server> rpc_;
  bool drained_ = false;
};

}  // namespace godwit::submission

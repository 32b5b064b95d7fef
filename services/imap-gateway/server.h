#pragma once

// imap-gateway as a whole: listeners, reactors, database pool, presence and the Hint RPC, made from
// the configuration.

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "libs/certificates/keeper.h"
#include "libs/db/pool.h"
#include "libs/hint/hint_sender.h"
#include "libs/hint/presence.h"
#include "libs/hint/registry.h"
#include "libs/limit/exchange.h"
#include "libs/limit/failed_logins.h"
#include "libs/login/login.h"
#include "libs/net/certificate_watch.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/store/deliverer.h"
#include "services/imap-gateway/config.pb.h"
#include "services/imap-gateway/metrics.h"
#include "services/imap-gateway/settings.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::imap_gateway {

class Server : public runtime::Service {
 public:
  Server(Config config, runtime::Context* context);
  ~Server() override;

  absl::Status Start() override;
  absl::Status Reload() override;
  void Drain(absl::Duration grace) override;

  // Where the listeners listen, in the order of the configuration; for tests with port 0.
  std::vector<net::Endpoint> endpoints() const;

 private:
  absl::Status OpenDatabase();
  absl::Status OpenTls();
  absl::Status StartLimits();
  absl::Status StartRpc();
  absl::Status StartListener(const config::v1::Listener& config);
  Settings MakeSettings() const;

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  hint::Registry registry_;
  net::CertificateWatch certificates_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<db::Pool> database_;
  std::unique_ptr<store::Deliverer> deliverer_;
  std::unique_ptr<login::Authenticator> authenticator_;
  std::unique_ptr<limit::FailedLogins> failed_logins_;
  std::unique_ptr<limit::Exchange> exchange_;
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<hint::HintSender> hints_;
  std::unique_ptr<hint::Presence> presence_;
  Environment environment_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  bool drained_ = false;
};

}  // namespace godwit::imap_gateway

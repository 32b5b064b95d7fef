#pragma once

// webmail-api as a whole: listeners, reactors, database pool, presence and the Hint RPC, made from
// the configuration.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "libs/certificates/keeper.h"
#include "libs/db/pool.h"
#include "libs/hint/hint_sender.h"
#include "libs/hint/presence.h"
#include "libs/hint/registry.h"
#include "libs/limit/exchange.h"
#include "libs/limit/failed_logins.h"
#include "libs/net/certificate_watch.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/sender.h"
#include "libs/rpc/server.h"
#include "libs/runtime/service_main.h"
#include "libs/store/deliverer.h"
#include "services/webmail-api/config.pb.h"
#include "services/webmail-api/metrics.h"
#include "services/webmail-api/settings.h"
#include "services/webmail-api/web.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::webmail_api {

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
  absl::Status OpenTls();
  absl::Status OpenDatabase();
  absl::Status OpenSender();
  absl::Status StartLimits();
  absl::Status StartRpc();
  absl::Status StartListener(const config::v1::Listener& config);
  Settings MakeSettings() const;
  base::Task<void> Serve(std::unique_ptr<net::Stream> stream, bool implicit_tls);
  // One more connection of this client; false when it has as many as it may.
  bool Admit(const std::string& client);
  void Leave(const std::string& client);
  base::Task<void> Sweep();

  const Config config_;
  runtime::Context* const context_;
  Metrics metrics_;
  hint::Registry registry_;
  net::CertificateWatch certificates_;
  std::unique_ptr<certificates::Keeper> keeper_;
  std::unique_ptr<db::Pool> database_;
  std::unique_ptr<store::Deliverer> deliverer_;
  std::unique_ptr<limit::FailedLogins> failed_logins_;
  std::unique_ptr<limit::Exchange> exchange_;
  std::unique_ptr<net::ReactorPool> reactors_;
  std::unique_ptr<hint::HintSender> hints_;
  std::unique_ptr<hint::Presence> presence_;
  std::unique_ptr<outgoing::Sender> sender_;
  std::unique_ptr<outgoing::DailyLimits> daily_limits_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> rpc_;
  Environment environment_;
  std::unique_ptr<Web> web_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::atomic<int64_t> connections_{0};
  std::mutex mutex_;
  absl::flat_hash_map<std::string, uint32_t> clients_;  // guarded by mutex_; by ClientKey()
  bool drained_ = false;
};

}  // namespace godwit::webmail_api

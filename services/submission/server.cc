#include "services/submission/server.h"

#include <utility>
#include <vector>

#include "libs/admin/admin.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/credentials.h"
#include "libs/store/ready.h"
#include "services/submission/handler.h"
#include "services/submission/settings.h"

namespace godwit::submission {

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, &certificates_));
  reactors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = config_.limits().threads(), .reactor = {}});
  GODWIT_RETURN_IF_ERROR(OpenDatabase());
  GODWIT_ASSIGN_OR_RETURN(sender_, outgoing::Sender::Create(MakeSenderOptions(config_)));
  memory_ = std::make_unique<smtpd::MemoryBudget>(static_cast<int64_t>(config_.limits().memory()),
                                                  &metrics_.memory_bytes);
  memory_by_account_ = std::make_unique<smtpd::MemoryByOwner>(MemoryOfAccount(config_));
  limits_ = std::make_unique<outgoing::DailyLimits>(MakeDailyLimits(config_), context_->clock);
  GODWIT_RETURN_IF_ERROR(StartLimits());

  services_.settings = MakeSettings(config_);
  services_.clock = context_->clock;
  services_.random = base::RandomSource::System();
  services_.pool = pool_.get();
  services_.authenticator = authenticator_.get();
  services_.sender = sender_.get();
  services_.memory = memory_.get();
  services_.memory_by_account = memory_by_account_.get();
  services_.limits = limits_.get();
  services_.failed_logins = failed_logins_.get();
  services_.metrics = &metrics_;
  GODWIT_RETURN_IF_ERROR(OpenListeners());
  return StartRpc();
}

absl::Status Server::OpenDatabase() {
  pool_ = std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  GODWIT_RETURN_IF_ERROR(store::AwaitSchema(pool_.get(), context_->clock));
  GODWIT_ASSIGN_OR_RETURN(base::Secret fake_salt_key,
                          base::RunBlocking(pool_->Run([](db::Connection& connection) {
                            return store::FakeSaltKey(connection);
                          })));
  authenticator_ = std::make_unique<login::Authenticator>(
      pool_.get(), std::move(fake_salt_key), store::kScopeSubmission, base::RandomSource::System());
  return absl::OkStatus();
}

// What clients of one network may.
absl::Status Server::StartLimits() {
  base::RandomSource* random = base::RandomSource::System();
  GODWIT_ASSIGN_OR_RETURN(limit::ClientLimitOptions clients,
                          runtime::MakeConnectionLimits(config_.clients()));
  clients.name = "submission";
  clients_ = std::make_unique<limit::ClientLimits>(clients, context_->clock, random);
  GODWIT_ASSIGN_OR_RETURN(const limit::FailedLoginOptions failed_logins,
                          runtime::MakeFailedLogins(config_.login().failed_logins()));
  failed_logins_ = std::make_unique<limit::FailedLogins>(failed_logins, context_->clock, random);
  std::vector<limit::Counter*> counters = clients_->counters();
  for (limit::Counter* counter : failed_logins_->counters()) counters.push_back(counter);
  exchange_ = std::make_unique<limit::Exchange>(std::move(counters), pool_.get(), random,
                                                limit::ExchangeMetrics{&metrics_.exchanges});
  base::SpawnOn(reactors_->at(0), exchange_->Run());
  return absl::OkStatus();
}

absl::Status Server::OpenListeners() {
  smtpd::FrontOptions options = runtime::MakeFrontOptions(config_.limits(), config_.timeouts());
  options.before_login = runtime::ToDuration(config_.login().timeout());
  options.clock = context_->clock;
  options.sessions = &metrics_.sessions;
  options.connections = &metrics_.connections;
  options.handshakes = &metrics_.handshakes;
  options.cuts = &metrics_.cuts;
  options.limited = &metrics_.turned_away;
  front_ = std::make_unique<smtpd::Front>(reactors_.get(), std::move(options));

  std::shared_ptr<net::TlsContext> tls;
  if (config_.has_tls()) {
    GODWIT_ASSIGN_OR_RETURN(tls,
                            net::TlsContext::NewServer(runtime::MakeTlsOptions(config_.tls())));
    certificates_.Add(tls);
    const absl::Duration interval = runtime::ToDuration(config_.tls().reload_interval());
    base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), interval));
  }
  for (const config::v1::Listener& listener : config_.listeners()) {
    GODWIT_ASSIGN_OR_RETURN(
        net::ListenOptions listen,
        runtime::MakeListenOptions(listener, config_.limits().sessions() + smtpd::kRefusable,
                                   tls != nullptr));
    smtpd::Profile profile;
    profile.smtp = [this] { return OptionsNow(services_.settings, services_.clock->Now()); };
    profile.tls = tls;
    profile.implicit_tls = listener.implicit_tls();
    profile.clients = clients_.get();
    profile.new_handler = [this] { return std::make_unique<SubmissionHandler>(&services_); };
    GODWIT_RETURN_IF_ERROR(front_->Listen(std::move(listen), std::move(profile)));
  }
  return absl::OkStatus();
}

// Nobody but operators asks us.
absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  admin::AddTo(context_, &options, [this] { return front_->sessions(); });
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

absl::Status Server::Reload() { return certificates_.Check(); }

void Server::Drain(absl::Duration grace) {
  if (std::exchange(drained_, true) || reactors_ == nullptr) return;
  if (front_ != nullptr) front_->Drain(grace);
  if (rpc_ != nullptr) rpc_->Shutdown(absl::ZeroDuration());
  if (exchange_ != nullptr) reactors_->at(0)->RunUntilDone(exchange_->Finish());
  reactors_->Stop();
}

}  // namespace godwit::submission

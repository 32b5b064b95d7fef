#include "services/imap-gateway/server.h"

#include <grpcpp/impl/service_type.h>

#include <utility>

#include "absl/time/clock.h"
#include "libs/admin/admin.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/hint/hint_service.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/credentials.h"
#include "libs/store/ready.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// Sessions are told to end in this many steps over the first half of the grace period.
constexpr int kDrainSlices = 20;
constexpr absl::Duration kDrainPoll = absl::Milliseconds(20);

base::Task<void> RunSession(std::unique_ptr<net::Stream> stream, Environment* environment,
                            bool implicit_tls) {
  Session session(std::move(stream), environment, implicit_tls);
  co_await session.Run();
}

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, &certificates_));
  GODWIT_RETURN_IF_ERROR(OpenTls());
  net::ReactorPool::Options options;
  options.threads = config_.limits().threads();
  reactors_ = std::make_unique<net::ReactorPool>(options);
  GODWIT_RETURN_IF_ERROR(OpenDatabase());

  hint::HintSenderOptions hints;
  hints.tls = runtime::MakeRpcTls(config_.rpc_tls());
  hints_ = std::make_unique<hint::HintSender>(hints, reactors_->at(0));
  GODWIT_RETURN_IF_ERROR(StartRpc());

  GODWIT_RETURN_IF_ERROR(StartLimits());
  environment_.settings = MakeSettings();
  environment_.database = database_.get();
  environment_.deliverer = deliverer_.get();
  environment_.hints = hints_.get();
  environment_.registry = &registry_;
  environment_.presence = presence_.get();
  environment_.clock = context_->clock;
  environment_.random = base::RandomSource::System();
  environment_.metrics = &metrics_;
  GODWIT_RETURN_IF_ERROR(reactors_->at(0)->RunUntilDone(presence_->Register()));
  base::SpawnOn(reactors_->at(0), presence_->Run());
  if (config_.has_tls()) {
    const absl::Duration interval = runtime::ToDuration(config_.tls().reload_interval());
    base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), interval));
  }
  for (const config::v1::Listener& listener : config_.listeners()) {
    GODWIT_RETURN_IF_ERROR(StartListener(listener));
  }
  return absl::OkStatus();
}

absl::Status Server::StartLimits() {
  GODWIT_ASSIGN_OR_RETURN(const limit::FailedLoginOptions options,
                          runtime::MakeFailedLogins(config_.login().failed_logins()));
  failed_logins_ =
      std::make_unique<limit::FailedLogins>(options, context_->clock, base::RandomSource::System());
  exchange_ = std::make_unique<limit::Exchange>(failed_logins_->counters(), database_.get(),
                                                base::RandomSource::System(),
                                                limit::ExchangeMetrics{&metrics_.exchanges});
  environment_.failed_logins = failed_logins_.get();
  base::SpawnOn(reactors_->at(0), exchange_->Run());
  return absl::OkStatus();
}

absl::Status Server::OpenTls() {
  if (!config_.has_tls()) return absl::OkStatus();
  net::TlsServerOptions options = runtime::MakeTlsOptions(config_.tls());
  options.alpn = {"imap"};
  GODWIT_ASSIGN_OR_RETURN(environment_.tls, net::TlsContext::NewServer(std::move(options)));
  certificates_.Add(environment_.tls);
  return absl::OkStatus();
}

absl::Status Server::OpenDatabase() {
  database_ =
      std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  deliverer_ = std::make_unique<store::Deliverer>(database_.get());
  // The schema must fit before we are ready.
  GODWIT_RETURN_IF_ERROR(store::AwaitSchema(database_.get(), context_->clock));
  GODWIT_ASSIGN_OR_RETURN(base::Secret fake_salt_key,
                          reactors_->at(0)->RunUntilDone(database_->Run(
                              [](db::Connection& c) { return store::FakeSaltKey(c); })));
  authenticator_ = std::make_unique<login::Authenticator>(
      database_.get(), std::move(fake_salt_key), store::kScopeImap, base::RandomSource::System());
  environment_.authenticator = authenticator_.get();
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = hint::HintCallers();
  service_ = hint::NewHintService(&registry_, &metrics_.hints);
  admin::AddTo(context_, &options, [this] { return static_cast<int64_t>(registry_.size()); });
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) {
    if (rpc_ != nullptr) rpc_->SetServing(ready);
  };
  hint::PresenceOptions presence;
  presence.address = config_.hint_address();
  if (presence.address.empty()) {
    const auto listen = runtime::ParseEndpoint(config_.rpc().listen());
    if (!listen) return base::InvalidArgument("rpc.listen is no HOST:PORT");
    const bool v6 = listen->host.find(':') != std::string::npos;
    presence.address =
        (v6 ? "[" + listen->host + "]" : listen->host) + ":" + std::to_string(rpc_->port());
  }
  presence_ = std::make_unique<hint::Presence>(
      presence, database_.get(), &registry_, context_->clock, base::RandomSource::System(),
      hint::PresenceMetrics{&metrics_.accounts, &metrics_.healed});
  return absl::OkStatus();
}

absl::Status Server::StartListener(const config::v1::Listener& config) {
  GODWIT_ASSIGN_OR_RETURN(net::ListenOptions options,
                          runtime::MakeListenOptions(config, config_.limits().connections(),
                                                     environment_.tls != nullptr));
  const bool implicit_tls = config.implicit_tls();
  GODWIT_ASSIGN_OR_RETURN(
      std::unique_ptr<net::Listener> listener,
      net::Listener::Start(reactors_.get(), std::move(options),
                           [this, implicit_tls](std::unique_ptr<net::Stream> stream) {
                             base::Spawn(
                                 RunSession(std::move(stream), &environment_, implicit_tls));
                           }));
  obs::Log(obs::Level::kInfo, "listening",
           {{"endpoint", listener->endpoint().ToString()}, {"implicit_tls", implicit_tls}});
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

Settings Server::MakeSettings() const {
  Settings settings;
  settings.hostname = config_.hostname();
  settings.limits.command_bytes = config_.limits().command_size();
  settings.limits.literal_bytes = config_.limits().command_size();
  settings.limits.append_bytes = config_.limits().message_size();
  settings.limits_before_login = settings.limits;
  settings.limits_before_login.command_bytes = config_.limits().command_size_before_login();
  settings.limits_before_login.literal_bytes = config_.limits().command_size_before_login();
  settings.errors = static_cast<int>(config_.limits().errors());
  settings.idle_timeout = runtime::ToDuration(config_.timeouts().idle());
  settings.login_timeout = runtime::ToDuration(config_.timeouts().before_login());
  settings.literal_timeout = runtime::ToDuration(config_.timeouts().literal());
  settings.handshake_timeout = runtime::ToDuration(config_.timeouts().handshake());
  settings.write_timeout = runtime::ToDuration(config_.timeouts().write());
  settings.allow_plaintext = config_.login().allow_plaintext();
  settings.failure_delay = runtime::ToDuration(config_.login().failure_delay());
  settings.failures = static_cast<int>(config_.login().failures());
  return settings;
}

std::vector<net::Endpoint> Server::endpoints() const {
  std::vector<net::Endpoint> all;
  for (const auto& listener : listeners_) all.push_back(listener->endpoint());
  return all;
}

absl::Status Server::Reload() { return certificates_.Check(); }

void Server::Drain(absl::Duration grace) {
  if (std::exchange(drained_, true) || reactors_ == nullptr) return;
  for (const auto& listener : listeners_) listener->Close();
  // RFC 9051 §7.1.5: BYE to everybody, spread so that not all come back at the same moment.
  for (int slice = 0; slice < kDrainSlices && registry_.size() > 0; ++slice) {
    registry_.Drain(static_cast<size_t>(slice), kDrainSlices);
    absl::SleepFor(grace / (2 * kDrainSlices));
  }
  for (absl::Duration waited; waited < grace / 2 && registry_.size() > 0; waited += kDrainPoll) {
    registry_.Drain(0, 1);
    absl::SleepFor(kDrainPoll);
  }
  if (rpc_ != nullptr) rpc_->Shutdown(absl::ZeroDuration());
  if (presence_ != nullptr) {
    reactors_->at(0)->RunUntilDone(presence_->Unregister()).IgnoreError();
  }
  if (hints_ != nullptr) reactors_->at(0)->RunUntilDone(hints_->Finish());
  if (exchange_ != nullptr) reactors_->at(0)->RunUntilDone(exchange_->Finish());
  reactors_->Stop();
  hints_.reset();
  deliverer_.reset();
  database_.reset();
}

}  // namespace godwit::imap_gateway

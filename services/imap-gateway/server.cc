#include "services/imap-gateway/server.h"

#include <grpcpp/impl/service_type.h>

#include <utility>

#include "absl/time/clock.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/units.h"
#include "libs/store/credentials.h"
#include "libs/store/migrate.h"
#include "services/imap-gateway/rpc_service.h"
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

rpc::TlsFiles TlsFilesOf(const config::v1::RpcTls& tls) {
  rpc::TlsFiles files;
  files.ca_file = tls.ca_file();
  files.certificate_file = tls.certificate_file();
  files.key_file = tls.key_file();
  return files;
}

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_RETURN_IF_ERROR(OpenTls());
  net::ReactorPool::Options options;
  options.threads = config_.limits().threads();
  reactors_ = std::make_unique<net::ReactorPool>(options);
  GODWIT_RETURN_IF_ERROR(OpenDatabase());

  hint::HintSenderOptions hints;
  hints.tls = TlsFilesOf(config_.rpc_tls());
  hints_ = std::make_unique<hint::HintSender>(hints, reactors_->at(0));
  GODWIT_RETURN_IF_ERROR(StartRpc());

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
  for (const Listener& listener : config_.listeners()) {
    GODWIT_RETURN_IF_ERROR(StartListener(listener));
  }
  return absl::OkStatus();
}

absl::Status Server::OpenTls() {
  if (!config_.has_tls()) return absl::OkStatus();
  net::TlsServerOptions options;
  for (const Certificate& certificate : config_.tls().certificates()) {
    net::TlsCertificate files;
    files.chain_file = certificate.chain_file();
    files.key_file = certificate.key_file();
    options.certificates.push_back(std::move(files));
  }
  options.alpn = {"imap"};
  GODWIT_ASSIGN_OR_RETURN(environment_.tls, net::TlsContext::NewServer(std::move(options)));
  return absl::OkStatus();
}

absl::Status Server::OpenDatabase() {
  db::PoolOptions options;
  options.connect.conninfo = config_.database().conninfo();
  options.connect.application_name = context_->name;
  options.connect.statement_timeout = runtime::ToDuration(config_.database().statement_timeout());
  options.threads = static_cast<int>(config_.database().threads());
  options.queue_timeout = runtime::ToDuration(config_.database().queue_timeout());
  database_ = std::make_unique<db::Pool>(options);
  deliverer_ = std::make_unique<store::Deliverer>(database_.get());
  // The schema must fit before we are ready.
  absl::Status schema = reactors_->at(0)->RunUntilDone(
      database_->Run([](db::Connection& c) { return store::CheckSchema(c); }));
  GODWIT_RETURN_IF_ERROR(schema);
  GODWIT_ASSIGN_OR_RETURN(environment_.fake_salt_key,
                          reactors_->at(0)->RunUntilDone(database_->Run(
                              [](db::Connection& c) { return store::FakeSaltKey(c); })));
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = TlsFilesOf(config_.rpc_tls());
  options.callers = Callers();
  service_ = NewRpcService(&registry_, &metrics_);
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) {
    if (rpc_ != nullptr) rpc_->SetServing(ready);
  };
  PresenceOptions presence;
  presence.address = config_.hint_address();
  if (presence.address.empty()) {
    const auto listen = runtime::ParseEndpoint(config_.rpc().listen());
    if (!listen) return base::InvalidArgument("rpc.listen is no HOST:PORT");
    const bool v6 = listen->host.find(':') != std::string::npos;
    presence.address =
        (v6 ? "[" + listen->host + "]" : listen->host) + ":" + std::to_string(rpc_->port());
  }
  presence_ = std::make_unique<Presence>(presence, database_.get(), &registry_, context_->clock,
                                         base::RandomSource::System(), &metrics_);
  return absl::OkStatus();
}

absl::Status Server::StartListener(const Listener& config) {
  if (config.implicit_tls() && environment_.tls == nullptr) {
    return base::InvalidArgument("a listener with implicit_tls needs the section tls");
  }
  net::ListenOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.endpoint, net::Endpoint::Parse(config.listen()));
  options.max_connections = config_.limits().connections();
  options.proxy_protocol = config.proxy_protocol();
  for (const std::string& source : config.proxy_sources()) {
    GODWIT_ASSIGN_OR_RETURN(net::Network network, net::Network::Parse(source));
    options.proxy_sources.push_back(network);
  }
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

absl::Status Server::Reload() {
  return environment_.tls == nullptr ? absl::OkStatus() : environment_.tls->Reload();
}

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
  reactors_->Stop();
  hints_.reset();
  deliverer_.reset();
  database_.reset();
}

}  // namespace godwit::imap_gateway

#include "services/webmail-api/server.h"

#include <grpcpp/impl/service_type.h>

#include <algorithm>
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
#include "libs/store/migrate.h"
#include "libs/store/web_session.h"
#include "services/webmail-api/auth.h"

namespace godwit::webmail_api {
namespace {

// Event streams are told to end in this many steps over the first half of the grace period.
constexpr int kDrainSlices = 10;
constexpr absl::Duration kDrainPoll = absl::Milliseconds(20);
constexpr absl::Duration kSweepInterval = absl::Minutes(10);

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
  GODWIT_RETURN_IF_ERROR(OpenSender());
  GODWIT_RETURN_IF_ERROR(StartLimits());
  GODWIT_RETURN_IF_ERROR(StartRpc());

  environment_.settings = MakeSettings();
  environment_.database = database_.get();
  environment_.deliverer = deliverer_.get();
  environment_.hints = hints_.get();
  environment_.registry = &registry_;
  environment_.presence = presence_.get();
  environment_.sender = sender_.get();
  environment_.daily_limits = daily_limits_.get();
  environment_.clock = context_->clock;
  environment_.random = base::RandomSource::System();
  environment_.metrics = &metrics_;
  environment_.cache_key = base::Secret(environment_.random->Bytes(32));
  web_ = std::make_unique<Web>(&environment_);
  GODWIT_RETURN_IF_ERROR(reactors_->at(0)->RunUntilDone(presence_->Register()));
  base::SpawnOn(reactors_->at(0), presence_->Run());
  base::SpawnOn(reactors_->at(0), Sweep());
  if (config_.has_tls()) {
    const absl::Duration interval = runtime::ToDuration(config_.tls().reload_interval());
    base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), interval));
  }
  // Those with TLS first: the others send there.
  for (const bool tls : {true, false}) {
    for (const config::v1::Listener& listener : config_.listeners()) {
      if (listener.implicit_tls() == tls) GODWIT_RETURN_IF_ERROR(StartListener(listener));
    }
  }
  return absl::OkStatus();
}

absl::Status Server::OpenTls() {
  if (!config_.has_tls()) return absl::OkStatus();
  net::TlsServerOptions options = runtime::MakeTlsOptions(config_.tls());
  options.alpn = {"http/1.1"};
  GODWIT_ASSIGN_OR_RETURN(environment_.tls, net::TlsContext::NewServer(std::move(options)));
  certificates_.Add(environment_.tls);
  return absl::OkStatus();
}

absl::Status Server::OpenDatabase() {
  database_ =
      std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
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

absl::Status Server::OpenSender() {
  outgoing::Sender::Options options;
  options.signer.target = config_.auth_verifier().target();
  options.signer.daemon = "auth-verifier";
  options.signer.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.sign_deadline = runtime::ToDuration(config_.auth_verifier().deadline());
  options.queue.target = config_.delivery_queue().target();
  options.queue.daemon = "delivery-queue";
  options.queue.tls = options.signer.tls;
  options.queue_deadline = runtime::ToDuration(config_.delivery_queue().deadline());
  GODWIT_ASSIGN_OR_RETURN(sender_, outgoing::Sender::Create(std::move(options)));
  daily_limits_ = std::make_unique<outgoing::DailyLimits>(
      outgoing::DailyLimits::Options{.messages = config_.daily().messages(),
                                     .recipients = config_.daily().recipients()},
      context_->clock);
  return absl::OkStatus();
}

absl::Status Server::StartLimits() {
  base::RandomSource* random = base::RandomSource::System();
  GODWIT_ASSIGN_OR_RETURN(const limit::FailedLoginOptions options,
                          runtime::MakeFailedLogins(config_.login().failed_logins()));
  failed_logins_ = std::make_unique<limit::FailedLogins>(options, context_->clock, random);
  exchange_ = std::make_unique<limit::Exchange>(failed_logins_->counters(), database_.get(), random,
                                                limit::ExchangeMetrics{&metrics_.exchanges});
  environment_.failed_logins = failed_logins_.get();
  base::SpawnOn(reactors_->at(0), exchange_->Run());
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = hint::HintCallers();
  service_ = hint::NewHintService(&registry_, &metrics_.hints);
  admin::AddTo(context_, &options, [this] { return connections_.load(); });
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) {
    if (rpc_ != nullptr) rpc_->SetServing(ready);
  };
  hint::PresenceOptions presence;
  presence.daemon = "webmail-api";
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
  const uint32_t share = std::max(
      1u, config_.limits().connections() / static_cast<uint32_t>(config_.listeners_size()));
  GODWIT_ASSIGN_OR_RETURN(net::ListenOptions options,
                          runtime::MakeListenOptions(config, share, environment_.tls != nullptr));
  const bool implicit_tls = config.implicit_tls();
  GODWIT_ASSIGN_OR_RETURN(
      std::unique_ptr<net::Listener> listener,
      net::Listener::Start(reactors_.get(), std::move(options),
                           [this, implicit_tls](std::unique_ptr<net::Stream> stream) {
                             base::Spawn(Serve(std::move(stream), implicit_tls));
                           }));
  obs::Log(obs::Level::kInfo, "listening",
           {{"endpoint", listener->endpoint().ToString()}, {"tls", implicit_tls}});
  if (implicit_tls && environment_.settings.https_port == 0) {
    environment_.settings.https_port = listener->endpoint().port;
  }
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

bool Server::Admit(const std::string& client) {
  const uint32_t most = environment_.settings.connections_per_address;
  if (most == 0) return true;
  std::lock_guard lock(mutex_);
  uint32_t& open = clients_[client];
  if (open >= most) return false;
  ++open;
  return true;
}

void Server::Leave(const std::string& client) {
  if (environment_.settings.connections_per_address == 0) return;
  std::lock_guard lock(mutex_);
  const auto found = clients_.find(client);
  if (--found->second == 0) clients_.erase(found);
}

base::Task<void> Server::Serve(std::unique_ptr<net::Stream> stream, bool implicit_tls) {
  const std::string client = ClientKey(stream->peer().address);
  if (!Admit(client)) {
    metrics_.refused_connections.Add();
    co_return;
  }
  metrics_.connections.Add(1);
  ++connections_;
  stream->set_write_timeout(environment_.settings.write_timeout);
  absl::Status secured;
  if (implicit_tls) {
    secured =
        co_await stream->StartTlsServer(environment_.tls, environment_.settings.handshake_timeout);
  }
  if (secured.ok()) {
    co_await net::ServeHttp(std::move(stream), web_.get(), environment_.settings.http);
  }
  --connections_;
  metrics_.connections.Add(-1);
  Leave(client);
}

// Sessions and uploads that have expired.
base::Task<void> Server::Sweep() {
  while (co_await net::Reactor::Current()->Sleep(kSweepInterval)) {
    absl::Status swept = co_await database_->Run(
        [now = context_->clock->Now()](db::Connection& c) { return store::SweepWeb(c, now); });
    if (!swept.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"error", swept}});
  }
}

Settings Server::MakeSettings() const {
  Settings settings;
  const auto& limits = config_.limits();
  settings.hostname = config_.hostname();
  settings.public_url = config_.public_url();
  settings.jmap.max_size_upload = limits.upload_size();
  settings.jmap.max_concurrent_upload = limits.concurrent_uploads();
  settings.jmap.max_size_request = limits.request_size();
  settings.jmap.max_concurrent_requests = limits.concurrent_requests();
  settings.jmap.max_calls_in_request = limits.calls();
  settings.jmap.max_objects_in_get = limits.objects_in_get();
  settings.jmap.max_objects_in_set = limits.objects_in_set();
  settings.message_size = limits.message_size();
  settings.uploads_size = limits.uploads_size();
  settings.event_streams = limits.event_streams();
  settings.recipients = limits.recipients();
  settings.senders.alias_members =
      config_.policy().alias_senders() == config::v1::ALIAS_SENDERS_MEMBERS;
  settings.senders.catch_all =
      config_.policy().catch_all_senders() != config::v1::CATCH_ALL_SENDERS_NOBODY;
  settings.downloads = limits.downloads();
  settings.connections_per_address = limits.connections_per_address();
  settings.concurrent_checks = config_.login().concurrent_checks();
  settings.http.idle_timeout = runtime::ToDuration(config_.timeouts().idle());
  settings.http.message_timeout = runtime::ToDuration(config_.timeouts().request());
  settings.handshake_timeout = runtime::ToDuration(config_.timeouts().handshake());
  settings.write_timeout = runtime::ToDuration(config_.timeouts().write());
  settings.upload_lifetime = runtime::ToDuration(config_.timeouts().upload());
  settings.event_stream_lifetime = runtime::ToDuration(config_.timeouts().event_stream());
  settings.failure_delay = runtime::ToDuration(config_.login().failure_delay());
  settings.session_lifetime = runtime::ToDuration(config_.login().session());
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
  // Event streams end one after the other, so that not all clients come back at the same moment.
  for (int slice = 0; slice < kDrainSlices && registry_.size() > 0; ++slice) {
    registry_.Drain(static_cast<size_t>(slice), kDrainSlices);
    absl::SleepFor(grace / (2 * kDrainSlices));
  }
  // Idle connections end, others after the request in progress.
  for (absl::Duration waited; waited < grace / 2 && connections_ > 0; waited += kDrainPoll) {
    reactors_->WakeAll();
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

}  // namespace godwit::webmail_api

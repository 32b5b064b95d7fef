#include "services/smtp-ingress/server.h"

#include <functional>
#include <utility>
#include <vector>

#include "libs/admin/admin.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/blob.h"
#include "libs/store/directory_changes.h"
#include "libs/store/maintenance.h"
#include "libs/store/ready.h"
#include "services/smtp-ingress/settings.h"

namespace godwit::smtp_ingress {
namespace {

// Of the daemons' own certificates, where there are no others.
constexpr absl::Duration kReloadInterval = absl::Seconds(10);
constexpr absl::Duration kSweepInterval = absl::Minutes(1);
// Readers of an email that is destroyed meanwhile have this long to finish.
constexpr absl::Duration kDeadBlobAge = absl::Hours(1);
// Of one job of the database's threads: others wait for them, too.
constexpr int kSweepBatch = 100;
constexpr absl::Duration kChangeLogAge = absl::Hours(24 * 30);
constexpr absl::Duration kChangeLogSlack = absl::Hours(24);

// One transaction or a few short ones; returns how much was done.
using SweepStep = std::function<absl::StatusOr<int64_t>(db::Connection&)>;

std::vector<SweepStep> SweepSteps(absl::Time now) {
  return {
      [now](db::Connection& c) {
        return store::SweepBlobs(c, now, now - kDeadBlobAge, kSweepBatch);
      },
      [now](db::Connection& c) { return store::SweepDeleted(c, now); },
      [now](db::Connection& c) -> absl::StatusOr<int64_t> {
        GODWIT_ASSIGN_OR_RETURN(
            auto compacted,
            store::CompactChangeLogs(c, now - kChangeLogAge, kSweepBatch, kChangeLogSlack));
        return compacted.accounts;
      },
      [](db::Connection& c) -> absl::StatusOr<int64_t> {
        GODWIT_RETURN_IF_ERROR(store::CompactDirectoryChanges(c).status());
        return 0;
      },
  };
}

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, &certificates_));
  reactors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = config_.limits().threads(), .reactor = {}});
  pool_ = std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  GODWIT_RETURN_IF_ERROR(store::AwaitSchema(pool_.get(), context_->clock));
  deliverer_ = std::make_unique<store::Deliverer>(pool_.get());
  GODWIT_ASSIGN_OR_RETURN(verifier_, VerifyClient::Create(MakeVerifyOptions(config_)));
  if (config_.has_delivery_queue()) {
    GODWIT_ASSIGN_OR_RETURN(sender_, outgoing::Sender::Create(MakeSenderOptions(config_)));
  }
  if (config_.has_dns()) {
    GODWIT_RETURN_IF_ERROR(OpenResolver());
  }
  hint::HintSenderOptions hints;
  hints.tls = runtime::MakeRpcTls(config_.rpc_tls());
  hints.sent = metrics_.hints_sent;
  hints.dropped = metrics_.hints_dropped;
  hints_ = std::make_unique<hint::HintSender>(std::move(hints), reactors_->at(0));
  memory_ = std::make_unique<smtpd::MemoryBudget>(static_cast<int64_t>(config_.limits().memory()),
                                                  &metrics_.memory_bytes);

  services_.settings = MakeSettings(config_);
  services_.clock = context_->clock;
  services_.random = base::RandomSource::System();
  services_.pool = pool_.get();
  services_.deliverer = deliverer_.get();
  services_.verifier = verifier_.get();
  services_.sender = sender_.get();
  services_.resolver = resolver_.get();
  CalloutOptions callout;
  callout.hostname = config_.hostname();
  callout_ = std::make_unique<Callout>(std::move(callout), context_->clock, resolver_.get());
  services_.callout = callout_.get();
  services_.hints = hints_.get();
  services_.memory = memory_.get();
  services_.metrics = &metrics_;
  GODWIT_RETURN_IF_ERROR(OpenListeners());
  GODWIT_RETURN_IF_ERROR(StartRpc());
  base::SpawnOn(reactors_->at(0), Background());
  return absl::OkStatus();
}

absl::Status Server::OpenResolver() {
  dns::CaresOptions options;
  for (const std::string& text : config_.dns().servers()) {
    GODWIT_ASSIGN_OR_RETURN(dns::Server server, dns::ParseServer(text));
    options.servers.push_back(server);
  }
  options.timeout = runtime::ToDuration(config_.dns().timeout());
  options.attempts = static_cast<int>(config_.dns().attempts());
  GODWIT_ASSIGN_OR_RETURN(network_, dns::CaresResolver::Create(std::move(options)));
  resolver_ =
      std::make_unique<dns::Cache>(network_.get(), context_->clock,
                                   dns::CacheOptions{.max_entries = config_.dns().cache_entries()});
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  admin::AddTo(context_, &options, [this] { return front_->sessions(); });
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

absl::Status Server::OpenListeners() {
  smtpd::FrontOptions options = runtime::MakeFrontOptions(config_.limits(), config_.timeouts());
  options.clock = context_->clock;
  options.sessions = &metrics_.sessions;
  options.connections = &metrics_.connections;
  options.handshakes = &metrics_.handshakes;
  front_ = std::make_unique<smtpd::Front>(reactors_.get(), std::move(options));
  const size_t connections = config_.limits().sessions() + smtpd::kRefusable;

  std::shared_ptr<net::TlsContext> tls;
  if (config_.has_tls()) {
    GODWIT_ASSIGN_OR_RETURN(tls, OpenTls(runtime::MakeTlsOptions(config_.tls())));
  }
  for (const config::v1::Listener& listener : config_.listeners()) {
    GODWIT_ASSIGN_OR_RETURN(net::ListenOptions listen,
                            runtime::MakeListenOptions(listener, connections, tls != nullptr));
    smtpd::Profile profile = MakeProfile(ListenerKind::kPublic);
    profile.tls = tls;
    profile.implicit_tls = listener.implicit_tls();
    GODWIT_RETURN_IF_ERROR(front_->Listen(std::move(listen), std::move(profile)));
  }
  if (config_.has_internal()) {
    net::ListenOptions listen;
    GODWIT_ASSIGN_OR_RETURN(listen.endpoint, net::Endpoint::Parse(config_.internal().listen()));
    listen.max_connections = connections;
    smtpd::Profile profile = MakeProfile(ListenerKind::kInternal);
    GODWIT_ASSIGN_OR_RETURN(profile.tls, OpenTls(runtime::MakeMutualTlsOptions(config_.rpc_tls())));
    profile.implicit_tls = true;
    GODWIT_RETURN_IF_ERROR(front_->Listen(std::move(listen), std::move(profile)));
  }
  const absl::Duration interval =
      config_.has_tls() ? runtime::ToDuration(config_.tls().reload_interval()) : kReloadInterval;
  base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), interval));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<net::TlsContext>> Server::OpenTls(net::TlsServerOptions options) {
  GODWIT_ASSIGN_OR_RETURN(auto context, net::TlsContext::NewServer(std::move(options)));
  certificates_.Add(context);
  return context;
}

smtpd::Profile Server::MakeProfile(ListenerKind kind) {
  smtpd::Profile profile;
  profile.smtp = [this, kind] { return OptionsFor(services_.settings, kind); };
  profile.new_handler = [this, kind] { return std::make_unique<IngressHandler>(&services_, kind); };
  return profile;
}

std::vector<net::Endpoint> Server::endpoints() const { return front_->endpoints(); }

// On the first reactor, until it stops.
base::Task<void> Server::Background() {
  for (;;) {
    const bool running = co_await reactors_->at(0)->Sleep(kSweepInterval);
    if (!running) co_return;
    co_await Sweep();
  }
}

base::Task<void> Server::Sweep() {
  const absl::Time now = context_->clock->Now();
  for (const SweepStep& step : SweepSteps(now)) {
    // Until fewer than a whole batch came: a mailbox that is removed leaves thousands.
    absl::StatusOr<int64_t> done = kSweepBatch;
    while (done.ok() && *done >= kSweepBatch) done = co_await pool_->Run(step);
    if (!done.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"status", done.status()}});
  }
  absl::StatusOr<store::SweepBacklog> left = co_await pool_->Run(
      [now](db::Connection& c) { return store::GetSweepBacklog(c, now, now - kDeadBlobAge); });
  if (!left.ok()) co_return;
  metrics_.sweep_backlog.At({"staged-blobs"}).Set(static_cast<double>(left->staged_blobs));
  metrics_.sweep_backlog.At({"dead-blobs"}).Set(static_cast<double>(left->dead_blobs));
  metrics_.sweep_backlog.At({"mailboxes"}).Set(static_cast<double>(left->mailboxes));
  metrics_.sweep_backlog.At({"accounts"}).Set(static_cast<double>(left->accounts));
}

absl::Status Server::Reload() { return certificates_.Check(); }

void Server::Drain(absl::Duration grace) {
  if (reactors_ == nullptr) return;
  if (front_ != nullptr) front_->Drain(grace);
  reactors_->Stop();
}

}  // namespace godwit::smtp_ingress

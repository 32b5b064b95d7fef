#include "services/smtp-ingress/server.h"

#include <algorithm>
#include <functional>
#include <thread>
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
#include "libs/store/refused_sessions.h"
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

std::vector<SweepStep> SweepSteps(absl::Time now, absl::Duration keep_refused) {
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
      [now, keep_refused](db::Connection& c) {
        return store::KeepRefusedSessions(c, now, now - keep_refused);
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
  GODWIT_RETURN_IF_ERROR(OpenPeers());
  memory_ = std::make_unique<smtpd::MemoryBudget>(static_cast<int64_t>(config_.limits().memory()),
                                                  &metrics_.memory_bytes);
  GODWIT_RETURN_IF_ERROR(DivideWholeMemory());

  services_.settings = MakeSettings(config_);
  services_.clock = context_->clock;
  services_.random = base::RandomSource::System();
  services_.pool = pool_.get();
  services_.deliverer = deliverer_.get();
  services_.verifier = verifier_.get();
  services_.sender = sender_.get();
  services_.notifier = notifier_.get();
  if (config_.has_dns()) services_.resolver = resolver_.get();
  services_.callout = callout_.get();
  services_.recipients = recipients_.get();
  services_.evaluations = evaluations_.get();
  services_.report_addresses = &report_addresses_;
  GODWIT_RETURN_IF_ERROR(reactors_->at(0)->RunUntilDone(report_addresses_.Refresh(pool_.get())));
  services_.hints = hints_.get();
  services_.memory = memory_.get();
  services_.whole_memory = whole_memory_.get();
  services_.metrics = &metrics_;
  GODWIT_RETURN_IF_ERROR(StartLimits());
  GODWIT_RETURN_IF_ERROR(OpenListeners());
  GODWIT_RETURN_IF_ERROR(OpenInternal());
  GODWIT_RETURN_IF_ERROR(StartRpc());
  base::SpawnOn(reactors_->at(0), Background());
  base::SpawnOn(reactors_->at(0), evaluations_->Run(reactors_->at(0)));
  return absl::OkStatus();
}

// Whom we ask and tell.
absl::Status Server::OpenPeers() {
  if (config_.verification() == Config::VERIFICATION_OFF) {
    verifier_ = VerifyClient::Off(MakeVerifyOptions(config_).authserv_id);
  } else {
    GODWIT_ASSIGN_OR_RETURN(verifier_, VerifyClient::Create(MakeVerifyOptions(config_)));
  }
  EvaluationSender::Options evaluations;
  evaluations.channel = MakeVerifyOptions(config_).channel;
  GODWIT_ASSIGN_OR_RETURN(evaluations_,
                          EvaluationSender::Create(std::move(evaluations), &metrics_));
  if (config_.has_delivery_queue()) GODWIT_RETURN_IF_ERROR(OpenSender());
  GODWIT_RETURN_IF_ERROR(OpenResolver());
  CalloutOptions callout;
  callout.hostname = config_.hostname();
  callout_ = std::make_unique<Callout>(std::move(callout), context_->clock, resolver_.get());
  recipients_ = std::make_unique<RecipientCache>(runtime::ToDuration(config_.recipient_cache()),
                                                 context_->clock);
  hint::HintSenderOptions hints;
  hints.tls = runtime::MakeRpcTls(config_.rpc_tls());
  hints.sent = metrics_.hints_sent;
  hints.dropped = metrics_.hints_dropped;
  hints_ = std::make_unique<hint::HintSender>(std::move(hints), reactors_->at(0));
  return absl::OkStatus();
}

absl::Status Server::DivideWholeMemory() {
  if (!config_.has_delivery_queue()) return absl::OkStatus();
  // A string doubles as it grows; then there is the header.
  const auto one = static_cast<int64_t>(2 * config_.limits().message_size() + (4 << 20));
  const auto all = static_cast<int64_t>(config_.delivery_queue().memory());
  if (all < one) {
    return base::InvalidArgument("delivery_queue.memory: no room for limits.message_size");
  }
  for (auto* memory : {&whole_memory_, &internal_whole_memory_}) {
    *memory = std::make_unique<WholeMemory>(all, std::max(all / 4, one), &metrics_.memory_bytes);
  }
  return absl::OkStatus();
}

absl::Status Server::OpenSender() {
  GODWIT_ASSIGN_OR_RETURN(sender_, outgoing::Sender::Create(MakeSenderOptions(config_)));
  Notifier::Options options;
  options.sender = sender_.get();
  options.hostname = config_.hostname();
  options.clock = context_->clock;
  options.random = base::RandomSource::System();
  notifier_ = std::make_unique<Notifier>(std::move(options));
  return absl::OkStatus();
}

// What clients may do, and what is kept of those who did more.
absl::Status Server::StartLimits() {
  GODWIT_ASSIGN_OR_RETURN(const limit::ClientLimitOptions options,
                          runtime::MakeClientLimits(config_.clients()));
  clients_ = std::make_unique<limit::ClientLimits>(options, context_->clock, services_.random);
  exchange_ = std::make_unique<limit::Exchange>(clients_->counters(), pool_.get(), services_.random,
                                                limit::ExchangeMetrics{&metrics_.exchanges});
  SessionLog::Options kept;
  kept.per_minute = config_.refused_sessions().per_minute();
  session_log_ =
      std::make_unique<SessionLog>(kept, pool_.get(), context_->clock, &metrics_.refused_sessions);
  services_.clients = clients_.get();
  services_.session_log = session_log_.get();
  base::SpawnOn(reactors_->at(0), exchange_->Run());
  base::SpawnOn(reactors_->at(0), session_log_->Run());
  return absl::OkStatus();
}

// Next hops may be names, whether the domains of senders are looked up or not.
absl::Status Server::OpenResolver() {
  dns::CaresOptions options;
  dns::CacheOptions cache;
  if (config_.has_dns()) {
    for (const std::string& text : config_.dns().servers()) {
      GODWIT_ASSIGN_OR_RETURN(dns::Server server, dns::ParseServer(text));
      options.servers.push_back(server);
    }
    options.timeout = runtime::ToDuration(config_.dns().timeout());
    options.attempts = static_cast<int>(config_.dns().attempts());
    cache.max_entries = config_.dns().cache_entries();
  }
  GODWIT_ASSIGN_OR_RETURN(network_, dns::CaresResolver::Create(std::move(options)));
  resolver_ = std::make_unique<dns::Cache>(network_.get(), context_->clock, cache);
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  admin::AddTo(context_, &options, [this] { return sessions(); });
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

smtpd::FrontOptions Server::MakeFrontOptions() {
  smtpd::FrontOptions options = runtime::MakeFrontOptions(config_.limits(), config_.timeouts());
  options.clock = context_->clock;
  options.sessions = &metrics_.sessions;
  options.connections = &metrics_.connections;
  options.handshakes = &metrics_.handshakes;
  options.cuts = &metrics_.cuts;
  options.limited = &metrics_.limited;
  options.slowed = &metrics_.slowed;
  return options;
}

absl::Status Server::OpenListeners() {
  front_ = std::make_unique<smtpd::Front>(reactors_.get(), MakeFrontOptions());
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
    profile.clients = clients_.get();
    GODWIT_RETURN_IF_ERROR(front_->Listen(std::move(listen), std::move(profile)));
  }
  const absl::Duration interval =
      config_.has_tls() ? runtime::ToDuration(config_.tls().reload_interval()) : kReloadInterval;
  base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), interval));
  return absl::OkStatus();
}

absl::Status Server::OpenInternal() {
  if (!config_.has_internal()) return absl::OkStatus();
  internal_memory_ = std::make_unique<smtpd::MemoryBudget>(
      static_cast<int64_t>(config_.internal().memory()), &metrics_.memory_bytes);
  internal_services_ = services_;
  internal_services_.memory = internal_memory_.get();
  internal_services_.whole_memory = internal_whole_memory_.get();
  smtpd::FrontOptions options = MakeFrontOptions();
  options.max_sessions = config_.internal().sessions();
  internal_front_ = std::make_unique<smtpd::Front>(reactors_.get(), std::move(options));
  net::ListenOptions listen;
  GODWIT_ASSIGN_OR_RETURN(listen.endpoint, net::Endpoint::Parse(config_.internal().listen()));
  listen.max_connections = config_.internal().sessions() + smtpd::kRefusable;
  smtpd::Profile profile = MakeProfile(ListenerKind::kInternal);
  GODWIT_ASSIGN_OR_RETURN(profile.tls, OpenTls(runtime::MakeMutualTlsOptions(config_.rpc_tls())));
  profile.implicit_tls = true;
  return internal_front_->Listen(std::move(listen), std::move(profile));
}

absl::StatusOr<std::shared_ptr<net::TlsContext>> Server::OpenTls(net::TlsServerOptions options) {
  GODWIT_ASSIGN_OR_RETURN(auto context, net::TlsContext::NewServer(std::move(options)));
  certificates_.Add(context);
  return context;
}

smtpd::Profile Server::MakeProfile(ListenerKind kind) {
  smtpd::Profile profile;
  profile.smtp = [this, kind] { return OptionsFor(services_.settings, kind); };
  Services* services = kind == ListenerKind::kInternal ? &internal_services_ : &services_;
  profile.new_handler = [services, kind] {
    return std::make_unique<IngressHandler>(services, kind);
  };
  return profile;
}

int64_t Server::sessions() const {
  return front_->sessions() + (internal_front_ == nullptr ? 0 : internal_front_->sessions());
}

std::vector<net::Endpoint> Server::endpoints() const {
  std::vector<net::Endpoint> all = front_->endpoints();
  if (internal_front_ == nullptr) return all;
  for (net::Endpoint& each : internal_front_->endpoints()) all.push_back(std::move(each));
  return all;
}

// On the first reactor, until it stops.
base::Task<void> Server::Background() {
  for (;;) {
    const bool running = co_await reactors_->at(0)->Sleep(kSweepInterval);
    if (!running) co_return;
    (void)co_await report_addresses_.Refresh(pool_.get());  // those of before will do
    co_await Sweep();
  }
}

base::Task<void> Server::Sweep() {
  const absl::Time now = context_->clock->Now();
  const absl::Duration keep_refused = runtime::ToDuration(config_.refused_sessions().retention());
  for (const SweepStep& step : SweepSteps(now, keep_refused)) {
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
  if (drained_ || reactors_ == nullptr) return;
  drained_ = true;
  // Both at the same time: each may take all of the grace period.
  std::thread internal([this, grace] {
    if (internal_front_ != nullptr) internal_front_->Drain(grace);
  });
  if (front_ != nullptr) front_->Drain(grace);
  internal.join();
  if (hints_ != nullptr) reactors_->at(0)->RunUntilDone(hints_->Finish());
  if (evaluations_ != nullptr) {
    // For reports only: what can not be sent now is lost.
    (void)reactors_->at(0)->RunUntilDone(evaluations_->Flush());
  }
  if (session_log_ != nullptr) reactors_->at(0)->RunUntilDone(session_log_->Finish());
  if (exchange_ != nullptr) reactors_->at(0)->RunUntilDone(exchange_->Finish());
  reactors_->Stop();
}

}  // namespace godwit::smtp_ingress

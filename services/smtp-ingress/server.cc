#include "services/smtp-ingress/server.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/units.h"
#include "libs/store/blob.h"
#include "libs/store/maintenance.h"
#include "libs/store/migrate.h"
#include "services/smtp-ingress/settings.h"

namespace godwit::smtp_ingress {
namespace {

// The database may start at the same time as we do.
constexpr absl::Duration kDatabasePatience = absl::Seconds(30);
constexpr absl::Duration kSweepInterval = absl::Minutes(1);
// Readers of an email that is destroyed meanwhile have this long to finish.
constexpr absl::Duration kDeadBlobAge = absl::Hours(1);
// Of one job of the database's threads: others wait for them, too.
constexpr int kSweepBatch = 100;
constexpr absl::Duration kChangeLogAge = absl::Hours(24 * 30);
constexpr absl::Duration kDrainStep = absl::Milliseconds(20);
// The last part of the grace period, at most a quarter: for clients to be told 421 and to take it.
constexpr absl::Duration kCutTime = absl::Seconds(3);

base::Task<absl::Status> CheckSchemaTask(db::Pool* pool) {
  absl::Status status =
      co_await pool->Run([](db::Connection& connection) { return store::CheckSchema(connection); });
  co_return status;
}

base::Task<bool> SleepTask(net::Reactor* reactor, absl::Duration duration) {
  return reactor->Sleep(duration);
}

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  reactors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = config_.limits().threads(), .reactor = {}});
  pool_ = std::make_unique<db::Pool>(MakePoolOptions(config_));
  GODWIT_RETURN_IF_ERROR(CheckDatabase());
  deliverer_ = std::make_unique<store::Deliverer>(pool_.get());
  GODWIT_ASSIGN_OR_RETURN(verifier_, VerifyClient::Create(MakeVerifyOptions(config_)));
  hint::HintSenderOptions hints;
  hints.tls = MakeRpcTls(config_);
  hints_ = std::make_unique<hint::HintSender>(std::move(hints), reactors_->at(0));

  services_.settings = MakeSettings(config_);
  services_.clock = context_->clock;
  services_.random = base::RandomSource::System();
  services_.pool = pool_.get();
  services_.deliverer = deliverer_.get();
  services_.verifier = verifier_.get();
  services_.hints = hints_.get();
  services_.metrics = &metrics_;
  GODWIT_RETURN_IF_ERROR(OpenTls());

  for (const Listener& listener : config_.listeners()) {
    GODWIT_ASSIGN_OR_RETURN(net::ListenOptions options, MakeListenOptions(config_, listener));
    GODWIT_RETURN_IF_ERROR(Listen(std::move(options), ListenerKind::kPublic));
  }
  if (config_.has_internal()) {
    GODWIT_ASSIGN_OR_RETURN(net::ListenOptions options, MakeInternalListenOptions(config_));
    GODWIT_RETURN_IF_ERROR(Listen(std::move(options), ListenerKind::kInternal));
  }
  base::SpawnOn(reactors_->at(0), Background());
  return absl::OkStatus();
}

absl::Status Server::CheckDatabase() {
  const absl::Duration begin = context_->clock->Monotonic();
  for (;;) {
    absl::Status status = reactors_->at(0)->RunUntilDone(CheckSchemaTask(pool_.get()));
    const bool patient = context_->clock->Monotonic() - begin < kDatabasePatience;
    if (status.ok() || !base::IsRetryable(status) || !patient) {
      return base::Annotate(status, "database");
    }
    reactors_->at(0)->RunUntilDone(SleepTask(reactors_->at(0), absl::Milliseconds(200)));
  }
}

absl::Status Server::OpenTls() {
  std::vector<std::string> files;
  if (config_.has_tls()) {
    GODWIT_ASSIGN_OR_RETURN(services_.tls, net::TlsContext::NewServer(MakeTlsOptions(config_)));
    for (const Certificate& certificate : config_.tls().certificates()) {
      files.push_back(certificate.chain_file());
      files.push_back(certificate.key_file());
    }
    watches_.push_back(std::make_unique<CertificateWatch>(services_.tls, std::move(files)));
  }
  if (config_.has_internal()) {
    GODWIT_ASSIGN_OR_RETURN(services_.internal_tls,
                            net::TlsContext::NewServer(MakeInternalTlsOptions(config_)));
    const rpc::TlsFiles tls = MakeRpcTls(config_);
    files = {tls.ca_file, tls.certificate_file, tls.key_file};
    watches_.push_back(
        std::make_unique<CertificateWatch>(services_.internal_tls, std::move(files)));
  }
  return absl::OkStatus();
}

absl::Status Server::Listen(net::ListenOptions options, ListenerKind kind) {
  auto handler = [this, kind](std::unique_ptr<net::Stream> stream) {
    base::Spawn(Session::Serve(std::move(stream), &services_, kind));
  };
  GODWIT_ASSIGN_OR_RETURN(
      auto listener, net::Listener::Start(reactors_.get(), std::move(options), std::move(handler)));
  obs::Log(obs::Level::kInfo, "listening",
           {{"endpoint", listener->endpoint().ToString()},
            {"internal", kind == ListenerKind::kInternal}});
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

std::vector<net::Endpoint> Server::endpoints() const {
  std::vector<net::Endpoint> endpoints;
  for (const auto& listener : listeners_) endpoints.push_back(listener->endpoint());
  return endpoints;
}

// On the first reactor, until it stops.
base::Task<void> Server::Background() {
  net::Reactor* reactor = reactors_->at(0);
  const absl::Duration interval =
      config_.has_tls() ? runtime::ToDuration(config_.tls().reload_interval()) : absl::Seconds(10);
  absl::Duration next_sweep = context_->clock->Monotonic() + kSweepInterval;
  for (;;) {
    const bool running = co_await reactor->Sleep(interval);
    if (!running) co_return;
    CheckCertificates();
    const hint::HintStats hints = hints_->Stats();
    metrics_.hints_sent.Set(static_cast<double>(hints.sent));
    metrics_.hints_dropped.Set(static_cast<double>(hints.dropped));
    if (context_->clock->Monotonic() < next_sweep) continue;
    co_await Sweep();
    next_sweep = context_->clock->Monotonic() + kSweepInterval;
  }
}

void Server::CheckCertificates() {
  for (const auto& watch : watches_) {
    absl::Status status = watch->Check();
    if (!status.ok()) {
      obs::Log(obs::Level::kWarning, "certificates not reloaded", {{"status", status}});
    }
  }
}

base::Task<void> Server::Sweep() {
  const absl::Time now = context_->clock->Now();
  auto sweep = [now](db::Connection& connection) {
    return store::SweepBlobs(connection, now, now - kDeadBlobAge, kSweepBatch);
  };
  auto compact = [now](db::Connection& connection) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto compacted,
                            store::CompactChangeLogs(connection, now - kChangeLogAge, kSweepBatch));
    return compacted.accounts;
  };
  // Each until fewer than a whole batch came: a mailbox that is removed leaves thousands.
  absl::StatusOr<int64_t> done = kSweepBatch;
  while (done.ok() && *done >= kSweepBatch) done = co_await pool_->Run(sweep);
  if (done.ok()) done = kSweepBatch;
  while (done.ok() && *done >= kSweepBatch) done = co_await pool_->Run(compact);
  if (!done.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"status", done.status()}});
}

// The watches belong to the first reactor, where Background() looks at them.
absl::Status Server::Reload() {
  auto check = [](Server* server) -> base::Task<bool> {
    server->CheckCertificates();
    co_return true;
  };
  reactors_->at(0)->RunUntilDone(check(this));
  return absl::OkStatus();
}

// Until all have ended, or `patience` has.
void Server::AwaitSessions(absl::Duration patience) const {
  const absl::Duration begin = context_->clock->Monotonic();
  while (services_.sessions > 0 && context_->clock->Monotonic() - begin < patience) {
    absl::SleepFor(kDrainStep);
  }
}

void Server::Drain(absl::Duration grace) {
  if (reactors_ == nullptr) return;
  services_.draining = true;
  for (const auto& listener : listeners_) listener->Close();
  reactors_->WakeAll();
  const absl::Duration cut = std::min(kCutTime, grace / 4);
  AwaitSessions(grace - cut);
  services_.cutting = true;
  reactors_->WakeAll();
  AwaitSessions(cut);
  if (services_.sessions > 0) {
    obs::Log(obs::Level::kWarning, "sessions cut at the end of the grace period",
             {{"sessions", services_.sessions.load()}});
  }
  reactors_->Stop();
}

}  // namespace godwit::smtp_ingress

#include "services/acme/server.h"

#include <grpcpp/impl/service_type.h>

#include <algorithm>
#include <utility>

#include "libs/admin/admin.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/certificates/bundle.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/ready.h"
#include "services/acme/issuer.h"
#include "services/acme/rpc_service.h"

namespace godwit::acme {
namespace {

constexpr size_t kThreads = 1;

const char* KindName(store::CertificateKind kind) {
  return kind == store::CertificateKind::kRpc ? "rpc" : "public";
}

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(policy_, MakePolicy(config_));
  reactors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = kThreads, .reactor = {}});
  database_ =
      std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  GODWIT_RETURN_IF_ERROR(store::AwaitSchema(database_.get(), context_->clock));
  const absl::Status first = reactors_->at(0)->RunUntilDone(RefreshOnce());
  GODWIT_RETURN_IF_ERROR(base::Annotate(first, "certificates"));
  GODWIT_RETURN_IF_ERROR(StartRpc());
  base::SpawnOn(reactors_->at(0), RefreshForEver());
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = Callers();
  admin::AddTo(context_, &options, [this] { return static_cast<int64_t>(board_.watchers()); });
  service_ = NewRpcService(&policy_, &board_, reactors_.get(), &metrics_);
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

base::Task<absl::Status> Server::RefreshOnce() {
  const absl::Time now = context_->clock->Now();
  auto refresh = [this, known = board_.current(), now](db::Connection& connection) {
    return Refresh(connection, policy_, known, now, base::RandomSource::System());
  };
  absl::StatusOr<Outcome> outcome = co_await database_->Run(std::move(refresh));
  if (!outcome.ok()) co_return outcome.status();
  Publish(*std::move(outcome));
  co_return absl::OkStatus();
}

// While the database is away what is published stays.
base::Task<void> Server::RefreshForEver() {
  const absl::Duration poll = runtime::ToDuration(config_.poll());
  for (;;) {
    const bool running = co_await reactors_->at(0)->Sleep(poll);
    if (!running) co_return;
    absl::Status status = co_await RefreshOnce();
    if (status.ok()) continue;
    metrics_.failures.At({"database"}).Add();
    Measure(*board_.current());  // time goes on
    obs::Log(obs::Level::kWarning, "certificates not looked at", {{"status", status}});
  }
}

void Server::Publish(Outcome outcome) {
  for (const auto kind : outcome.issued) metrics_.issued.At({KindName(kind), "ok"}).Add();
  for (const auto kind : outcome.failed) metrics_.issued.At({KindName(kind), "failed"}).Add();
  if (!outcome.issued.empty() || !outcome.failed.empty()) {
    obs::Log(outcome.failed.empty() ? obs::Level::kInfo : obs::Level::kError,
             "certificates renewed",
             {{"issued", outcome.issued.size()}, {"failed", outcome.failed.size()}});
  }
  Measure(*outcome.snapshot);
  if (outcome.snapshot == board_.current()) return;
  KeepOwn(*outcome.snapshot);
  board_.Publish(std::move(outcome.snapshot));
}

void Server::Measure(const Snapshot& snapshot) {
  const absl::Time now = context_->clock->Now();
  for (const auto kind : {store::CertificateKind::kPublic, store::CertificateKind::kRpc}) {
    int count = 0;
    absl::Time soonest = absl::InfiniteFuture();
    for (const store::Certificate& each : snapshot.certificates) {
      if (each.kind != kind) continue;
      ++count;
      soonest = std::min(soonest, each.not_after);
    }
    metrics_.certificates.At({KindName(kind)}).Set(count);
    if (count > 0) metrics_.expiry.At({KindName(kind)}).Set(absl::ToDoubleSeconds(soonest - now));
  }
  metrics_.expiry.At({"authority"}).Set(absl::ToDoubleSeconds(snapshot.authorities_end - now));
}

void Server::KeepOwn(const Snapshot& snapshot) {
  const auto bundle = BundleFor(snapshot, policy_, context_->name);
  absl::Status kept = bundle.status();
  if (kept.ok()) kept = certificates::WriteBundle(config_.folder(), *bundle).status();
  if (kept.ok()) return;
  metrics_.failures.At({"folder"}).Add();
  obs::Log(obs::Level::kError, "own certificate not kept", {{"status", kept}});
}

void Server::Drain(absl::Duration grace) {
  if (reactors_ == nullptr) return;
  board_.Stop();
  if (rpc_ != nullptr) rpc_->Shutdown(grace);
  reactors_->Stop();
}

}  // namespace godwit::acme

#include "services/tls-policy/server.h"

#include <grpcpp/impl/service_type.h>

#include <utility>

#include "libs/admin/admin.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/ready.h"
#include "libs/store/tls_policy.h"
#include "libs/store/tls_reports.h"

namespace godwit::tls_policy {
namespace {

constexpr int kSweepBatch = 1000;
constexpr absl::Duration kSweepInterval = absl::Minutes(5);

base::Task<absl::Status> FlushTask(Outcomes* outcomes) { return outcomes->Flush(); }

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, nullptr));
  GODWIT_RETURN_IF_ERROR(OpenResolver());
  executors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = config_.limits().threads(), .reactor = {}});
  GODWIT_RETURN_IF_ERROR(OpenDatabase());
  GODWIT_RETURN_IF_ERROR(OpenSts());
  outcomes_ = std::make_unique<Outcomes>(database_.get(), &metrics_, config_.reporting().pending());
  ReportIntake::Options intake;
  intake.reports_a_day = config_.reporting().received_a_day();
  intake_ = std::make_unique<ReportIntake>(intake, database_.get(), context_->clock, &metrics_);
  GODWIT_RETURN_IF_ERROR(OpenRpc());
  base::SpawnOn(executors_->at(0), WriteOutcomes());
  base::SpawnOn(executors_->at(0), RefreshPolicies());
  base::SpawnOn(executors_->at(0), SweepForEver());
  return absl::OkStatus();
}

absl::Status Server::OpenResolver() {
  dns::CaresOptions options;
  for (const std::string& text : config_.dns().servers()) {
    GODWIT_ASSIGN_OR_RETURN(dns::Server server, dns::ParseServer(text));
    server.trusted = config_.dns().trusted();
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

absl::Status Server::OpenDatabase() {
  database_ =
      std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  return store::AwaitSchema(database_.get(), context_->clock);
}

absl::Status Server::OpenSts() {
  StsFetchOptions fetch;
  fetch.port = static_cast<uint16_t>(config_.mta_sts().port());
  fetch.ca_file = config_.mta_sts().ca_file();
  fetch.timeout = runtime::ToDuration(config_.mta_sts().timeout());
  GODWIT_ASSIGN_OR_RETURN(fetcher_, StsFetcher::Create(std::move(fetch), resolver_.get()));
  StsCacheOptions options;
  options.max_domains = config_.mta_sts().memory_domains();
  options.max_fetches = config_.mta_sts().concurrent_fetches();
  sts_ = std::make_unique<StsCache>(options, fetcher_.get(), database_.get(), context_->clock,
                                    &metrics_);
  return absl::OkStatus();
}

absl::Status Server::OpenRpc() {
  RpcParts parts;
  parts.resolution.cached = resolver_.get();
  parts.resolution.uncached = network_.get();
  parts.resolution.sts = sts_.get();
  parts.resolution.clock = context_->clock;
  parts.resolution.random = base::RandomSource::System();
  parts.resolution.dns_time = runtime::ToDuration(config_.limits().dns_time());
  parts.outcomes = outcomes_.get();
  parts.intake = intake_.get();
  parts.executors = executors_.get();
  parts.metrics = &metrics_;
  parts.concurrent_resolves = config_.limits().concurrent_resolves();
  service_ = NewRpcService(parts);

  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = Callers();
  admin::AddTo(context_, &options);
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

// On the first executor, until it stops; so are the others.
base::Task<void> Server::WriteOutcomes() {
  net::Reactor* reactor = executors_->at(0);
  const absl::Duration interval = runtime::ToDuration(config_.reporting().write_interval());
  for (;;) {
    const bool running = co_await reactor->Sleep(interval);
    if (!running) co_return;
    const absl::Status written = co_await outcomes_->Flush();
    if (!written.ok()) {
      obs::Log(obs::Level::kWarning, "TLS outcomes not written", {{"status", written}});
    }
  }
}

base::Task<void> Server::RefreshPolicies() {
  net::Reactor* reactor = executors_->at(0);
  const absl::Duration interval = runtime::ToDuration(config_.mta_sts().refresh_interval());
  for (;;) {
    const bool running = co_await reactor->Sleep(interval);
    if (!running) co_return;
    co_await sts_->RefreshDue(resolver_.get());
  }
}

base::Task<void> Server::SweepForEver() {
  for (;;) {
    const bool running = co_await executors_->at(0)->Sleep(kSweepInterval);
    if (!running) co_return;
    co_await Sweep();
  }
}

base::Task<void> Server::Sweep() {
  const absl::Time now = context_->clock->Now();
  const absl::Time oldest = now - runtime::ToDuration(config_.reporting().keep());
  absl::StatusOr<int64_t> swept = kSweepBatch;
  while (swept.ok() && *swept >= kSweepBatch) {
    swept = co_await database_->Run([now, oldest](db::Connection& connection) {
      return store::SweepTlsPolicy(connection, now, oldest, kSweepBatch);
    });
  }
  if (swept.ok()) {
    const absl::Time received = now - runtime::ToDuration(config_.reporting().keep_received());
    swept = co_await database_->Run(
        [received](db::Connection& c) { return store::KeepTlsReports(c, received); });
  }
  if (!swept.ok()) obs::Log(obs::Level::kWarning, "sweep failed", {{"status", swept.status()}});
}

void Server::Drain(absl::Duration grace) {
  if (drained_ || executors_ == nullptr) return;
  drained_ = true;
  if (rpc_ != nullptr) rpc_->Shutdown(grace);
  // What callers have been told is taken is written, if the database lets us.
  if (outcomes_ != nullptr && outcomes_->pending() > 0) {
    const absl::Status written = executors_->at(0)->RunUntilDone(FlushTask(outcomes_.get()));
    if (!written.ok()) {
      obs::Log(obs::Level::kWarning, "TLS outcomes lost",
               {{"counters", outcomes_->pending()}, {"status", written}});
    }
  }
  executors_->Stop();
}

}  // namespace godwit::tls_policy

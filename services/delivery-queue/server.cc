#include "services/delivery-queue/server.h"

#include <grpcpp/impl/service_type.h>

#include <utility>

#include "libs/admin/admin.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/ready.h"

namespace godwit::delivery_queue {
namespace {

constexpr absl::Duration kReloadInterval = absl::Seconds(10);
constexpr absl::Duration kFlushInterval = absl::Seconds(1);
// Of the grace period, for calls that are being taken.
constexpr absl::Duration kCallTime = absl::Seconds(5);

}  // namespace

Server::Server(Config config, runtime::Context* context)
    : config_(std::move(config)), context_(context) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::Status Server::Start() {
  GODWIT_ASSIGN_OR_RETURN(settings_, MakeSettings(config_));
  GODWIT_ASSIGN_OR_RETURN(keeper_, certificates::Keep(config_, &certificates_));
  reactors_ = std::make_unique<net::ReactorPool>(
      net::ReactorPool::Options{.threads = config_.limits().threads(), .reactor = {}});
  pool_ = std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  GODWIT_RETURN_IF_ERROR(store::AwaitSchema(pool_.get(), context_->clock));
  GODWIT_RETURN_IF_ERROR(OpenResolver());
  GODWIT_RETURN_IF_ERROR(OpenClients());
  router_ = std::make_unique<Router>(Router::Parts{.settings = &settings_,
                                                   .clock = context_->clock,
                                                   .pool = pool_.get(),
                                                   .resolver = resolver_.get(),
                                                   .policy = policy_.get(),
                                                   .random = base::RandomSource::System()});
  notices_ =
      std::make_unique<NoticeWriter>(NoticeWriter::Parts{.settings = &settings_,
                                                         .pool = pool_.get(),
                                                         .random = base::RandomSource::System(),
                                                         .signer = signer_.get()});
  worker_ = std::make_unique<Worker>(Worker::Parts{.settings = &settings_,
                                                   .clock = context_->clock,
                                                   .random = base::RandomSource::System(),
                                                   .pool = pool_.get(),
                                                   .reactors = reactors_.get(),
                                                   .router = router_.get(),
                                                   .notices = notices_.get(),
                                                   .metrics = &metrics_,
                                                   .address = config_.rpc().listen()});
  connections_.settings = &settings_;
  connections_.clock = context_->clock;
  connections_.pool = pool_.get();
  connections_.policy = policy_.get();
  connections_.capture = capture_.get();
  connections_.metrics = &metrics_;
  connections_.owner = worker_.get();
  GODWIT_RETURN_IF_ERROR(OpenTls());
  worker_->Start(&connections_);
  if (policy_ != nullptr) base::SpawnOn(reactors_->at(0), FlushOutcomes());
  return StartRpc();
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

absl::Status Server::OpenClients() {
  rpc::ChannelOptions channel;
  channel.tls = runtime::MakeRpcTls(config_.rpc_tls());
  if (config_.has_tls_policy()) {
    channel.target = config_.tls_policy().target();
    GODWIT_ASSIGN_OR_RETURN(
        policy_,
        PolicyClient::Create(channel, runtime::ToDuration(config_.tls_policy().deadline())));
  }
  if (config_.has_signer()) {
    channel.target = config_.signer().target();
    GODWIT_ASSIGN_OR_RETURN(
        signer_, Signer::Create(channel, runtime::ToDuration(config_.signer().deadline())));
  }
  if (settings_.outbound == OutboundMode::kCapture) {
    GODWIT_ASSIGN_OR_RETURN(capture_, Capture::Open(settings_.capture_folder));
  }
  return absl::OkStatus();
}

absl::Status Server::OpenTls() {
  auto open = [this](net::ServerVerification verification, bool enforce,
                     std::shared_ptr<net::TlsContext>* out) -> absl::Status {
    net::TlsClientOptions options;
    options.verification = verification;
    options.enforce = enforce;
    if (!settings_.ca_file.empty()) options.ca_file = settings_.ca_file;
    GODWIT_ASSIGN_OR_RETURN(*out, net::TlsContext::NewClient(std::move(options)));
    return absl::OkStatus();
  };
  using Verification = net::ServerVerification;
  GODWIT_RETURN_IF_ERROR(open(Verification::kNone, true, &connections_.tls_unverified));
  GODWIT_RETURN_IF_ERROR(open(Verification::kHostName, true, &connections_.tls_name));
  GODWIT_RETURN_IF_ERROR(open(Verification::kHostName, false, &connections_.tls_name_reported));
  GODWIT_RETURN_IF_ERROR(open(Verification::kDane, true, &connections_.tls_dane));
  net::TlsClientOptions internal;
  internal.ca_file = config_.rpc_tls().ca_file();
  internal.certificate.chain_file = config_.rpc_tls().certificate_file();
  internal.certificate.key_file = config_.rpc_tls().key_file();
  GODWIT_ASSIGN_OR_RETURN(connections_.tls_internal,
                          net::TlsContext::NewClient(std::move(internal)));
  certificates_.Add(connections_.tls_internal);
  base::SpawnOn(reactors_->at(0), certificates_.Run(reactors_->at(0), kReloadInterval));
  return absl::OkStatus();
}

absl::Status Server::StartRpc() {
  service_ = NewRpcService({.settings = &settings_,
                            .clock = context_->clock,
                            .random = base::RandomSource::System(),
                            .pool = pool_.get(),
                            .executors = reactors_.get(),
                            .worker = worker_.get(),
                            .signer = signer_.get(),
                            .metrics = &metrics_});
  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = Callers();
  admin::AddTo(context_, &options);
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  return absl::OkStatus();
}

base::Task<void> Server::FlushOutcomes() {
  for (bool running = true; running;) {
    co_await policy_->Flush();
    running = co_await reactors_->at(0)->Sleep(kFlushInterval);
  }
}

absl::Status Server::Reload() { return certificates_.Check(); }

void Server::Drain(absl::Duration grace) {
  if (std::exchange(drained_, true)) return;
  const absl::Duration calls = std::min(kCallTime, grace / 4);
  if (rpc_ != nullptr) rpc_->Shutdown(calls);
  if (worker_ != nullptr && rpc_ != nullptr) worker_->Drain(grace - calls);
  if (reactors_ != nullptr) reactors_->Stop();
}

}  // namespace godwit::delivery_queue

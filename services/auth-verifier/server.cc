#include "services/auth-verifier/server.h"

#include <grpcpp/impl/service_type.h>

#include <utility>

#include "libs/admin/admin.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/store/migrate.h"
#include "services/auth-verifier/list_settings.h"

namespace godwit::auth_verifier {
namespace {

dmarc::Mode ModeOf(const Config& config) {
  const bool list = config.dmarc().discovery() == Dmarc::DISCOVERY_PUBLIC_SUFFIX_LIST;
  return list ? dmarc::Mode::kPublicSuffixList : dmarc::Mode::kTreeWalk;
}

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
  GODWIT_RETURN_IF_ERROR(OpenLists());
  GODWIT_RETURN_IF_ERROR(OpenReports());
  service_ = NewRpcService(Options(), {.resolvers = {resolver_.get(), network_.get()},
                                       .lists = lists_.get(),
                                       .clock = context_->clock,
                                       .executors = executors_.get(),
                                       .keys = keys_.get(),
                                       .counter = counter_.get(),
                                       .intake = intake_.get(),
                                       .metrics = &metrics_});

  rpc::ServerOptions options;
  options.address = config_.rpc().listen();
  options.tls = runtime::MakeRpcTls(config_.rpc_tls());
  options.callers = Callers();
  options.max_connection_grace = runtime::ToDuration(config_.limits().message_time());
  admin::AddTo(context_, &options);
  GODWIT_ASSIGN_OR_RETURN(rpc_, rpc::Server::Start(std::move(options), {service_.get()}));
  context_->on_ready = [this](bool ready) { rpc_->SetServing(ready); };
  base::SpawnOn(executors_->at(0), intake_->Run(executors_->at(0)));
  if (reports_ != nullptr) base::SpawnOn(executors_->at(0), reports_->Run(executors_->at(0)));
  return absl::OkStatus();
}

// Without a database mail still comes in: what leaves waits for it (UNAVAILABLE). A schema that is
// too old would be an error for every message, so it ends the start.
absl::Status Server::OpenDatabase() {
  database_ =
      std::make_unique<db::Pool>(runtime::MakePoolOptions(config_.database(), context_->name));
  keys_ = std::make_unique<SigningKeys>(database_.get());
  const absl::Status schema = executors_->at(0)->RunUntilDone(
      database_->Run([](db::Connection& c) { return store::CheckSchema(c); }));
  if (!base::IsRetryable(schema)) return base::Annotate(schema, "database");
  obs::Log(obs::Level::kWarning, "no database: nothing is signed", {{"status", schema}});
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

absl::Status Server::OpenLists() {
  GODWIT_ASSIGN_OR_RETURN(ListOptions options, MakeListOptions(config_.dnsbl()));
  if (options.lists.empty()) return absl::OkStatus();
  lists_ = std::make_unique<ListMonitor>(std::move(options), resolver_.get(), &metrics_);
  base::SpawnOn(executors_->at(0), WatchLists());
  return absl::OkStatus();
}

// On the first executor, until it stops.
base::Task<void> Server::WatchLists() {
  bool running = true;
  while (running) {
    co_await lists_->Check();
    running = co_await executors_->at(0)->Sleep(lists_->pause());
  }
}

absl::Status Server::OpenReports() {
  const Reports& reports = config_.reports();
  ReportIntake::Options intake;
  intake.reports_a_day = reports.received_a_day();
  intake.keep = runtime::ToDuration(reports.keep_received());
  if (config_.has_tls_policy()) {
    TlsReportClient::Options client;
    client.channel.target = config_.tls_policy().target();
    client.channel.daemon = "tls-policy";
    client.channel.tls = runtime::MakeRpcTls(config_.rpc_tls());
    client.deadline = runtime::ToDuration(config_.tls_policy().deadline());
    GODWIT_ASSIGN_OR_RETURN(tls_reports_, TlsReportClient::Create(std::move(client)));
  }
  intake_ =
      std::make_unique<ReportIntake>(intake, database_.get(), context_->clock, tls_reports_.get());
  if (!config_.has_delivery_queue() || reports.send() == Reports::SEND_NO) return absl::OkStatus();
  if (!reports.from().empty()) GODWIT_RETURN_IF_ERROR(AddressDomain(reports.from()).status());

  EvaluationCounter::Options counting;
  counting.counting.mode = ModeOf(config_);
  counting.counting.spread = runtime::ToDuration(reports.spread());
  counting.room = {.rows_of_period = reports.rows_of_report(),
                   .rows = reports.rows(),
                   .periods = reports.domains()};
  counter_ = std::make_unique<EvaluationCounter>(counting, database_.get(), context_->clock);

  outgoing::Sender::Options queue;
  queue.queue.target = config_.delivery_queue().target();
  queue.queue.daemon = "delivery-queue";
  queue.queue.tls = runtime::MakeRpcTls(config_.rpc_tls());
  queue.queue_deadline = runtime::ToDuration(config_.delivery_queue().deadline());
  GODWIT_ASSIGN_OR_RETURN(queue_, outgoing::Sender::Create(std::move(queue)));

  ReportSender::Options options;
  options.mode = ModeOf(config_);
  options.from = reports.from();
  options.organization = reports.organization();
  options.contact = reports.contact();
  options.rows_of_report = reports.rows_of_report();
  options.keep = runtime::ToDuration(reports.keep());
  options.sign = Options().sign;
  reports_ = std::make_unique<ReportSender>(std::move(options),
                                            ReportSender::Parts{.pool = database_.get(),
                                                                .resolver = resolver_.get(),
                                                                .clock = context_->clock,
                                                                .keys = keys_.get(),
                                                                .queue = queue_.get(),
                                                                .metrics = &metrics_},
                                            base::RandomSource::System()->Token(20));
  return absl::OkStatus();
}

RpcOptions Server::Options() const {
  RpcOptions options;
  options.concurrent_messages = config_.limits().concurrent_messages();
  options.check.dns_questions = config_.limits().dns_questions();
  options.check.dns_time = runtime::ToDuration(config_.limits().dns_time());
  options.verify.dkim.max_header_bytes = config_.limits().header_bytes();
  options.verify.dkim.max_signatures = config_.limits().dkim_signatures();
  options.sign.header_bytes = config_.limits().header_bytes();
  options.sign.lifetime = runtime::ToDuration(config_.signing().lifetime());
  options.verify.dmarc.mode = ModeOf(config_);
  options.verify.dkim.allow_partial_body = config_.dkim().accept_partial_body();
  for (const std::string& sealer : config_.trusted_arc_sealers()) {
    options.verify.trusted_sealers.push_back(idna::ToAscii(sealer).value_or(sealer));
  }
  return options;
}

void Server::Drain(absl::Duration grace) {
  if (rpc_ != nullptr) rpc_->Shutdown(grace);
  if (executors_ != nullptr) executors_->Stop();
}

}  // namespace godwit::auth_verifier

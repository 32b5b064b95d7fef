#include "services/smtp-ingress/settings.h"

#include "libs/base/status.h"
#include "libs/runtime/units.h"

namespace godwit::smtp_ingress {
namespace {

using OnFailure = DecisionPolicy::OnFailure;

// Connections above max_sessions are accepted to be told 421; beyond these the kernel's backlog
// waits.
constexpr size_t kRefusable = 200;

DecisionPolicy MakeDecisionPolicy(const Policy& policy) {
  DecisionPolicy out;
  switch (policy.dmarc_reject()) {
    case Policy::ON_REJECT_QUARANTINE: out.on_reject = OnFailure::kJunk; break;
    case Policy::ON_REJECT_ACCEPT: out.on_reject = OnFailure::kAccept; break;
    default: out.on_reject = OnFailure::kReject;
  }
  switch (policy.dmarc_quarantine()) {
    case Policy::ON_QUARANTINE_REJECT: out.on_quarantine = OnFailure::kReject; break;
    case Policy::ON_QUARANTINE_ACCEPT: out.on_quarantine = OnFailure::kAccept; break;
    default: out.on_quarantine = OnFailure::kJunk;
  }
  switch (policy.unusable_author()) {
    case Policy::ON_UNUSABLE_AUTHOR_JUNK: out.on_unusable_author = OnFailure::kJunk; break;
    case Policy::ON_UNUSABLE_AUTHOR_ACCEPT: out.on_unusable_author = OnFailure::kAccept; break;
    default: out.on_unusable_author = OnFailure::kReject;
  }
  return out;
}

std::string AuthservId(const Config& config) {
  return config.authserv_id().empty() ? config.hostname() : config.authserv_id();
}

smtp::ServerOptions MakeServerOptions(const Config& config) {
  smtp::ServerOptions options;
  options.hostname = config.hostname();
  options.require_tls = config.has_tls() && config.tls().required();
  options.data.size = config.limits().message_size();
  options.data.line = config.limits().line_octets();
  options.max_recipients = static_cast<int>(config.limits().recipients());
  options.max_refused_recipients = static_cast<int>(config.limits().refused_recipients());
  options.max_transactions = static_cast<int>(config.limits().transactions());
  options.max_errors = static_cast<int>(config.limits().errors());
  return options;
}

absl::StatusOr<net::ListenOptions> ListenAt(const Config& config, const std::string& endpoint) {
  net::ListenOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.endpoint, net::Endpoint::Parse(endpoint));
  options.max_connections = config.limits().sessions() + kRefusable;
  return options;
}

}  // namespace

Settings MakeSettings(const Config& config) {
  const Limits& limits = config.limits();
  const Timeouts& timeouts = config.timeouts();
  Settings settings;
  settings.hostname = config.hostname();
  settings.authserv_id = AuthservId(config);
  settings.smtp = MakeServerOptions(config);
  settings.internal_clients.assign(config.internal().clients().begin(),
                                   config.internal().clients().end());
  if (settings.internal_clients.empty()) settings.internal_clients = {"delivery-queue"};
  settings.max_sessions = limits.sessions();
  settings.max_memory = static_cast<int64_t>(limits.memory());
  settings.max_received_fields = limits.received_fields();
  settings.command_timeout = runtime::ToDuration(timeouts.command());
  settings.data_block_timeout = runtime::ToDuration(timeouts.data_block());
  settings.data_total = runtime::ToDuration(timeouts.data_total());
  settings.session_total = runtime::ToDuration(timeouts.session());
  settings.handshake_timeout = runtime::ToDuration(timeouts.handshake());
  settings.write_timeout = runtime::ToDuration(timeouts.write());
  settings.decision = MakeDecisionPolicy(config.policy());
  settings.recipient.reject_disabled =
      config.policy().disabled_recipients() == Policy::ON_DISABLED_REJECT;
  return settings;
}

db::PoolOptions MakePoolOptions(const Config& config) {
  db::PoolOptions options;
  options.connect.conninfo = config.database().conninfo();
  options.connect.application_name = "smtp-ingress";
  options.connect.statement_timeout = runtime::ToDuration(config.database().statement_timeout());
  options.threads = static_cast<int>(config.database().threads());
  options.queue_timeout = runtime::ToDuration(config.database().queue_timeout());
  return options;
}

rpc::TlsFiles MakeRpcTls(const Config& config) {
  rpc::TlsFiles files;
  files.ca_file = config.rpc_tls().ca_file();
  files.certificate_file = config.rpc_tls().certificate_file();
  files.key_file = config.rpc_tls().key_file();
  return files;
}

VerifyOptions MakeVerifyOptions(const Config& config) {
  VerifyOptions options;
  options.channel.target = config.auth_verifier().target();
  options.channel.daemon = "auth-verifier";
  options.channel.tls = MakeRpcTls(config);
  options.authserv_id = AuthservId(config);
  options.deadline = runtime::ToDuration(config.auth_verifier().deadline());
  options.receiving = runtime::ToDuration(config.timeouts().data_total());
  return options;
}

absl::StatusOr<net::ListenOptions> MakeListenOptions(const Config& config,
                                                     const Listener& listener) {
  GODWIT_ASSIGN_OR_RETURN(net::ListenOptions options, ListenAt(config, listener.listen()));
  options.proxy_protocol = listener.proxy_protocol();
  for (const std::string& text : listener.proxy_sources()) {
    GODWIT_ASSIGN_OR_RETURN(net::Network network, net::Network::Parse(text));
    options.proxy_sources.push_back(network);
  }
  return options;
}

absl::StatusOr<net::ListenOptions> MakeInternalListenOptions(const Config& config) {
  return ListenAt(config, config.internal().listen());
}

net::TlsServerOptions MakeTlsOptions(const Config& config) {
  net::TlsServerOptions options;
  for (const Certificate& certificate : config.tls().certificates()) {
    net::TlsCertificate& out = options.certificates.emplace_back();
    out.chain_file = certificate.chain_file();
    out.key_file = certificate.key_file();
  }
  return options;
}

net::TlsServerOptions MakeInternalTlsOptions(const Config& config) {
  net::TlsServerOptions options;
  net::TlsCertificate& certificate = options.certificates.emplace_back();
  certificate.chain_file = config.rpc_tls().certificate_file();
  certificate.key_file = config.rpc_tls().key_file();
  options.client_certificates = net::ClientCertificates::kRequired;
  options.client_ca_file = config.rpc_tls().ca_file();
  return options;
}

}  // namespace godwit::smtp_ingress

#include "libs/runtime/config_sections.h"

#include "libs/base/status.h"
#include "libs/runtime/units.h"
#include "proto/godwit/config/v1/common.pb.h"

namespace godwit::runtime {
namespace {

absl::StatusOr<limit::NetworkOptions> MakeNetworks(const config::v1::Networks& networks) {
  limit::NetworkOptions options;
  options.v4_bits = {static_cast<int>(networks.ipv4_nearest()),
                     static_cast<int>(networks.ipv4_wider()),
                     static_cast<int>(networks.ipv4_widest())};
  options.v6_bits = {static_cast<int>(networks.ipv6_nearest()),
                     static_cast<int>(networks.ipv6_wider()),
                     static_cast<int>(networks.ipv6_widest())};
  options.factors = {1, static_cast<double>(networks.wider_factor()),
                     static_cast<double>(networks.widest_factor())};
  for (const std::string& text : networks.exempt()) {
    GODWIT_ASSIGN_OR_RETURN(net::Network network, net::Network::Parse(text));
    options.exempt.push_back(network);
  }
  return options;
}

// Who is on this machine is no client from outside, or stands for many.
absl::StatusOr<limit::NetworkOptions> MakeOutsideNetworks(const config::v1::Networks& networks) {
  GODWIT_ASSIGN_OR_RETURN(limit::NetworkOptions options, MakeNetworks(networks));
  for (const char* own : {"127.0.0.0/8", "::1"}) {
    GODWIT_ASSIGN_OR_RETURN(net::Network network, net::Network::Parse(own));
    options.exempt.push_back(network);
  }
  return options;
}

}  // namespace

absl::StatusOr<net::ListenOptions> MakeListenOptions(const config::v1::Listener& listener,
                                                     size_t max_connections, bool has_tls) {
  if (listener.implicit_tls() && !has_tls) {
    return base::InvalidArgument("a listener with implicit_tls needs the section tls");
  }
  net::ListenOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.endpoint, net::Endpoint::Parse(listener.listen()));
  options.max_connections = max_connections;
  options.proxy_protocol = listener.proxy_protocol();
  for (const std::string& text : listener.proxy_sources()) {
    GODWIT_ASSIGN_OR_RETURN(net::Network network, net::Network::Parse(text));
    options.proxy_sources.push_back(network);
  }
  return options;
}

net::TlsServerOptions MakeTlsOptions(const config::v1::Tls& tls) {
  net::TlsServerOptions options;
  for (const config::v1::Certificate& certificate : tls.certificates()) {
    net::TlsCertificate& out = options.certificates.emplace_back();
    out.chain_file = certificate.chain_file();
    out.key_file = certificate.key_file();
  }
  return options;
}

net::TlsServerOptions MakeMutualTlsOptions(const config::v1::RpcTls& tls) {
  net::TlsServerOptions options;
  net::TlsCertificate& certificate = options.certificates.emplace_back();
  certificate.chain_file = tls.certificate_file();
  certificate.key_file = tls.key_file();
  options.client_certificates = net::ClientCertificates::kRequired;
  options.client_ca_file = tls.ca_file();
  return options;
}

rpc::TlsFiles MakeRpcTls(const config::v1::RpcTls& tls) {
  rpc::TlsFiles files;
  files.ca_file = tls.ca_file();
  files.certificate_file = tls.certificate_file();
  files.key_file = tls.key_file();
  return files;
}

db::PoolOptions MakePoolOptions(const config::v1::Database& database, const std::string& name) {
  db::PoolOptions options;
  options.connect.conninfo = database.conninfo();
  options.connect.application_name = name;
  options.connect.statement_timeout = ToDuration(database.statement_timeout());
  options.threads = static_cast<int>(database.threads());
  options.queue_timeout = ToDuration(database.queue_timeout());
  return options;
}

smtp::ServerOptions MakeSmtpOptions(const config::v1::SmtpLimits& limits,
                                    const std::string& hostname) {
  smtp::ServerOptions options;
  options.hostname = hostname;
  options.data.size = limits.message_size();
  options.data.line = limits.line_octets();
  options.max_recipients = static_cast<int>(limits.recipients());
  options.max_refused_recipients = static_cast<int>(limits.refused_recipients());
  options.max_transactions = static_cast<int>(limits.transactions());
  options.max_errors = static_cast<int>(limits.errors());
  options.max_idle_commands = static_cast<int>(limits.idle_commands());
  return options;
}

smtpd::FrontOptions MakeFrontOptions(const config::v1::SmtpLimits& limits,
                                     const config::v1::SmtpTimeouts& timeouts) {
  smtpd::FrontOptions options;
  options.max_sessions = limits.sessions();
  options.command_timeout = ToDuration(timeouts.command());
  options.data_block_timeout = ToDuration(timeouts.data_block());
  options.data_total = ToDuration(timeouts.data_total());
  options.session_total = ToDuration(timeouts.session());
  options.handshake_timeout = ToDuration(timeouts.handshake());
  options.write_timeout = ToDuration(timeouts.write());
  return options;
}

absl::StatusOr<limit::ClientLimitOptions> MakeClientLimits(const config::v1::ClientLimits& limits) {
  limit::ClientLimitOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.networks, MakeOutsideNetworks(limits.networks()));
  options.connections = limits.connections();
  options.connections_per_minute = limits.connections_per_minute();
  options.refused_recipients_per_hour = limits.refused_recipients_per_hour();
  options.bytes_per_hour = static_cast<double>(limits.bytes_per_hour());
  options.patience = static_cast<int>(limits.patience());
  options.reply_delay = ToDuration(limits.reply_delay());
  return options;
}

absl::StatusOr<limit::ClientLimitOptions> MakeConnectionLimits(
    const config::v1::ConnectionLimits& limits) {
  limit::ClientLimitOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.networks, MakeOutsideNetworks(limits.networks()));
  options.connections = limits.connections();
  options.connections_per_minute = limits.connections_per_minute();
  options.refused_recipients_per_hour = 0;
  options.reply_delay = absl::ZeroDuration();
  return options;
}

absl::StatusOr<limit::FailedLoginOptions> MakeFailedLogins(const config::v1::FailedLogins& logins) {
  limit::FailedLoginOptions options;
  GODWIT_ASSIGN_OR_RETURN(options.networks, MakeNetworks(logins.networks()));
  options.per_minute = logins.per_minute();
  options.per_day = logins.per_day();
  return options;
}

}  // namespace godwit::runtime

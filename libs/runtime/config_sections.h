#pragma once

// The sections of configuration that several daemons have (proto/godwit/config/v1/common.proto), as
// what the libraries take. The one place that translates them.

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "libs/db/pool.h"
#include "libs/limit/clients.h"
#include "libs/limit/failed_logins.h"
#include "libs/net/listener.h"
#include "libs/net/tls_context.h"
#include "libs/rpc/tls.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/front.h"

namespace godwit::config::v1 {
class ClientLimits;
class ConnectionLimits;
class Database;
class FailedLogins;
class Listener;
class RpcTls;
class SmtpLimits;
class SmtpTimeouts;
class Tls;
}  // namespace godwit::config::v1

namespace godwit::runtime {

// InvalidArgument for an endpoint or a network that can't be read, and for implicit_tls without
// certificates (`has_tls`).
absl::StatusOr<net::ListenOptions> MakeListenOptions(const config::v1::Listener& listener,
                                                     size_t max_connections, bool has_tls);

// What clients see. Watch the context: net::CertificateWatch.
net::TlsServerOptions MakeTlsOptions(const config::v1::Tls& tls);

// Of a listener of ours, not gRPC, that only our own daemons reach: mutual TLS.
net::TlsServerOptions MakeMutualTlsOptions(const config::v1::RpcTls& tls);

rpc::TlsFiles MakeRpcTls(const config::v1::RpcTls& tls);

// `name`: of the daemon, as PostgreSQL's activity view shows it.
db::PoolOptions MakePoolOptions(const config::v1::Database& database, const std::string& name);

// Of a daemon that takes mail by SMTP. Without extensions and TLS.
smtp::ServerOptions MakeSmtpOptions(const config::v1::SmtpLimits& limits,
                                    const std::string& hostname);

// Without clock, random numbers and metrics.
smtpd::FrontOptions MakeFrontOptions(const config::v1::SmtpLimits& limits,
                                     const config::v1::SmtpTimeouts& timeouts);

// InvalidArgument for an exempt network that can't be read.
absl::StatusOr<limit::ClientLimitOptions> MakeClientLimits(const config::v1::ClientLimits& limits);
// The same where only connections are limited.
absl::StatusOr<limit::ClientLimitOptions> MakeConnectionLimits(
    const config::v1::ConnectionLimits& limits);
absl::StatusOr<limit::FailedLoginOptions> MakeFailedLogins(const config::v1::FailedLogins& logins);

}  // namespace godwit::runtime

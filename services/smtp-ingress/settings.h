#pragma once

// The configuration (config.proto) as the plain values that everything below Server works with.

#include "absl/status/statusor.h"
#include "libs/net/listener.h"
#include "libs/net/tls_context.h"
#include "services/smtp-ingress/config.pb.h"
#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

Settings MakeSettings(const Config& config);
db::PoolOptions MakePoolOptions(const Config& config);
VerifyOptions MakeVerifyOptions(const Config& config);
// InvalidArgument for an endpoint or a network that can't be read.
absl::StatusOr<net::ListenOptions> MakeListenOptions(const Config& config,
                                                     const Listener& listener);
absl::StatusOr<net::ListenOptions> MakeInternalListenOptions(const Config& config);

// For STARTTLS, and for the internal listener (mutual).
net::TlsServerOptions MakeTlsOptions(const Config& config);
net::TlsServerOptions MakeInternalTlsOptions(const Config& config);

rpc::TlsFiles MakeRpcTls(const Config& config);

}  // namespace godwit::smtp_ingress

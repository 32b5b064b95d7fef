#include "libs/rpc/client.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "libs/base/status.h"
#include "libs/rpc/call.h"
#include "libs/rpc/callback_queue.h"
#include "libs/rpc/grpc_log.h"
#include "libs/rpc/tls_provider.h"

namespace godwit::rpc {
namespace {

constexpr int kPingEveryMs = 20 * 1000;
constexpr int kPingTimeoutMs = 10 * 1000;
constexpr int kFirstReconnectMs = 100;
// gRPC's "minimal backoff" is in truth the time that TCP, TLS and HTTP/2's SETTINGS may take; after
// a refused connection the next try comes when the backoff says. A busy peer needs more than the
// backoff's 100 ms, and each attempt cut there would begin the work anew.
constexpr int kConnectTimeoutMs = 5000;
constexpr int kSlowestReconnectMs = 2000;

// https://github.com/grpc/grpc/blob/master/doc/service_config.md
std::string ServiceConfig(const std::vector<std::string>& idempotent) {
  std::string config = R"({"loadBalancingConfig":[{"round_robin":{}}],"methodConfig":[)";
  if (!idempotent.empty()) {
    config += R"({"name":[)";
    for (const std::string& method : idempotent) {
      const size_t slash = method.find('/');
      if (&method != &idempotent.front()) config += ',';
      config += R"({"service":")" + method.substr(0, slash) + R"(","method":")" +
                method.substr(slash + 1) + R"("})";
    }
    config += R"(],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.05s","maxBackoff":"1s",)"
              R"("backoffMultiplier":3,"retryableStatusCodes":["UNAVAILABLE"]}})";
  }
  return config + "]}";
}

grpc::ChannelArguments ArgumentsFor(const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(ServiceConfig(options.idempotent));
  // What the certificate is checked against: the daemon's name, not its address.
  arguments.SetSslTargetNameOverride(options.daemon);
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  // Pings go on while a stream is silent: by default they would stop after two, and a server that
  // vanished would be waited for for ever.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kSlowestReconnectMs);
  return arguments;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(ChannelOptions options) {
  InstallLog();
  KeepCallbackQueue();
  GODWIT_RETURN_IF_ERROR(CheckReadable(options.tls));
  grpc::experimental::TlsChannelCredentialsOptions tls;
  tls.set_certificate_provider(ProviderFor(options.tls));
  tls.watch_root_certs();
  tls.watch_identity_key_cert_pairs();
  tls.set_verify_server_certs(true);
  return grpc::CreateCustomChannel(options.target, grpc::experimental::TlsCredentials(tls),
                                   ArgumentsFor(options));
}

void Prepare(grpc::ClientContext* context, const CallOptions& options) {
  if (options.deadline < absl::InfiniteDuration()) {
    context->set_deadline(std::chrono::system_clock::now() +
                          absl::ToChronoMicroseconds(options.deadline));
  }
  if (!options.trace.empty()) context->AddMetadata(kTraceMetadata, options.trace);
}

}  // namespace godwit::rpc

#include "libs/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "libs/base/status.h"
#include "libs/rpc/callback_queue.h"
#include "libs/rpc/caller_check.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/grpc_log.h"
#include "libs/rpc/tls_provider.h"

namespace godwit::rpc {
namespace {

constexpr int kLeastPingIntervalMs = 10 * 1000;

void InitOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    InstallLog();
    KeepCallbackQueue();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

std::shared_ptr<grpc::ServerCredentials> CredentialsFor(const ServerOptions& options) {
  grpc::experimental::TlsServerCredentialsOptions tls(ProviderFor(options.tls));
  tls.watch_root_certs();
  tls.watch_identity_key_cert_pairs();
  tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  auto credentials = grpc::experimental::TlsServerCredentials(tls);
  credentials->SetAuthMetadataProcessor(std::make_shared<CallerCheck>(options.callers));
  return credentials;
}

void AddArguments(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_message_bytes);
  builder->AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_age)));
  builder->AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_grace)));
  // Clients ping (client.cc); the default would take that for an attack.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kLeastPingIntervalMs);
  // Two daemons on one port must be an error.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

struct Server::State {
  std::vector<std::shared_ptr<grpc::Service>> services;  // outlive the server
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options,
                                                      std::vector<grpc::Service*> services) {
  InitOnce();
  GODWIT_RETURN_IF_ERROR(CheckReadable(options.tls));
  GODWIT_RETURN_IF_ERROR(CheckCallers(options.callers));
  auto state = std::make_unique<State>();
  grpc::ServerBuilder builder;
  AddArguments(options, &builder);
  builder.AddListeningPort(options.address, CredentialsFor(options), &state->port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  for (const auto& service : options.own_services) builder.RegisterService(service.get());
  state->services = std::move(options.own_services);
  state->server = builder.BuildAndStart();
  if (!state->server || state->port == 0) {
    return base::Unavailable("gRPC can't listen on " + options.address);
  }
  std::unique_ptr<Server> server(new Server(std::move(state)));
  server->SetServing(false);
  return server;
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { Shutdown(absl::ZeroDuration()); }

uint16_t Server::port() const { return static_cast<uint16_t>(state_->port); }

void Server::SetServing(bool serving) {
  state_->server->GetHealthCheckService()->SetServingStatus(serving);
}

void Server::Shutdown(absl::Duration grace) {
  state_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(grace));
  state_->server->Wait();
}

}  // namespace godwit::rpc

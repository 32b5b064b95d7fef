#pragma once

// Server: the gRPC listener of a daemon. Mutual TLS always: a peer without a certificate of our CA
// never reaches an RPC.
//
//   rpc::ServerOptions options;
//   options.address = "0.0.0.0:9000";
//   options.tls = {"ca.pem", "auth-verifier.pem", "auth-verifier.key"};
//   options.callers = {{"/godwit.verifier.v1.AuthVerifier/Verify", {"smtp-ingress"}}};
//   auto server = rpc::Server::Start(options, {&service});
//   (*server)->SetServing(true);
//
// Who may call what is decided in one place, before any handler: the method must stand in
// `callers` and one name of the client's certificate (SAN DNS names; the common name when it has
// none) in its list. An unlisted method is refused for everybody: UNAUTHENTICATED. Health
// (grpc.health.v1) and reflection are open to every daemon of our CA. Start() refuses `callers`
// that name a method that does not exist, or leave out a method of a service they name.
//
// Handlers: serve.h (coroutines) in rpc_service.cc. Connections take new calls for five minutes, so
// that clients find new replicas; calls that run then have max_connection_grace to end.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/rpc/tls.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace godwit::rpc {

// "/package.Service/Method" -> the daemons that may call it. "*": every daemon of our CA.
using Callers = std::map<std::string, std::vector<std::string>>;

struct ServerOptions {
  std::string address;  // "127.0.0.1:0", "[::]:9000"
  TlsFiles tls;
  Callers callers;
  // Services that the server keeps, beside those given to Start().
  std::vector<std::shared_ptr<grpc::Service>> own_services = {};
  int max_message_bytes = 4 << 20;
  absl::Duration max_connection_age = absl::Minutes(5);
  // Longer than the longest call: one that begins right before the age is reached, and goes on for
  // longer than this, is cut with UNAVAILABLE.
  absl::Duration max_connection_grace = absl::Seconds(30);
};

class Server {
 public:
  // The services are the caller's and outlive the server. InvalidArgument: `callers` as above, or
  // a certificate file can't be read. Unavailable: the address can't be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options,
                                                       std::vector<grpc::Service*> services);
  // Shutdown(0).
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  // What the health service says; NOT_SERVING until told otherwise.
  void SetServing(bool serving);
  // No new calls; waits for running ones, then cancels them after `grace`. Blocks.
  void Shutdown(absl::Duration grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::rpc

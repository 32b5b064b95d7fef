#pragma once

// Channel: the connections of a daemon to all replicas of another one.
//
//   rpc::ChannelOptions options;
//   options.target = "dns:///auth-verifier:9000";
//   options.daemon = "auth-verifier";
//   options.tls = {"ca.pem", "smtp-ingress.pem", "smtp-ingress.key"};
//   options.idempotent = {"godwit.verifier.v1.AuthVerifier/Verify"};
//   auto channel = rpc::Connect(options);
//   auto stub = AuthVerifier::NewStub(*channel);            // in clients .cc only
//
// Mutual TLS; the server's certificate must name `daemon`, whatever its address is. All addresses
// of the name are used in turn (round_robin). A server that can't be reached gives Unavailable at
// once, not at the deadline. Calls of `idempotent` methods are tried again when Unavailable (four
// attempts, 50 ms to 1 s apart, with jitter), as long as their deadline allows. Calls: call.h.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/rpc/tls.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace godwit::rpc {

struct ChannelOptions {
  std::string target;  // "dns:///name:port"; "HOST:PORT" for one address
  std::string daemon;
  TlsFiles tls;
  std::vector<std::string> idempotent;  // "package.Service/Method"
  int max_message_bytes = 4 << 20;
};

// Does not wait for a connection. InvalidArgument when a certificate file can't be read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(ChannelOptions options);

}  // namespace godwit::rpc

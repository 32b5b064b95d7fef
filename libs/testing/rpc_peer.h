#pragma once

// A gRPC server of a test, in the place of another daemon: over mutual TLS, as the real one.

#include <cstdint>
#include <memory>

#include "libs/rpc/server.h"
#include "libs/testing/certificates.h"

namespace godwit::testing {

// `leaf` names the daemon it stands for; `port` 0 lets the kernel choose, see rpc::Server::port().
// Fails the test when it can not start.
std::unique_ptr<rpc::Server> StartRpcPeer(const CertificateAuthority& authority,
                                          const LeafFiles& leaf, rpc::Callers callers,
                                          grpc::Service* service, uint16_t port = 0);

}  // namespace godwit::testing

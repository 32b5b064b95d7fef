#include "libs/testing/rpc_peer.h"

#include <utility>

#include "libs/testing/must.h"

namespace godwit::testing {

std::unique_ptr<rpc::Server> StartRpcPeer(const CertificateAuthority& authority,
                                          const LeafFiles& leaf, rpc::Callers callers,
                                          grpc::Service* service, uint16_t port) {
  rpc::ServerOptions options;
  options.address = "127.0.0.1:" + std::to_string(port);
  options.tls.ca_file = authority.ca_file();
  options.tls.certificate_file = leaf.chain_file;
  options.tls.key_file = leaf.key_file;
  options.callers = std::move(callers);
  return Must(rpc::Server::Start(std::move(options), {service}));
}

}  // namespace godwit::testing

// What clients see of certificates.

#include <catch2/catch.hpp>
#include <fstream>

#include "absl/time/clock.h"
#include "libs/net/connector.h"
#include "libs/net/stream.h"
#include "services/imap-gateway/gateway_fixture.h"

namespace godwit::imap_gateway {
namespace {

base::Task<absl::Status> ConnectTask(net::Endpoint to, std::shared_ptr<net::TlsContext> context,
                                     std::string name) {
  net::ConnectOptions options;
  options.to = to;
  auto stream = co_await net::Connect(std::move(options));
  if (!stream.ok()) co_return stream.status();
  absl::Status status =
      co_await (*stream)->StartTlsClient(std::move(context), std::move(name), absl::Seconds(10));
  (*stream)->Close();
  co_return status;
}

// True when the listener on 993 has a certificate for `name`.
bool Verifies(GatewayFixture* gateway, const std::string& name) {
  net::TlsClientOptions options;
  options.ca_file = gateway->authority().ca_file();
  auto context = net::TlsContext::NewClient(options);
  REQUIRE(context.ok());
  net::Reactor reactor;
  const net::Endpoint endpoint = gateway->server()->endpoints().back();
  return reactor.RunUntilDone(ConnectTask(endpoint, *context, name)).ok();
}

// They were read again at SIGHUP only: a renewed certificate was not seen until somebody sent one.
TEST_CASE("Certificates are read again when their files change", "[imap-gateway][component]") {
  GatewayFixture gateway;
  CHECK(Verifies(&gateway, "imap.b.example"));
  CHECK_FALSE(Verifies(&gateway, "new.b.example"));
  const testing::LeafFiles fresh = gateway.authority().Issue({.names = {"new.b.example"}});
  std::ofstream(gateway.public_leaf().chain_file, std::ios::trunc) << fresh.chain_pem;
  std::ofstream(gateway.public_leaf().key_file, std::ios::trunc) << fresh.key_pem;
  bool seen = false;
  for (int i = 0; i < 100 && !seen; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
    seen = Verifies(&gateway, "new.b.example");
  }
  CHECK(seen);
}

}  // namespace
}  // namespace godwit::imap_gateway

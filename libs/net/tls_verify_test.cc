// What a TLS client proves of its server: by TLSA records, by trust anchors, or only for the
// record.

#include <catch2/catch.hpp>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/dane/tlsa.h"
#include "libs/net/reactor.h"
#include "libs/net/stream.h"
#include "libs/net/tls_context.h"
#include "libs/testing/certificates.h"

namespace godwit::net {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

struct World {
  testing::CertificateAuthority authority{testing::MakeScratchFolder()};
  testing::CertificateAuthority stranger{testing::MakeScratchFolder(), "stranger"};
  testing::LeafFiles mx = authority.Issue({.names = {"mx.example.org"}});
  testing::LeafFiles rsa =
      authority.Issue({.names = {"mx.example.org"}, .key = testing::KeyKind::kRsa2048});
  testing::LeafFiles expired =
      authority.Issue({.names = {"mx.example.org"}, .lifetime = -absl::Hours(1)});
  testing::LeafFiles strange = stranger.Issue({.names = {"mx.example.org"}});
};

World& TheWorld() {
  static World world;
  return world;
}

std::string FirstDer(const std::string& pem, size_t skip = 0) {
  const std::string begin = "-----BEGIN CERTIFICATE-----";
  size_t at = pem.find(begin);
  while (skip-- > 0) at = pem.find(begin, at + 1);
  std::string text = pem.substr(at + begin.size(), pem.find("-----END", at) - at - begin.size());
  std::erase(text, '\n');
  return base::Base64Decode(text).value();
}

// "usage 1 0": the public key itself.
base::DnsTlsa Record(uint8_t usage, const std::string& pem, size_t skip = 0) {
  const std::string der = FirstDer(pem, skip);
  return {usage, dane::kSpki, dane::kFull, std::string(dane::PublicKeyInfo(der))};
}

struct Outcome {
  absl::Status client;
  absl::Status server;
  TlsInfo info;  // the client's, after success and failure
  TlsInfo seen;  // the server's
};

base::Task<void> Accept(Stream* stream, std::shared_ptr<TlsContext> context, Outcome* out,
                        base::Completion<bool> done) {
  out->server = co_await stream->StartTlsServer(std::move(context), kPatience);
  out->seen = stream->tls_info();
  if (!out->server.ok()) stream->Close();
  done.Set(true);
}

base::Task<Outcome> Shake(Reactor* reactor, testing::LeafFiles leaf, TlsClientOptions options,
                          TlsPeer peer) {
  TlsServerOptions server_options;
  server_options.certificates.push_back(
      {.chain_file = leaf.chain_file, .key_file = leaf.key_file, .chain_pem = "", .key_pem = {}});
  auto [client, server] = Stream::Pair(reactor);
  Outcome outcome;
  base::Completion<bool> done;
  base::Spawn(Accept(server.get(), TlsContext::NewServer(server_options).value(), &outcome, done));
  outcome.client = co_await client->StartTlsClient(TlsContext::NewClient(options).value(),
                                                   std::move(peer), kPatience);
  outcome.info = client->tls_info();
  client->Close();
  co_await done;
  co_return outcome;
}

Outcome Run(const testing::LeafFiles& leaf, const TlsClientOptions& options, const TlsPeer& peer) {
  Reactor reactor;
  return reactor.RunUntilDone(Shake(&reactor, leaf, options, peer));
}

TlsClientOptions Dane(bool enforce = true) {
  TlsClientOptions options;
  options.verification = ServerVerification::kDane;
  options.enforce = enforce;
  return options;
}

TlsClientOptions WebPki(bool enforce = true) {
  TlsClientOptions options;
  options.ca_file = TheWorld().authority.ca_file();
  options.enforce = enforce;
  return options;
}

TEST_CASE("TLSA records decide about the server, and nothing else does", "[net][tls]") {
  World& world = TheWorld();
  const auto shake = [](const testing::LeafFiles& leaf, std::vector<base::DnsTlsa> records,
                        std::vector<std::string> names) {
    return Run(leaf, Dane(),
               {.name = "base.example", .dane = {std::move(records), std::move(names)}});
  };
  // Usage 3: no authority of ours, no name, no date.
  Outcome outcome = shake(world.expired, {Record(3, world.expired.chain_pem)}, {});
  CHECK(outcome.client.ok());
  CHECK(outcome.info.verdict == PeerVerdict::kVerified);
  CHECK(outcome.info.peer_verified);
  CHECK(outcome.seen.server_name == "base.example");
  CHECK(shake(world.rsa, {Record(3, world.rsa.chain_pem)}, {}).client.ok());

  outcome = shake(world.mx, {Record(3, world.strange.chain_pem)}, {"mx.example.org"});
  CHECK(outcome.client.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(!outcome.server.ok());
  CHECK(outcome.info.verdict == PeerVerdict::kNoTlsaMatch);
  CHECK(!outcome.info.peer_verified);

  // Usage 2.
  CHECK(shake(world.mx, {Record(2, world.mx.chain_pem, 1)}, {"mx.example.org"}).client.ok());
  outcome = shake(world.mx, {Record(2, world.mx.chain_pem, 1)}, {"other.example"});
  CHECK(outcome.info.verdict == PeerVerdict::kHostMismatch);
  outcome = shake(world.expired, {Record(2, world.mx.chain_pem, 1)}, {"mx.example.org"});
  CHECK(outcome.info.verdict == PeerVerdict::kExpired);
  CHECK(!outcome.client.ok());
  outcome = shake(world.mx, {}, {"mx.example.org"});
  CHECK(outcome.info.verdict == PeerVerdict::kNoUsableTlsa);
  CHECK(!outcome.client.ok());
}

TEST_CASE("Trust anchors: each way to fail has its verdict", "[net][tls]") {
  World& world = TheWorld();
  const bool enforce = GENERATE(true, false);
  const auto check = [&](const testing::LeafFiles& leaf, const char* name, PeerVerdict verdict) {
    CAPTURE(enforce, name, PeerVerdictName(verdict));
    const Outcome outcome = Run(leaf, WebPki(enforce), {.name = name, .dane = {}});
    // Without enforcement the session goes on, and the verdict is the same.
    CHECK(outcome.client.ok() == (!enforce || verdict == PeerVerdict::kVerified));
    CHECK(PeerVerdictName(outcome.info.verdict) == PeerVerdictName(verdict));
    CHECK(outcome.info.peer_verified == (verdict == PeerVerdict::kVerified));
    CHECK(outcome.info.verdict_reason.empty() == (verdict == PeerVerdict::kVerified));
  };
  check(world.mx, "mx.example.org", PeerVerdict::kVerified);
  check(world.mx, "MX.example.org", PeerVerdict::kVerified);
  check(world.mx, "other.example", PeerVerdict::kHostMismatch);
  check(world.expired, "mx.example.org", PeerVerdict::kExpired);
  check(world.strange, "mx.example.org", PeerVerdict::kNotTrusted);
}

TEST_CASE("Opportunistic TLS looks at nothing", "[net][tls]") {
  TlsClientOptions options;
  options.verification = ServerVerification::kNone;
  const Outcome outcome = Run(TheWorld().strange, options, {.name = "mx.example.org", .dane = {}});
  CHECK(outcome.client.ok());
  CHECK(outcome.info.verdict == PeerVerdict::kNotChecked);
  CHECK(!outcome.info.peer_verified);
}

TEST_CASE("DANE that is not enforced tells what it found", "[net][tls]") {
  World& world = TheWorld();
  const Outcome outcome =
      Run(world.mx, Dane(false), {.name = "", .dane = {{Record(3, world.rsa.chain_pem)}, {}}});
  CHECK(outcome.client.ok());
  CHECK(outcome.info.verdict == PeerVerdict::kNoTlsaMatch);
  CHECK(!outcome.info.peer_verified);
}

}  // namespace
}  // namespace godwit::net

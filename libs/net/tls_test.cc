// TLS over socket pairs: handshakes, upgrade, certificates by name, mutual TLS, reload, endings.

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "libs/base/status.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"
#include "libs/net/stream.h"
#include "libs/net/tls_context.h"
#include "libs/testing/certificates.h"

namespace godwit::net {
namespace {

using StreamPtr = std::unique_ptr<Stream>;
using Context = std::shared_ptr<TlsContext>;
using testing::CertificateAuthority;
using testing::KeyKind;

constexpr absl::Duration kPatience = absl::Seconds(10);

// One authority and its leaves for all tests of this file.
struct World {
  std::string folder = testing::MakeScratchFolder();
  CertificateAuthority authority{folder};
  CertificateAuthority stranger{folder, "stranger"};
  testing::LeafFiles mx = authority.Issue({.names = {"mx.example.org", "127.0.0.1"}});
};

World& TheWorld() {
  static World world;
  return world;
}

TlsCertificate FromFiles(const testing::LeafFiles& leaf) {
  TlsCertificate certificate;
  certificate.chain_file = leaf.chain_file;
  certificate.key_file = leaf.key_file;
  return certificate;
}

TlsServerOptions ServerOptions() {
  TlsServerOptions options;
  options.certificates.push_back(FromFiles(TheWorld().mx));
  return options;
}

TlsClientOptions ClientOptions() {
  TlsClientOptions options;
  options.ca_file = TheWorld().authority.ca_file();
  return options;
}

Context Server(const TlsServerOptions& options) { return TlsContext::NewServer(options).value(); }
Context Client(const TlsClientOptions& options) { return TlsContext::NewClient(options).value(); }

struct Handshake {
  absl::Status client;
  absl::Status server;
  TlsInfo client_info;
  TlsInfo server_info;
};

// What the server does with a connection: it echoes until the end.
base::Task<void> Echo(Stream* stream, Context context, Handshake* result, bool* done) {
  result->server = co_await stream->StartTlsServer(std::move(context), kPatience);
  while (result->server.ok()) {
    const Input input = co_await stream->Read(kPatience);
    if (input.event != Ready::kReadable) break;
    absl::Status sent = co_await stream->Write(input.bytes());
    if (!sent.ok()) break;
  }
  if (result->server.ok()) result->server_info = stream->tls_info();
  stream->Close();
  *done = true;
}

base::Task<bool> Until(Reactor* reactor, const bool* done) {
  while (!*done) co_await reactor->Sleep(absl::Milliseconds(1));
  co_return true;
}

base::Task<Handshake> Shake(Reactor* reactor, Context server_context, Context client_context,
                            std::string name) {
  auto [client, server] = Stream::Pair(reactor);
  Handshake result;
  bool done = false;
  base::Spawn(Echo(server.get(), std::move(server_context), &result, &done));
  result.client = co_await client->StartTlsClient(std::move(client_context), name, kPatience);
  if (result.client.ok()) {
    // The server's judgement of our certificate arrives behind the handshake (TLS 1.3).
    absl::Status sent = co_await client->Write("ping");
    const Input input = co_await client->Read(kPatience);
    if (input.event == Ready::kReadable) CHECK(input.bytes() == "ping");
    if (input.event != Ready::kReadable) result.client = input.status;
  }
  if (result.client.ok()) result.client_info = client->tls_info();
  client->Close();
  co_await Until(reactor, &done);
  co_return result;
}

Handshake Run(const Context& server, const Context& client, const std::string& name) {
  Reactor reactor;
  return reactor.RunUntilDone(Shake(&reactor, server, client, name));
}

TEST_CASE("A TLS 1.3 handshake verifies the server and tells what was agreed", "[net][tls]") {
  const Handshake result = Run(Server(ServerOptions()), Client(ClientOptions()), "mx.example.org");
  REQUIRE(result.client.ok());
  REQUIRE(result.server.ok());
  CHECK(result.client_info.version == "TLSv1.3");
  CHECK(result.client_info.cipher.starts_with("TLS_"));
  CHECK(result.client_info.group == "X25519");
  CHECK(result.client_info.peer_verified);
  CHECK(result.client_info.peer_subject == "CN=mx.example.org,O=Godwit tests");
  CHECK(result.client_info.peer_dns_names == std::vector<std::string>{"mx.example.org"});
  CHECK(result.server_info.server_name == "mx.example.org");
  CHECK_FALSE(result.server_info.peer_verified);
  CHECK(result.server_info.peer_subject.empty());
}

TEST_CASE("An address is verified against the certificate's addresses", "[net][tls]") {
  const Context server = Server(ServerOptions());
  const Handshake good = Run(server, Client(ClientOptions()), "127.0.0.1");
  CHECK(good.client.ok());
  CHECK(good.server_info.server_name.empty());
  CHECK_FALSE(Run(server, Client(ClientOptions()), "127.0.0.2").client.ok());
}

TEST_CASE("A client refuses a wrong name, a strange authority and an expired certificate",
          "[net][tls]") {
  World& world = TheWorld();
  TlsServerOptions strange = ServerOptions();
  strange.certificates = {FromFiles(world.stranger.Issue({.names = {"mx.example.org"}}))};
  TlsServerOptions expired = ServerOptions();
  expired.certificates = {
      FromFiles(world.authority.Issue({.names = {"mx.example.org"}, .lifetime = -absl::Hours(1)}))};
  const Handshake name = Run(Server(ServerOptions()), Client(ClientOptions()), "other.example");
  const Handshake authority = Run(Server(strange), Client(ClientOptions()), "mx.example.org");
  const Handshake date = Run(Server(expired), Client(ClientOptions()), "mx.example.org");
  for (const Handshake* each : {&name, &authority, &date}) {
    CHECK(absl::IsFailedPrecondition(each->client));
    CHECK_FALSE(each->server.ok());
  }
  CHECK_THAT(base::ToString(name.client),
             Catch::Contains("Hostname mismatch", Catch::CaseSensitive::No));
  CHECK_THAT(base::ToString(date.client), Catch::Contains("expired"));

  TlsClientOptions opportunistic = ClientOptions();
  opportunistic.verification = ServerVerification::kNone;
  const Handshake any = Run(Server(strange), Client(opportunistic), "whatever.example");
  CHECK(any.client.ok());
  CHECK_FALSE(any.client_info.peer_verified);
  CHECK(any.client_info.peer_dns_names == std::vector<std::string>{"mx.example.org"});

  TlsClientOptions chain = ClientOptions();
  chain.verification = ServerVerification::kChain;
  CHECK(Run(Server(ServerOptions()), Client(chain), "whatever.example").client.ok());
  CHECK_FALSE(Run(Server(strange), Client(chain), "whatever.example").client.ok());
}

TEST_CASE("A verifying client without a name is refused before it speaks", "[net][tls]") {
  CHECK(absl::IsInvalidArgument(Client(ClientOptions())->NewConnection("").status()));
}

struct SniRow {
  std::string asked;
  std::string want;
};

TEST_CASE("The certificate follows the server name", "[net][tls]") {
  World& world = TheWorld();
  TlsServerOptions options = ServerOptions();
  options.certificates.push_back(FromFiles(world.authority.Issue({.names = {"imap.example.org"}})));
  options.certificates.push_back(FromFiles(world.authority.Issue({.names = {"*.example.net"}})));
  options.certificates.push_back(
      FromFiles(world.authority.Issue({.names = {"mx.example.org"}, .key = KeyKind::kRsa2048})));
  TlsClientOptions any = ClientOptions();
  any.verification = ServerVerification::kNone;
  const auto row = GENERATE(values<SniRow>({{"imap.example.org", "imap.example.org"},
                                            {"IMAP.Example.ORG", "imap.example.org"},
                                            {"a.example.net", "*.example.net"},
                                            {"a.b.example.net", "mx.example.org"},
                                            {"example.net", "mx.example.org"},
                                            {"unknown.example", "mx.example.org"},
                                            {"", "mx.example.org"}}));
  CAPTURE(row.asked);
  const Handshake result = Run(Server(options), Client(any), row.asked);
  REQUIRE(result.client.ok());
  CHECK(result.client_info.peer_dns_names.front() == row.want);
}

TEST_CASE("RSA certificates work", "[net][tls]") {
  TlsServerOptions options = ServerOptions();
  options.certificates = {FromFiles(
      TheWorld().authority.Issue({.names = {"mx.example.org"}, .key = KeyKind::kRsa2048}))};
  CHECK(Run(Server(options), Client(ClientOptions()), "mx.example.org").client.ok());
}

TEST_CASE("Mutual TLS: required, optional, strange and missing client certificates", "[net][tls]") {
  World& world = TheWorld();
  TlsServerOptions options = ServerOptions();
  options.client_certificates = ClientCertificates::kRequired;
  options.client_ca_file = world.authority.ca_file();
  TlsClientOptions with = ClientOptions();
  with.certificate = FromFiles(world.authority.Issue({.names = {"smtp-ingress"}}));
  TlsClientOptions stranger = ClientOptions();
  stranger.certificate = FromFiles(world.stranger.Issue({.names = {"smtp-ingress"}}));

  const Handshake good = Run(Server(options), Client(with), "mx.example.org");
  REQUIRE(good.server.ok());
  CHECK(good.server_info.peer_verified);
  CHECK(good.server_info.peer_dns_names == std::vector<std::string>{"smtp-ingress"});
  CHECK(good.client.ok());
  CHECK_FALSE(Run(Server(options), Client(ClientOptions()), "mx.example.org").server.ok());
  CHECK_FALSE(Run(Server(options), Client(stranger), "mx.example.org").server.ok());

  options.client_certificates = ClientCertificates::kOptional;
  const Handshake without = Run(Server(options), Client(ClientOptions()), "mx.example.org");
  CHECK(without.server.ok());
  CHECK_FALSE(without.server_info.peer_verified);
  CHECK_FALSE(Run(Server(options), Client(stranger), "mx.example.org").server.ok());
}

TEST_CASE("ALPN: the server's order decides, no overlap ends it, no offer is fine", "[net][tls]") {
  TlsServerOptions options = ServerOptions();
  options.alpn = {"h2", "http/1.1"};
  TlsClientOptions both = ClientOptions();
  both.alpn = {"http/1.1", "h2"};
  TlsClientOptions other = ClientOptions();
  other.alpn = {"imap"};
  const Handshake agreed = Run(Server(options), Client(both), "mx.example.org");
  CHECK(agreed.client_info.alpn == "h2");
  CHECK(agreed.server_info.alpn == "h2");
  CHECK_FALSE(Run(Server(options), Client(other), "mx.example.org").client.ok());
  CHECK(Run(Server(options), Client(ClientOptions()), "mx.example.org").client.ok());
}

TEST_CASE("Reload takes the new files and keeps the old ones when they are bad", "[net][tls]") {
  World& world = TheWorld();
  auto first = world.authority.Issue({.names = {"first.example"}});
  TlsServerOptions options = ServerOptions();
  options.certificates = {FromFiles(first)};
  const Context server = Server(options);
  TlsClientOptions any = ClientOptions();
  any.verification = ServerVerification::kNone;
  const auto served = [&] {
    return Run(server, Client(any), "x.example").client_info.peer_dns_names.at(0);
  };
  CHECK(served() == "first.example");

  const auto second = world.authority.Issue({.names = {"second.example"}});
  REQUIRE(rename(second.chain_file.c_str(), first.chain_file.c_str()) == 0);
  CHECK(absl::IsInvalidArgument(server->Reload()));  // the key is still the first one's
  CHECK(served() == "first.example");
  REQUIRE(rename(second.key_file.c_str(), first.key_file.c_str()) == 0);
  CHECK(server->Reload().ok());
  CHECK(served() == "second.example");

  const auto third = world.authority.Issue({.names = {"third.example"}});
  TlsCertificate text;
  text.chain_pem = third.chain_pem;
  text.key_pem = base::Secret(third.key_pem);
  CHECK(server->SetCertificates({text}).ok());
  CHECK(served() == "third.example");
  CHECK_FALSE(server->SetCertificates({}).ok());
  CHECK(served() == "third.example");
}

TEST_CASE("Contexts name the file that is wrong", "[net][tls]") {
  TlsServerOptions options = ServerOptions();
  CHECK_FALSE(TlsContext::NewServer({}).ok());
  options.certificates[0].chain_file = "/nonexistent.pem";
  CHECK_THAT(base::ToString(TlsContext::NewServer(options).status()),
             Catch::Contains("/nonexistent.pem"));
  options = ServerOptions();
  options.certificates[0].key_file = options.certificates[0].chain_file;
  CHECK_THAT(base::ToString(TlsContext::NewServer(options).status()),
             Catch::Contains("no private key"));
  options = ServerOptions();
  options.client_certificates = ClientCertificates::kRequired;
  CHECK_FALSE(TlsContext::NewServer(options).ok());
  TlsClientOptions client = ClientOptions();
  client.ca_file = "/nonexistent.pem";
  CHECK_THAT(base::ToString(TlsContext::NewClient(client).status()),
             Catch::Contains("/nonexistent.pem"));
}

// --- Clients of other kinds, with BoringSSL directly and a thread of their own
// ---------------------

struct RawOptions {
  uint16_t max_version = TLS1_3_VERSION;
  const char* signatures = "";
  bssl::UniquePtr<SSL_SESSION>* session = nullptr;  // in: to resume; out: the new ticket
};

// Connects on `fd` (blocking), sends a line, reads it back. True when all of it worked.
bool RunRawClient(int fd, const RawOptions* options) {
  static bssl::UniquePtr<SSL_SESSION>* ticket;
  ticket = options->session;
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  SSL_CTX_set_max_proto_version(context.get(), options->max_version);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(context.get(), [](SSL*, SSL_SESSION* session) {
    if (ticket == nullptr) return 0;
    ticket->reset(session);
    return 1;
  });
  bssl::UniquePtr<SSL> ssl(SSL_new(context.get()));
  if (*options->signatures != '\0') SSL_set1_sigalgs_list(ssl.get(), options->signatures);
  if (ticket != nullptr && *ticket) SSL_set_session(ssl.get(), ticket->get());
  SSL_set_fd(ssl.get(), fd);
  char byte = 'x';
  const bool ok = SSL_connect(ssl.get()) == 1 && SSL_write(ssl.get(), &byte, 1) == 1 &&
                  SSL_read(ssl.get(), &byte, 1) == 1;
  SSL_shutdown(ssl.get());
  close(fd);
  return ok;
}

Handshake RunRaw(const Context& server, const RawOptions& options) {
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  Handshake result;
  std::thread client([&] {
    result.client = RunRawClient(fds[1], &options) ? absl::OkStatus() : base::Unavailable("raw");
  });
  REQUIRE(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
  Reactor reactor;
  Stream stream(&reactor, fds[0]);
  bool done = false;
  base::SpawnOn(&reactor, Echo(&stream, server, &result, &done));
  reactor.RunUntilDone(Until(&reactor, &done));
  client.join();
  return result;
}

TEST_CASE("A TLS 1.2 client is served, unless the floor is 1.3", "[net][tls]") {
  RawOptions old;
  old.max_version = TLS1_2_VERSION;
  TlsServerOptions options = ServerOptions();
  const Handshake result = RunRaw(Server(options), old);
  CHECK(result.client.ok());
  CHECK(result.server_info.version == "TLSv1.2");
  CHECK(result.server_info.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"));
  options.min_version = TlsVersion::kTls13;
  CHECK(absl::IsFailedPrecondition(RunRaw(Server(options), old).server));
  old.max_version = TLS1_1_VERSION;
  CHECK(absl::IsFailedPrecondition(RunRaw(Server(ServerOptions()), old).server));
}

TEST_CASE("Of two certificates for a name the client gets one that it can verify", "[net][tls]") {
  TlsServerOptions options = ServerOptions();
  options.certificates.push_back(FromFiles(
      TheWorld().authority.Issue({.names = {"mx.example.org"}, .key = KeyKind::kRsa2048})));
  const Context server = Server(options);
  RawOptions client;
  client.max_version = TLS1_2_VERSION;  // whose cipher names tell the kind of key
  CHECK(RunRaw(server, client).server_info.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"));
  client.signatures = "RSA+SHA256:RSA-PSS+SHA256";
  CHECK(RunRaw(server, client).server_info.cipher.starts_with("TLS_ECDHE_RSA_WITH_"));
}

TEST_CASE("Sessions resume with tickets and do not without", "[net][tls]") {
  TlsServerOptions options = ServerOptions();
  options.session_tickets = GENERATE(true, false);
  const Context server = Server(options);
  bssl::UniquePtr<SSL_SESSION> session;
  RawOptions client;
  client.session = &session;
  CHECK_FALSE(RunRaw(server, client).server_info.resumed);
  CHECK(static_cast<bool>(session) == options.session_tickets);
  CHECK(RunRaw(server, client).server_info.resumed == options.session_tickets);
}

// --- The upgrade and the stream
// --------------------------------------------------------------------

base::Task<void> StartTlsPeer(Stream* stream, Context context, bool* done) {
  Reader reader(stream);
  auto command = co_await reader.ReadLine();
  CHECK(command.value() == "STARTTLS");
  CHECK(reader.buffered().empty());
  absl::Status status = co_await stream->Write("220 go ahead\r\n");
  status = co_await stream->StartTlsServer(std::move(context), kPatience);
  CHECK(status.ok());
  auto line = co_await reader.ReadLine();
  CHECK(line.value() == "secret");
  co_await stream->Shutdown(kPatience);
  *done = true;
}

base::Task<bool> Upgrade(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  bool done = false;
  base::Spawn(StartTlsPeer(server.get(), Server(ServerOptions()), &done));
  Reader reader(client.get());
  absl::Status status = co_await client->Write("STARTTLS\r\n");
  auto line = co_await reader.ReadLine();
  CHECK(line.value() == "220 go ahead");
  CHECK_FALSE(client->is_tls());
  status = co_await client->StartTlsClient(Client(ClientOptions()), "mx.example.org", kPatience);
  CHECK(status.ok());
  CHECK(client->is_tls());
  status = co_await client->Write("secret\r\n");
  // An orderly end: close_notify arrives as the end of the stream.
  auto end = co_await reader.ReadLine();
  CHECK(absl::IsOutOfRange(end.status()));
  client->Close();
  co_await Until(reactor, &done);
  co_return true;
}

TEST_CASE("A plain connection becomes TLS in its middle", "[net][tls]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(Upgrade(&reactor)));
}

base::Task<absl::Status> HandshakeWithNobody(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  absl::Status status = co_await client->StartTlsClient(Client(ClientOptions()), "mx.example.org",
                                                        absl::Milliseconds(40));
  co_return status;
}

base::Task<absl::Status> HandshakeWithNoise(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  absl::Status sent = co_await client->Write("EHLO client.example\r\n");
  absl::Status status = co_await server->StartTlsServer(Server(ServerOptions()), kPatience);
  co_return status;
}

TEST_CASE("A handshake with silence times out, with noise it fails", "[net][tls]") {
  Reactor::Options quick;
  quick.sweep_period = absl::Milliseconds(10);
  Reactor reactor(quick);
  CHECK(absl::IsDeadlineExceeded(reactor.RunUntilDone(HandshakeWithNobody(&reactor))));
  CHECK(absl::IsFailedPrecondition(reactor.RunUntilDone(HandshakeWithNoise(&reactor))));
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 >> 3);
  return bytes;
}

base::Task<void> WriteMany(Stream* stream, std::vector<std::string_view> pieces, bool* done) {
  absl::Status status = co_await stream->WritePieces(std::move(pieces));
  CHECK(status.ok());
  co_await stream->Shutdown(absl::ZeroDuration());
  *done = true;
}

base::Task<void> ServerSide(Stream* stream, absl::Status* status, bool* done) {
  *status = co_await stream->StartTlsServer(Server(ServerOptions()), kPatience);
  *done = true;
}

base::Task<bool> Connect(Reactor* reactor, Stream* client, Stream* server) {
  absl::Status server_status;
  bool done = false;
  base::Spawn(ServerSide(server, &server_status, &done));
  absl::Status status =
      co_await client->StartTlsClient(Client(ClientOptions()), "mx.example.org", kPatience);
  co_await Until(reactor, &done);
  co_return status.ok() && server_status.ok();
}

base::Task<bool> LargeTransfer(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  const bool connected = co_await Connect(reactor, client.get(), server.get());
  CHECK(connected);
  const std::string big = Pattern(2'000'000);
  const std::string small = "small";
  std::vector<std::string_view> pieces = {small, big, small, "", small, big};
  bool done = false;
  base::Spawn(WriteMany(server.get(), std::move(pieces), &done));
  std::string all;
  while (true) {
    const Ready ready = co_await client->WaitReadable(kPatience);
    CHECK(ready == Ready::kReadable);
    char some[100];  // far less than a record
    const auto got = client->ReadSome(some, sizeof some);
    if (!got.ok()) {
      CHECK(absl::IsOutOfRange(got.status()));
      break;
    }
    all.append(some, *got);
  }
  CHECK((all == small + big + small + small + big));
  co_await Until(reactor, &done);
  co_return true;
}

TEST_CASE("A large transfer over TLS to a slow reader arrives whole", "[net][tls]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(LargeTransfer(&reactor)));
}

base::Task<bool> BufferedInput(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  co_await Connect(reactor, client.get(), server.get());
  absl::Status sent = co_await server->Write("abc");
  Ready ready = Ready::kTimeout;
  char byte[2];
  // Session tickets come first and may count as readable.
  size_t got = 0;
  while (got == 0) {
    ready = co_await client->WaitReadable(kPatience);
    got = client->ReadSome(byte, 1).value();
  }
  // The kernel holds nothing now, but the record does.
  CHECK(client->HasBufferedInput());
  ready = co_await client->WaitReadable(kPatience);
  CHECK(ready == Ready::kReadable);
  CHECK(client->ReadSome(byte, 2).value() == 2);
  CHECK_FALSE(client->HasBufferedInput());
  CHECK(client->ReadSome(byte, 2).value() == 0);
  // A wake ends a wait over TLS too.
  client->Wake();
  ready = co_await client->WaitReadable(kPatience);
  CHECK(ready == Ready::kWoken);
  co_return true;
}

TEST_CASE("WaitReadable knows of bytes that are decrypted already", "[net][tls]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(BufferedInput(&reactor)));
}

base::Task<bool> Truncated(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  co_await Connect(reactor, client.get(), server.get());
  absl::Status sent = co_await server->Write("half a");
  ::shutdown(server->fd(), SHUT_RDWR);  // no close_notify
  Reader reader(client.get());
  auto all = co_await reader.ReadToEnd();
  CHECK(absl::IsDataLoss(all.status()));
  co_return true;
}

TEST_CASE("An end without close_notify is DataLoss", "[net][tls]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(Truncated(&reactor)));
}

// One octet of a record that never ends, until the other side has had enough.
base::Task<void> Drip(Reactor* reactor, Stream* stream, bool* stop) {
  const std::string_view header("\x17\x03\x03\x40\x00", 5);
  CHECK(send(stream->fd(), header.data(), header.size(), 0) == 5);
  for (int i = 0; i < 2000 && !*stop; ++i) {
    CHECK(send(stream->fd(), "x", 1, 0) == 1);
    co_await reactor->Sleep(absl::Milliseconds(2));
  }
  *stop = true;
}

base::Task<bool> DripTest(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  co_await Connect(reactor, client.get(), server.get());
  bool stop = false;
  base::Spawn(Drip(reactor, client.get(), &stop));
  const absl::Duration before = reactor->Now();
  const Input input = co_await server->Read(absl::Milliseconds(100));
  const absl::Duration took = reactor->Now() - before;
  CHECK(input.event == Ready::kTimeout);
  CHECK(took >= absl::Milliseconds(100));
  CHECK(took < absl::Seconds(2));
  const bool stopped_early = !stop;
  stop = true;
  co_await reactor->Sleep(absl::Milliseconds(50));
  co_return stopped_early;
}

// Each octet of a record began the whole timeout anew: 16 KiB of them kept a session for weeks.
TEST_CASE("A record that comes an octet at a time does not prolong a read", "[net][tls]") {
  Reactor::Options options;
  options.sweep_period = absl::Milliseconds(10);
  Reactor reactor(options);
  CHECK(reactor.RunUntilDone(DripTest(&reactor)));
}

base::Task<bool> Damaged(Reactor* reactor) {
  auto [client, server] = Stream::Pair(reactor);
  co_await Connect(reactor, client.get(), server.get());
  const std::string_view record("\x17\x03\x03\x00\x20 not a record at all, is it? ....", 37);
  CHECK(send(server->fd(), record.data(), record.size(), 0) == 37);
  const Input input = co_await client->Read(kPatience);
  CHECK(input.event == Ready::kClosed);
  CHECK(absl::IsFailedPrecondition(input.status));
  co_return true;
}

TEST_CASE("A damaged record ends the connection", "[net][tls]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(Damaged(&reactor)));
}

}  // namespace
}  // namespace godwit::net

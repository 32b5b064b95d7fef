// BoringSSL (our TLS) and OpenSSL 3 (inside gRPC and libpq) in one process. They export the same
// names: if the dynamic linker bound one side's calls to the other's library, structures of the
// wrong shape would be read. Here each side does a real handshake, also with the other one, and the
// symbols are shown to be each side's own.

#include <arpa/inet.h>
#include <dlfcn.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <postgresql/libpq-fe.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>

#include "tests/boringssl/echo.grpc.pb.h"
#include "tests/boringssl/test_certificates.h"

namespace godwit::boringssl_test {
namespace {

// ---- BoringSSL: a server and a client context of ours.

bssl::UniquePtr<BIO> MemoryBio(const std::string& pem) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// With `identity` as its own certificate; trusts `ca` and asks for the peer's certificate.
bssl::UniquePtr<SSL_CTX> NewContext(const Identity& identity, const std::string& ca, int verify) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  bssl::UniquePtr<X509> certificate(
      PEM_read_bio_X509(MemoryBio(identity.certificate_pem).get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(MemoryBio(identity.key_pem).get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<X509> trusted(PEM_read_bio_X509(MemoryBio(ca).get(), nullptr, nullptr, nullptr));
  REQUIRE(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
  REQUIRE(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), trusted.get()) == 1);
  SSL_CTX_set_verify(context.get(), verify, nullptr);
  return context;
}

bssl::UniquePtr<SSL> NewSsl(SSL_CTX* context, int fd) {
  bssl::UniquePtr<SSL> ssl(SSL_new(context));
  REQUIRE(SSL_set_fd(ssl.get(), fd) == 1);
  return ssl;
}

// A handshake with mutual certificates over a socket pair, then a line each way.
std::string BoringSslRoundTrip(const Authority& ca) {
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  const int verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  const auto server_context = NewContext(ca.Issue("server"), ca.certificate_pem(), verify);
  const auto client_context = NewContext(ca.Issue("client"), ca.certificate_pem(), verify);
  const auto server = NewSsl(server_context.get(), fds[0]);
  const auto client = NewSsl(client_context.get(), fds[1]);
  std::thread echo([&server] {
    char line[64];
    if (SSL_accept(server.get()) != 1) return;
    const int n = SSL_read(server.get(), line, sizeof line);
    if (n > 0) SSL_write(server.get(), line, n);
  });
  std::string answer(64, '\0');
  int n = -1;
  if (SSL_connect(client.get()) == 1 && SSL_write(client.get(), "ping", 4) == 4) {
    n = SSL_read(client.get(), answer.data(), static_cast<int>(answer.size()));
  }
  close(fds[1]);
  echo.join();
  close(fds[0]);
  answer.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return answer + " " + SSL_get_version(client.get());
}

// ---- gRPC: a call with mutual TLS, all of it OpenSSL.

class EchoServer final : public v1::EchoService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const v1::EchoRequest* in,
                                 v1::EchoResponse* out) override {
    const auto names = context->auth_context()->FindPropertyValues("x509_common_name");
    out->set_text(in->text() + " from " +
                  (names.empty() ? "nobody" : std::string(names[0].data(), names[0].size())));
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::unique_ptr<grpc::Server> StartServer(EchoServer* service, const Authority& ca, int* port) {
  const Identity identity = ca.Issue("server");
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = ca.certificate_pem();
  options.pem_key_cert_pairs = {{identity.key_pem, identity.certificate_pem}};
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), port);
  builder.RegisterService(service);
  return builder.BuildAndStart();
}

grpc::Status Call(int port, const grpc::SslCredentialsOptions& options, std::string* answer) {
  // By address: looking up "localhost", c-ares 1.18 leaks the name, and LeakSanitizer tells.
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("localhost");
  const auto channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                                 grpc::SslCredentials(options), arguments);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::EchoRequest request;
  request.set_text("hello");
  v1::EchoResponse response;
  const grpc::Status status = v1::EchoService::NewStub(channel)->Echo(&context, request, &response);
  *answer = response.text();
  return status;
}

// ---- libpq: its OpenSSL client meets a BoringSSL server.

// A loopback listener that takes one PostgreSQL connection up to TLS, reads the start-up packet
// through BoringSSL and answers with an error of PostgreSQL's protocol.
class TlsPostgresDoor {
 public:
  explicit TlsPostgresDoor(const Authority& ca)
      : context_(NewContext(ca.Issue("server"), ca.certificate_pem(), SSL_VERIFY_NONE)),
        listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    socklen_t size = sizeof address;
    REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { ServeOne(); });
  }
  ~TlsPostgresDoor() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }

 private:
  void ServeOne() {
    const int fd = accept(listener_, nullptr, nullptr);
    char ssl_request[8];
    if (fd < 0 || recv(fd, ssl_request, sizeof ssl_request, MSG_WAITALL) != 8) return;
    if (send(fd, "S", 1, MSG_NOSIGNAL) != 1) return;
    bssl::UniquePtr<SSL> ssl(SSL_new(context_.get()));
    char startup[1024];
    if (SSL_set_fd(ssl.get(), fd) == 1 && SSL_accept(ssl.get()) == 1 &&
        SSL_read(ssl.get(), startup, sizeof startup) > 0) {
      static constexpr char kError[] = "E\0\0\0\x23SFATAL\0C28000\0Mread by BoringSSL\0";
      SSL_write(ssl.get(), kError, sizeof kError);  // its own final zero ends the field list
      SSL_shutdown(ssl.get());
    }
    close(fd);
  }

  bssl::UniquePtr<SSL_CTX> context_;
  int listener_;
  int port_ = 0;
  std::thread thread_;
};

std::string LibpqError(int port) {
  const std::string target = "host=127.0.0.1 port=" + std::to_string(port) +
                             " user=x dbname=x sslmode=require gssencmode=disable"
                             " connect_timeout=20 sslcert=/nonexistent sslkey=/nonexistent";
  PGconn* connection = PQconnectdb(target.c_str());
  const std::string error = PQerrorMessage(connection);
  PQfinish(connection);
  return error;
}

// ---- The symbols.

std::string FileOf(const void* address) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 ? info.dli_fname : "";
}

template <typename Function>
Function* FindIn(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

TEST_CASE("Our OpenSSL_version is BoringSSL's, the library's is OpenSSL's", "[boringssl]") {
  CHECK(std::string(OpenSSL_version(0)) == "BoringSSL");
  // Loaded already, by gRPC and libpq.
  void* crypto = dlopen("libcrypto.so.3", RTLD_NOLOAD | RTLD_NOW);
  void* ssl = dlopen("libssl.so.3", RTLD_NOLOAD | RTLD_NOW);
  REQUIRE(crypto != nullptr);
  REQUIRE(ssl != nullptr);
  auto* theirs = FindIn<const char*(int)>(crypto, "OpenSSL_version");
  REQUIRE(theirs != nullptr);
  CHECK(std::string(theirs(0)).rfind("OpenSSL 3.", 0) == 0);
  dlclose(ssl);
  dlclose(crypto);
}

TEST_CASE("BoringSSL is in the executable and not in the dynamic symbol table", "[boringssl]") {
  const std::string self = FileOf(reinterpret_cast<const void*>(&FileOf));
  REQUIRE_FALSE(self.empty());
  CHECK(FileOf(reinterpret_cast<const void*>(&SSL_new)) == self);
  CHECK(FileOf(reinterpret_cast<const void*>(&EVP_sha256)) == self);
  // What any shared library of this process gets when it asks for these names.
  const std::string name = GENERATE("SSL_new", "SSL_CTX_new", "EVP_sha256", "X509_free",
                                    "OPENSSL_malloc", "CRYPTO_free", "ERR_get_error", "BIO_new");
  CAPTURE(name);
  const void* global = dlsym(RTLD_DEFAULT, name.c_str());
  CHECK(FileOf(global) != self);
}

TEST_CASE("gRPC, BoringSSL and libpq do TLS in one process", "[boringssl]") {
  const Authority ca;
  EchoServer service;
  int port = 0;
  const auto server = StartServer(&service, ca, &port);
  REQUIRE(server != nullptr);
  REQUIRE(port != 0);
  const Identity client = ca.Issue("client");
  const TlsPostgresDoor door(ca);

  // Twice round, so that each side also works after the other one has run.
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    std::string answer;
    const grpc::Status status =
        Call(port, {ca.certificate_pem(), client.key_pem, client.certificate_pem}, &answer);
    CAPTURE(status.error_message());
    CHECK(status.ok());
    CHECK(answer == "hello from client");
    CHECK(BoringSslRoundTrip(ca) == "ping TLSv1.3");
    if (round == 0) CHECK_THAT(LibpqError(door.port()), Catch::Contains("read by BoringSSL"));
  }
  CHECK(PQlibVersion() >= 150000);

  // And the certificate is really asked for.
  std::string answer;
  CHECK_FALSE(Call(port, {ca.certificate_pem(), "", ""}, &answer).ok());
  CHECK(answer.empty());
  server->Shutdown();
}

}  // namespace
}  // namespace godwit::boringssl_test

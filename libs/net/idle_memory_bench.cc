// What an idle TLS connection costs: N connections over loopback from a second process, handshake
// done and a line exchanged, then resident memory of the serving process by N.
//
//   idle_memory_bench [connections]        (default 3000; two descriptors each, one a process)

#include <malloc.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "libs/base/status.h"
#include "libs/net/connector.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/stream.h"
#include "libs/net/tls_context.h"
#include "libs/testing/certificates.h"

namespace godwit::net {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);

double ResidentKilobytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

// As a session does it: one line is answered, then it idles.
base::Task<void> Serve(std::unique_ptr<Stream> stream, std::shared_ptr<TlsContext> tls,
                       int* ready) {
  if (tls) {
    absl::Status status = co_await stream->StartTlsServer(std::move(tls), kPatience);
    if (!status.ok()) co_return;
  }
  while (true) {
    const Input input = co_await stream->Read(absl::Minutes(30));
    if (input.event != Ready::kReadable) break;
    absl::Status sent = co_await stream->Write(input.bytes());
    if (!sent.ok()) break;
    ++*ready;
  }
}

base::Task<bool> OpenAll(Endpoint to, std::shared_ptr<TlsContext> tls, int count,
                         std::vector<std::unique_ptr<Stream>>* streams) {
  for (int i = 0; i < count; ++i) {
    ConnectOptions options;
    options.to = to;
    auto stream = co_await Connect(options);
    if (!stream.ok()) co_return false;
    absl::Status status;
    if (tls) status = co_await (*stream)->StartTlsClient(tls, "localhost", kPatience);
    if (status.ok()) status = co_await (*stream)->Write("hello\r\n");
    if (!status.ok()) co_return false;
    const Input echo = co_await (*stream)->Read(kPatience);
    if (echo.event != Ready::kReadable) co_return false;
    streams->push_back(*std::move(stream));
  }
  co_return true;
}

// The other process: opens all, says so, and holds them until the pipe closes.
int RunClient(Endpoint to, const std::string& ca_file, int count, int control) {
  std::shared_ptr<TlsContext> tls;
  if (!ca_file.empty()) {
    TlsClientOptions options;
    options.ca_file = ca_file;
    tls = TlsContext::NewClient(options).value();
  }
  std::vector<std::unique_ptr<Stream>> streams;
  Reactor reactor;
  const bool ok = reactor.RunUntilDone(OpenAll(to, tls, count, &streams));
  char byte = ok ? '+' : '-';
  if (write(control, &byte, 1) == 1) byte = static_cast<char>(read(control, &byte, 1));
  return ok ? 0 : 1;
}

base::Task<bool> Measured(Reactor* reactor, const int* ready, int count) {
  while (*ready < count) {
    const bool more = co_await reactor->Sleep(absl::Milliseconds(20));
    if (!more) break;
  }
  co_return true;
}

void Measure(const char* what, std::shared_ptr<TlsContext> tls, const std::string& ca_file,
             int count) {
  Reactor reactor;
  int ready = 0;
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("127.0.0.1:0");
  options.max_connections = static_cast<size_t>(count) + 100;
  auto listener = Listener::Start(&reactor, options, [&](std::unique_ptr<Stream> stream) {
    base::Spawn(Serve(std::move(stream), tls, &ready));
  });
  int control[2];
  if (!listener.ok() || socketpair(AF_UNIX, SOCK_STREAM, 0, control) != 0) exit(1);
  const pid_t child = fork();
  if (child == 0) {
    close(control[0]);
    _exit(RunClient((*listener)->endpoint(), ca_file, count, control[1]));
  }
  close(control[1]);
  const double before = ResidentKilobytes();
  static_cast<void>(reactor.RunUntilDone(Measured(&reactor, &ready, count)));
  const double after = ResidentKilobytes();
  std::printf("%-14s %6d connections  %8.0f KB resident  %6.2f KB each\n", what, count,
              after - before, (after - before) / count);
  close(control[0]);
  waitpid(child, nullptr, 0);
}

int Main(int count) {
  const std::string folder = testing::MakeScratchFolder();
  testing::CertificateAuthority authority(folder);
  const auto leaf = authority.Issue({.names = {"localhost"}});
  TlsServerOptions options;
  options.certificates.resize(1);
  options.certificates[0].chain_file = leaf.chain_file;
  options.certificates[0].key_file = leaf.key_file;
  // Twice each: the first run also pays for what every process needs once.
  for (int i = 0; i < 2; ++i) Measure("plain TCP", nullptr, "", count);
  for (int i = 0; i < 2; ++i) {
    Measure("TLS 1.3", TlsContext::NewServer(options).value(), authority.ca_file(), count);
  }
  return 0;
}

}  // namespace
}  // namespace godwit::net

int main(int argc, char** argv) { return godwit::net::Main(argc > 1 ? std::atoi(argv[1]) : 3000); }

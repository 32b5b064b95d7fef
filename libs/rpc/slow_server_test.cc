// A server that takes its time to answer a new connection.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "libs/base/status.h"
#include "libs/rpc/rpc_fixture.h"

namespace godwit::rpc {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Stands in front of a port and holds back the first octets of its answers, on every connection.
class SlowRelay {
 public:
  SlowRelay(uint16_t behind, std::chrono::milliseconds delay) : behind_(behind), delay_(delay) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener_, 16) == 0);
    REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  // After the clients of it are gone.
  ~SlowRelay() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : pumps_) thread.join();
    close(listener_);
  }
  uint16_t port() const { return port_; }

 private:
  void Accept() {
    for (;;) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      pumps_.emplace_back([this, client] { Pump(client); });
    }
  }

  void Pump(int client) const {
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(behind_);
    if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      bool answered = false;
      while (Pass(client, server, &answered)) {
      }
    }
    close(server);
    close(client);
  }

  bool Pass(int client, int server, bool* answered) const {
    std::array<pollfd, 2> ready = {{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), 20'000) <= 0) return false;
    if (ready[0].revents != 0 && !Copy(client, server)) return false;
    if (ready[1].revents == 0) return true;
    if (!*answered) std::this_thread::sleep_for(delay_);
    *answered = true;
    return Copy(server, client);
  }

  static bool Copy(int from, int to) {
    std::array<char, 4096> bytes;
    const ssize_t got = read(from, bytes.data(), bytes.size());
    return got > 0 && send(to, bytes.data(), static_cast<size_t>(got), MSG_NOSIGNAL) == got;
  }

  const uint16_t behind_;
  const std::chrono::milliseconds delay_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> pumps_;
};

// On a busy machine a TLS handshake took longer than the 100 ms that were the least pause between
// connections, which gRPC takes as the bound of a connection attempt, too. Each attempt was cut and
// the next one began from nothing: mail was deferred for as long as the machine was busy.
TEST_CASE("A server that answers a new connection after half a second is waited for",
          "[rpc][net]") {
  World world;
  SlowRelay relay(world.port(), std::chrono::milliseconds(500));
  {
    Client alice = world.CallerWith(world.FilesOf("alice"), "echo", relay.port());
    const auto reply = alice.Say("hello");
    CAPTURE(base::ToString(reply.status()));
    CHECK(reply.ok());
  }
  world.Stop();
}

}  // namespace
}  // namespace godwit::rpc

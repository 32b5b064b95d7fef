#pragma once

// RawServer: a server in this process that says what a test lets it say, well or badly, one thread
// a connection. For what a real server never does.
//
//   RawServer server([](RawServer::Peer& peer) {
//     peer.Say("220 hello\r\n");
//     while (peer.ReadLine() != "QUIT") peer.Say("250 ok\r\n");
//   });
//   ... server.port() ... server.lines() ...

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace godwit::delivery_queue {

class RawServer {
 public:
  class Peer {
   public:
    Peer(RawServer* server, int fd) : server_(server), fd_(fd) {}
    // False: the client is gone.
    bool Say(std::string_view text);
    // Without its CRLF; "" at the end.
    std::string ReadLine();
    // `text` again and again, `pause` apart, until the client is gone or the test ends.
    void Dribble(std::string_view text, absl::Duration pause);
    // EHLO, and a reply to it.
    bool Greet(std::string_view ehlo = "250 raw.example\r\n");
    // Replies well to what is left of one message, its dot included, and to QUIT.
    void Take(const std::string& command, std::string_view taken = "250 taken\r\n");

   private:
    RawServer* const server_;
    const int fd_;
    std::string buffer_;
  };

  explicit RawServer(std::function<void(Peer&)> talk);
  ~RawServer();

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  // Everything that clients have said.
  std::vector<std::string> lines() const;

 private:
  void Accept();

  const std::function<void(Peer&)> talk_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;  // guarded by mutex_
  std::vector<int> fds_;            // guarded by mutex_
  std::vector<std::thread> talks_;  // of thread_, then of the destructor
};

}  // namespace godwit::delivery_queue

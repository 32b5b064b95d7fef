#include "services/delivery-queue/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/time/clock.h"
#include "libs/base/check.h"

namespace godwit::delivery_queue {

bool RawServer::Peer::Say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string RawServer::Peer::ReadLine() {
  for (;;) {
    const size_t end = buffer_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      std::lock_guard lock(server_->mutex_);
      server_->lines_.push_back(line);
      return line;
    }
    char octets[4096];
    const ssize_t got = recv(fd_, octets, sizeof octets, 0);
    if (got <= 0) return "";
    buffer_.append(octets, static_cast<size_t>(got));
  }
}

void RawServer::Peer::Dribble(std::string_view text, absl::Duration pause) {
  while (!server_->stop_ && Say(text)) absl::SleepFor(pause);
}

bool RawServer::Peer::Greet(std::string_view ehlo) {
  return Say("220 raw.example\r\n") && !ReadLine().empty() && Say(ehlo);
}

void RawServer::Peer::Take(const std::string& command, std::string_view taken) {
  for (std::string line = command; !line.empty(); line = ReadLine()) {
    if (line == "QUIT") {
      Say("221 bye\r\n");
      return;
    }
    if (line != "DATA") {
      Say("250 ok\r\n");
      continue;
    }
    Say("354 go\r\n");
    while (ReadLine() != ".") {
    }
    Say(taken);
    return;
  }
}

RawServer::RawServer(std::function<void(Peer&)> talk) : talk_(std::move(talk)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  GODWIT_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&name), size) == 0);
  GODWIT_CHECK(listen(listener_, 100) == 0);
  GODWIT_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  port_ = ntohs(name.sin_port);
  thread_ = std::thread([this] { Accept(); });
}

RawServer::~RawServer() {
  stop_ = true;
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  {
    std::lock_guard lock(mutex_);
    for (int fd : fds_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& talk : talks_) talk.join();
  close(listener_);
  for (int fd : fds_) close(fd);
}

void RawServer::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    ++connections_;
    {
      std::lock_guard lock(mutex_);
      fds_.push_back(fd);
    }
    talks_.emplace_back([this, fd] {
      Peer peer(this, fd);
      talk_(peer);
      // The end of the stream; the descriptor is closed with the server.
      shutdown(fd, SHUT_RDWR);
    });
  }
}

std::vector<std::string> RawServer::lines() const {
  std::lock_guard lock(mutex_);
  return lines_;
}

}  // namespace godwit::delivery_queue

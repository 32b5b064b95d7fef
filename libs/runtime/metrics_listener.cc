#include "libs/runtime/metrics_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/obs/metrics.h"
#include "libs/runtime/units.h"

namespace godwit::runtime {
namespace {

constexpr size_t kLongestRequest = 8192;
constexpr int kSecondsARequest = 2;
constexpr int kBacklog = 16;
constexpr std::string_view kPlain = "text/plain; charset=utf-8";

std::string Response(std::string_view status, std::string_view type, std::string_view body) {
  std::string response = "HTTP/1.1 ";
  response += status;
  response += "\r\nContent-Type: ";
  response += type;
  response += "\r\nContent-Length: " + std::to_string(body.size());
  response += "\r\nConnection: close\r\n\r\n";
  response += body;
  return response;
}

socklen_t FillAddress(const base::IpAddress& address, uint16_t port, sockaddr_storage* out) {
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address.bytes().data(), 4);
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  std::memcpy(&v6->sin6_addr, address.bytes().data(), 16);
  return sizeof *v6;
}

absl::StatusOr<int> Listen(const std::string& listen_on) {
  const auto endpoint = ParseEndpoint(listen_on);
  const auto address = !endpoint                ? std::nullopt
                       : endpoint->host.empty() ? base::IpAddress::Parse("0.0.0.0")
                                                : base::IpAddress::Parse(endpoint->host);
  if (!address) return base::InvalidArgument("metrics_listen: no ADDRESS:PORT: " + listen_on);
  sockaddr_storage storage = {};
  const socklen_t size = FillAddress(*address, endpoint->port, &storage);
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      listen(fd, kBacklog) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) close(fd);
    return base::Unavailable("metrics_listen " + listen_on + ": " + reason);
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  if (storage.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(storage).sin_port);
  return ntohs(reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
}

// The head of a request; what came so far when the peer is slow or sends too much.
std::string ReadHead(int connection) {
  std::string head;
  const absl::Time end = absl::Now() + absl::Seconds(kSecondsARequest);
  while (head.find("\r\n\r\n") == std::string::npos && head.size() < kLongestRequest &&
         absl::Now() < end) {
    char buffer[1024];
    const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    head.append(buffer, static_cast<size_t>(got));
  }
  return head;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(const std::string& listen) {
  GODWIT_ASSIGN_OR_RETURN(const int fd, Listen(listen));
  return std::unique_ptr<MetricsListener>(new MetricsListener(fd, PortOf(fd)));
}

MetricsListener::MetricsListener(int listener, uint16_t port) : listener_(listener), port_(port) {
  thread_ = std::thread([this] { Run(); });
}

MetricsListener::~MetricsListener() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);  // wakes accept
  thread_.join();
  close(listener_);
}

void MetricsListener::Run() {
  while (!stopping_) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) {
      Serve(connection);
      close(connection);
    } else if (!stopping_ && errno != EINTR && errno != ECONNABORTED) {
      absl::SleepFor(absl::Milliseconds(100));  // out of descriptors: not in a hot loop
    }
  }
}

void MetricsListener::Serve(int connection) {
  const timeval limit = {kSecondsARequest, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const std::string response = Answer(ReadHead(connection));
  size_t sent = 0;
  while (sent < response.size()) {
    const ssize_t more =
        send(connection, response.data() + sent, response.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return;
    sent += static_cast<size_t>(more);
  }
}

std::string MetricsListener::Answer(const std::string& request) const {
  const std::string_view line = std::string_view(request).substr(0, request.find("\r\n"));
  if (request.find("\r\n\r\n") == std::string::npos || !line.ends_with(" HTTP/1.1")) {
    if (!line.ends_with(" HTTP/1.0")) return Response("400 Bad Request", kPlain, "bad request\n");
  }
  if (!line.starts_with("GET ")) return Response("405 Method Not Allowed", kPlain, "only GET\n");
  std::string_view path = line.substr(4);
  path = path.substr(0, path.find_first_of(" ?"));
  if (path == "/metrics") {
    return Response("200 OK", obs::kMetricsContentType, obs::ExposeMetrics());
  }
  if (path == "/healthz") return Response("200 OK", kPlain, "alive\n");
  if (path == "/readyz") {
    return ready_ ? Response("200 OK", kPlain, "ready\n")
                  : Response("503 Service Unavailable", kPlain, "not ready\n");
  }
  return Response("404 Not Found", kPlain, "not found\n");
}

}  // namespace godwit::runtime

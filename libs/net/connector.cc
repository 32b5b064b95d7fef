#include "libs/net/connector.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "libs/base/check.h"
#include "libs/base/status.h"

namespace godwit::net {
namespace {

absl::Status ConnectError(const ConnectOptions& options, std::string_view what, int error) {
  std::string text = options.to.ToString();
  text += ": ";
  text += what;
  text += ": ";
  text += std::strerror(error);
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN: return base::ResourceExhausted(text);
    case ETIMEDOUT: return base::DeadlineExceeded(text);
    default: return base::Unavailable(text);
  }
}

int BindTo(int fd, const base::IpAddress& from) {
  // The port is chosen at connect(): otherwise 28,000 connections from one address would be all,
  // wherever they go to.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_storage name;
  const socklen_t size = Endpoint{from, 0}.ToSockaddr(&name);
  return bind(fd, reinterpret_cast<sockaddr*>(&name), size);
}

// A socket whose connect() has begun.
absl::StatusOr<int> Begin(const ConnectOptions& options) {
  sockaddr_storage name;
  const socklen_t size = options.to.ToSockaddr(&name);
  const int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ConnectError(options, "socket", errno);
  std::string_view failed;
  if (options.from && BindTo(fd, *options.from) != 0) {
    failed = "bind";
  } else if (connect(fd, reinterpret_cast<sockaddr*>(&name), size) != 0 && errno != EINPROGRESS) {
    failed = "connect";
  }
  if (failed.empty()) return fd;
  const int error = errno;
  close(fd);
  return ConnectError(options, failed, error);
}

}  // namespace

base::Task<absl::StatusOr<std::unique_ptr<Stream>>> Connect(ConnectOptions options) {
  Reactor* reactor = Reactor::Current();
  GODWIT_CHECK(reactor != nullptr);
  const auto fd = Begin(options);
  if (!fd.ok()) co_return fd.status();
  Descriptor descriptor(reactor, *fd);
  const auto outcome = co_await descriptor.Wait(Descriptor::Direction::kWrite, options.timeout);
  if (outcome == Descriptor::Outcome::kClosed) co_return base::Unavailable("the reactor stops");
  if (outcome != Descriptor::Outcome::kReady) {
    co_return ConnectError(options, "connect", ETIMEDOUT);
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) co_return ConnectError(options, "connect", error);
  co_return std::make_unique<Stream>(reactor, descriptor.Release());
}

}  // namespace godwit::net

#include "libs/net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libs/base/check.h"
#include "libs/base/status.h"

namespace godwit::net {
namespace {

// Pieces given to one sendmsg(2).
constexpr size_t kMaxPieces = 64;

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

absl::Status Lost(int error) {
  return base::Unavailable(std::string("connection lost: ") + std::strerror(error));
}

absl::Status ClosedHere() { return base::Unavailable("connection closed"); }

// Drops `size` bytes from the front of `*pieces`, from index `*first` on.
void Consume(std::vector<std::string_view>* pieces, size_t* first, size_t size) {
  while (*first < pieces->size() && size >= (*pieces)[*first].size()) {
    size -= (*pieces)[*first].size();
    ++*first;
  }
  if (*first < pieces->size()) (*pieces)[*first].remove_prefix(size);
}

// One sendmsg(2); 0 when it would block.
absl::StatusOr<size_t> SendPieces(int fd, const std::vector<std::string_view>& pieces,
                                  size_t first) {
  iovec parts[kMaxPieces];
  const size_t count = std::min(kMaxPieces, pieces.size() - first);
  for (size_t i = 0; i < count; ++i) {
    parts[i] = {const_cast<char*>(pieces[first + i].data()), pieces[first + i].size()};
  }
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (WouldBlock(errno)) return size_t{0};
  return Lost(errno);
}

// Fills `to` from the pieces, as far as it goes; returns how much.
size_t Gather(const std::vector<std::string_view>& pieces, size_t first, char* to, size_t size) {
  size_t used = 0;
  for (size_t i = first; i < pieces.size() && used < size; ++i) {
    const size_t part = std::min(pieces[i].size(), size - used);
    std::memcpy(to + used, pieces[i].data(), part);
    used += part;
  }
  return used;
}

}  // namespace

Stream::Stream(Reactor* reactor, int fd) : descriptor_(reactor, fd) {
  if (closed()) return;
  const int on = 1;
  // Fails on the socket pairs of tests, which need it not.
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    peer_ = Endpoint::FromSockaddr(name);
  }
  size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    local_ = Endpoint::FromSockaddr(name);
  }
}

Stream::~Stream() { Close(); }

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> Stream::Pair(Reactor* reactor) {
  int fds[2];
  GODWIT_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  return {std::make_unique<Stream>(reactor, fds[0]), std::make_unique<Stream>(reactor, fds[1])};
}

void Stream::set_addresses(const Endpoint& peer, const Endpoint& local) {
  peer_ = peer;
  local_ = local;
}

// --- Reading
// --------------------------------------------------------------------------------------

base::Task<Ready> Stream::WaitReadable(absl::Duration idle_timeout) {
  if (HasBufferedInput() && !closed()) co_return Ready::kReadable;
  const auto outcome =
      co_await descriptor_.Wait(Descriptor::Direction::kRead, idle_timeout, /*wakeable=*/true);
  switch (outcome) {
    case Descriptor::Outcome::kWoken: co_return Ready::kWoken;
    case Descriptor::Outcome::kTimeout: co_return Ready::kTimeout;
    case Descriptor::Outcome::kClosed: co_return Ready::kClosed;
    default: co_return Ready::kReadable;
  }
}

absl::StatusOr<size_t> Stream::ReadSome(char* to, size_t size) {
  if (closed()) return ClosedHere();
  if (tls_) return tls_->Read(to, size);
  const ssize_t got = recv(fd(), to, size, 0);
  if (got > 0) return static_cast<size_t>(got);
  if (got == 0) return base::OutOfRange("end of stream");
  if (WouldBlock(errno)) return size_t{0};
  return Lost(errno);
}

base::Task<Input> Stream::Read(absl::Duration idle_timeout) {
  Input input;
  const absl::Duration deadline = reactor()->Now() + idle_timeout;
  while (true) {
    input.event = co_await WaitReadable(deadline - reactor()->Now());
    if (input.event == Ready::kClosed) input.status = ClosedHere();
    if (input.event != Ready::kReadable) co_return input;
    input.buffer = reactor()->BorrowBuffer();
    const auto size = ReadSome(input.buffer.data(), Buffer::kSize);
    if (size.ok() && *size > 0) {
      input.size = *size;
      co_return input;
    }
    input.buffer = Buffer();
    if (!size.ok()) {
      input.event = Ready::kClosed;
      input.status = size.status();
      co_return input;
    }
    // Half a TLS record: were the wait to begin anew, a peer could live on an octet at a time.
    if (reactor()->Now() >= deadline) {
      input.event = Ready::kTimeout;
      co_return input;
    }
  }
}

void Stream::AckNow() {
  const int on = 1;
  setsockopt(fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);  // fails on a socket pair: fine
}

bool Stream::HasBufferedInput() const { return tls_ && tls_->HasPending(); }

// --- Writing
// --------------------------------------------------------------------------------------

base::Task<absl::Status> Stream::AwaitUntil(Descriptor::Direction direction,
                                            absl::Duration deadline) {
  const auto outcome = co_await descriptor_.Wait(direction, deadline - reactor()->Now());
  if (outcome == Descriptor::Outcome::kReady) co_return absl::OkStatus();
  if (outcome == Descriptor::Outcome::kClosed) co_return ClosedHere();
  co_return base::DeadlineExceeded("the peer does not answer");
}

base::Task<absl::Status> Stream::AwaitWritable() {
  const absl::Duration now = reactor()->Now();
  if (now >= write_deadline_) co_return base::DeadlineExceeded("the peer takes too long");
  absl::Status ready = co_await AwaitUntil(Descriptor::Direction::kWrite,
                                           std::min(now + write_timeout_, write_deadline_));
  co_return ready;
}

absl::StatusOr<size_t> Stream::WriteSome(std::string_view bytes) {
  if (tls_) return tls_->Write(bytes);
  const ssize_t sent = send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (WouldBlock(errno)) return size_t{0};
  return Lost(errno);
}

base::Task<absl::Status> Stream::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (closed()) co_return ClosedHere();
    const auto written = WriteSome(bytes);
    if (!written.ok()) co_return written.status();
    bytes.remove_prefix(*written);
    if (*written > 0) continue;
    absl::Status ready = co_await AwaitWritable();
    if (!ready.ok()) co_return ready;
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> Stream::WritePieces(std::vector<std::string_view> pieces) {
  if (pieces.size() == 1) return Write(pieces.front());
  return tls_ ? WriteTls(std::move(pieces)) : WritePlain(std::move(pieces));
}

base::Task<absl::Status> Stream::WritePlain(std::vector<std::string_view> pieces) {
  size_t first = 0;
  Consume(&pieces, &first, 0);  // empty ones
  while (first < pieces.size()) {
    if (closed()) co_return ClosedHere();
    const auto sent = SendPieces(fd(), pieces, first);
    if (!sent.ok()) co_return sent.status();
    Consume(&pieces, &first, *sent);
    if (*sent > 0) continue;
    absl::Status ready = co_await AwaitWritable();
    if (!ready.ok()) co_return ready;
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> Stream::WriteTls(std::vector<std::string_view> pieces) {
  size_t first = 0;
  Consume(&pieces, &first, 0);
  while (first < pieces.size()) {
    // A record holds as much as a buffer: pieces are put together, large ones go as they are.
    Buffer record;
    std::string_view bytes = pieces[first];
    if (bytes.size() < Buffer::kSize && first + 1 < pieces.size()) {
      record = reactor()->BorrowBuffer();
      bytes = {record.data(), Gather(pieces, first, record.data(), Buffer::kSize)};
    }
    absl::Status written = co_await Write(bytes);
    if (!written.ok()) co_return written;
    Consume(&pieces, &first, bytes.size());
  }
  co_return absl::OkStatus();
}

// --- TLS
// ------------------------------------------------------------------------------------------

base::Task<absl::Status> Stream::StartTlsServer(std::shared_ptr<TlsContext> context,
                                                absl::Duration timeout) {
  return StartTls(std::move(context), {}, timeout);
}

base::Task<absl::Status> Stream::StartTlsClient(std::shared_ptr<TlsContext> context,
                                                std::string server_name, absl::Duration timeout) {
  return StartTls(std::move(context), {.name = std::move(server_name), .dane = {}}, timeout);
}

base::Task<absl::Status> Stream::StartTlsClient(std::shared_ptr<TlsContext> context, TlsPeer peer,
                                                absl::Duration timeout) {
  return StartTls(std::move(context), std::move(peer), timeout);
}

base::Task<absl::Status> Stream::StartTls(std::shared_ptr<TlsContext> context, TlsPeer peer,
                                          absl::Duration timeout) {
  if (closed()) co_return ClosedHere();
  if (tls_) co_return base::FailedPrecondition("TLS is already active");
  auto made = TlsConnection::New(*context, fd(), std::move(peer));
  if (!made.ok()) co_return made.status();
  tls_.emplace(*std::move(made));
  const absl::Duration deadline = reactor()->Now() + timeout;
  while (true) {
    if (closed()) co_return ClosedHere();
    const auto step = tls_->Handshake();
    if (!step.ok()) co_return step.status();
    if (*step == TlsConnection::Step::kDone) co_return absl::OkStatus();
    const auto direction = *step == TlsConnection::Step::kWantRead ? Descriptor::Direction::kRead
                                                                   : Descriptor::Direction::kWrite;
    absl::Status ready = co_await AwaitUntil(direction, deadline);
    if (!ready.ok()) co_return base::Annotate(ready, "TLS handshake");
  }
}

// --- The end
// --------------------------------------------------------------------------------------

base::Task<void> Stream::Shutdown(absl::Duration linger) {
  if (closed()) co_return;
  if (tls_) tls_->Shutdown();
  ::shutdown(fd(), SHUT_WR);
  const absl::Duration deadline = reactor()->Now() + linger;
  while (linger > absl::ZeroDuration() && !closed()) {
    absl::Status ready = co_await AwaitUntil(Descriptor::Direction::kRead, deadline);
    if (!ready.ok() || closed()) break;
    const Buffer waste = reactor()->BorrowBuffer();
    const ssize_t got = recv(fd(), waste.data(), Buffer::kSize, 0);
    if (got == 0 || (got < 0 && !WouldBlock(errno))) break;
    if (reactor()->Now() >= deadline) break;
  }
  Close();
}

void Stream::Close() {
  if (closed()) return;
  if (tls_) tls_->Shutdown();
  descriptor_.Close();
}

}  // namespace godwit::net

#include "libs/net/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "libs/base/status.h"
#include "libs/net/descriptor.h"
#include "libs/net/proxy.h"

namespace godwit::net {
namespace {

// Connections taken in one turn of the loop, so that a flood does not starve the sessions.
constexpr int kAcceptBatch = 32;

absl::Status ListenError(const Endpoint& endpoint, std::string_view what, int error) {
  std::string text = endpoint.ToString();
  text += ": ";
  text += what;
  text += ": ";
  text += std::strerror(error);
  switch (error) {
    case EADDRINUSE: return base::AlreadyExists(text);
    case EACCES:
    case EPERM: return base::PermissionDenied(text);
    case EMFILE:
    case ENFILE: return base::ResourceExhausted(text);
    default: return base::Unavailable(text);
  }
}

absl::StatusOr<int> OpenSocket(const Endpoint& endpoint, bool shared) {
  sockaddr_storage name;
  const socklen_t size = endpoint.ToSockaddr(&name);
  const int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ListenError(endpoint, "socket", errno);
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (name.ss_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (bind(fd, reinterpret_cast<sockaddr*>(&name), size) == 0) return fd;
  const int error = errno;
  close(fd);
  return ListenError(endpoint, "bind", error);
}

// "Every address" is [::] with IPv4 mapped into it, but 0.0.0.0 on a machine without IPv6.
Endpoint OnThisMachine(const Endpoint& wanted) {
  if (wanted.address != base::IpAddress::Parse("::")) return wanted;
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Endpoint{base::IpAddress(), wanted.port};
  close(fd);
  return wanted;
}

// SO_REUSEPORT lets a second process of the same user take a share of our connections in silence;
// a socket without it finds that the port is taken.
absl::Status CheckFree(const Endpoint& endpoint) {
  const auto probe = OpenSocket(endpoint, /*shared=*/false);
  if (!probe.ok()) return probe.status();
  close(*probe);
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> BoundTo(int fd, const Endpoint& wanted) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return ListenError(wanted, "getsockname", errno);
  }
  return Endpoint{wanted.address, Endpoint::FromSockaddr(name).port};
}

bool IsExhaustion(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Takes what belongs to the header from the socket, and no byte more.
ProxyResult FeedProxyParser(int fd, ProxyParser* parser) {
  char bytes[256];
  const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK);
  if (got == 0) return ProxyMalformed{"closed before the header"};
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return ProxyNeedMore();
    return ProxyMalformed{"connection lost"};
  }
  std::string_view rest(bytes, static_cast<size_t>(got));
  ProxyResult result = parser->Next(&rest);
  const size_t used = static_cast<size_t>(got) - rest.size();
  if (recv(fd, bytes, used, 0) != static_cast<ssize_t>(used)) {
    return ProxyMalformed{"connection lost"};
  }
  return result;
}

}  // namespace

// The socket of one reactor. Everything but the counters on its thread.
class Listener::Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(Reactor* reactor, int fd, std::shared_ptr<const ListenOptions> options,
           std::shared_ptr<const Handler> handler, size_t limit)
      : reactor_(reactor),
        fd_(fd),
        options_(std::move(options)),
        handler_(std::move(handler)),
        limit_(limit) {}
  ~Acceptor() {
    if (fd_ >= 0) close(fd_);
  }

  Reactor* reactor() const { return reactor_; }
  void Open();
  void SetPaused(bool paused);
  void CloseSocket();
  void AddStats(ListenerStats* to) const;

 private:
  bool MayAccept() const {
    return descriptor_ && !descriptor_->closed() && !paused_ && open_.load() < limit_;
  }
  void StartLoop();
  static base::Task<void> Loop(std::shared_ptr<Acceptor> self);
  // False when the process has no descriptors left.
  bool AcceptBatch();
  void Take(int fd);
  std::shared_ptr<void> NewLease();
  static base::Task<void> ReadProxyHeader(std::shared_ptr<Acceptor> self,
                                          std::unique_ptr<Stream> stream);
  bool IsTrustedProxy(const base::IpAddress& address) const;

  Reactor* const reactor_;
  int fd_;  // until Open()
  const std::shared_ptr<const ListenOptions> options_;
  const std::shared_ptr<const Handler> handler_;
  const size_t limit_;
  std::optional<Descriptor> descriptor_;
  bool paused_ = false;
  bool looping_ = false;
  std::atomic<uint64_t> accepted_{0};
  std::atomic<uint64_t> open_{0};
  std::atomic<uint64_t> proxy_refused_{0};
  std::atomic<uint64_t> proxy_malformed_{0};
  std::atomic<uint64_t> exhausted_{0};
  std::atomic<uint64_t> at_bound_{0};
};

void Listener::Acceptor::Open() {
  descriptor_.emplace(reactor_, std::exchange(fd_, -1));
  StartLoop();
}

void Listener::Acceptor::SetPaused(bool paused) {
  paused_ = paused;
  // Ends the wait, so that the loop sees it.
  if (paused && looping_) descriptor_->Wake();
  StartLoop();
}

void Listener::Acceptor::CloseSocket() {
  if (descriptor_) descriptor_->Close();
}

void Listener::Acceptor::AddStats(ListenerStats* to) const {
  to->accepted += accepted_;
  to->open += open_;
  to->proxy_refused += proxy_refused_;
  to->proxy_malformed += proxy_malformed_;
  to->exhausted += exhausted_;
  to->at_bound += at_bound_;
}

// The loop ends whenever it may not accept; whoever changes that starts it again.
void Listener::Acceptor::StartLoop() {
  if (!looping_ && MayAccept()) base::Spawn(Loop(shared_from_this()));
}

base::Task<void> Listener::Acceptor::Loop(std::shared_ptr<Acceptor> self) {
  self->looping_ = true;
  while (self->MayAccept()) {
    const auto outcome = co_await self->descriptor_->Wait(
        Descriptor::Direction::kRead, absl::InfiniteDuration(), /*wakeable=*/true);
    if (outcome != Descriptor::Outcome::kReady || !self->MayAccept()) continue;
    const bool descriptors_left = self->AcceptBatch();
    if (descriptors_left) continue;
    // Without a rest the loop would spin: the connection stays in the backlog, readable.
    ++self->exhausted_;
    co_await self->reactor_->Sleep(self->options_->exhausted_pause);
  }
  self->looping_ = false;
}

bool Listener::Acceptor::AcceptBatch() {
  for (int i = 0; i < kAcceptBatch && MayAccept(); ++i) {
    const int fd = accept4(descriptor_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return !IsExhaustion(errno);
    Take(fd);
  }
  return true;
}

void Listener::Acceptor::Take(int fd) {
  ++accepted_;
  auto stream = std::make_unique<Stream>(reactor_, fd);
  stream->Hold(NewLease());
  if (open_.load() >= limit_) ++at_bound_;
  if (!options_->proxy_protocol) {
    (*handler_)(std::move(stream));
  } else if (IsTrustedProxy(stream->peer().address)) {
    base::Spawn(ReadProxyHeader(shared_from_this(), std::move(stream)));
  } else {
    ++proxy_refused_;
  }
}

std::shared_ptr<void> Listener::Acceptor::NewLease() {
  ++open_;
  // Released with the stream, on this thread.
  return std::shared_ptr<void>(nullptr, [self = shared_from_this()](void*) {
    --self->open_;
    self->StartLoop();
  });
}

bool Listener::Acceptor::IsTrustedProxy(const base::IpAddress& address) const {
  const auto& sources = options_->proxy_sources;
  return std::any_of(sources.begin(), sources.end(),
                     [&](const Network& network) { return network.Contains(address); });
}

base::Task<void> Listener::Acceptor::ReadProxyHeader(std::shared_ptr<Acceptor> self,
                                                     std::unique_ptr<Stream> stream) {
  ProxyParser parser;
  const absl::Duration deadline = self->reactor_->Now() + self->options_->proxy_timeout;
  ProxyResult result = ProxyNeedMore();
  while (std::holds_alternative<ProxyNeedMore>(result)) {
    const Ready ready = co_await stream->WaitReadable(deadline - self->reactor_->Now());
    if (ready == Ready::kWoken) continue;
    if (ready == Ready::kReadable) result = FeedProxyParser(stream->fd(), &parser);
    if (ready != Ready::kReadable) result = ProxyMalformed{"too slow"};
  }
  const auto* header = std::get_if<ProxyHeader>(&result);
  if (header == nullptr) {
    ++self->proxy_malformed_;
    co_return;
  }
  if (header->has_addresses) stream->set_addresses(header->source, header->destination);
  if (self->descriptor_->closed()) co_return;
  (*self->handler_)(std::move(stream));
}

// --- Listener
// -------------------------------------------------------------------------------------

namespace {

// Who may say on whose behalf it connects. No proxies stand in more than the widest private
// networks, 10.0.0.0/8 (RFC 1918) and fc00::/7 (RFC 4193); wider than that is "anybody".
absl::Status CheckProxySources(const std::vector<Network>& sources) {
  if (sources.empty()) {
    return base::InvalidArgument("a PROXY protocol listener needs the sources it trusts");
  }
  for (const Network& source : sources) {
    const int widest = source.address.is_v4() ? 8 : 7;
    if (source.prefix_bits >= widest) continue;
    return base::InvalidArgument(
        "PROXY protocol source " + source.address.ToString() + "/" +
        std::to_string(source.prefix_bits) + " is wider than /" + std::to_string(widest) +
        ": everybody in it could claim any client address; name the proxies");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(ReactorPool* pool, ListenOptions options,
                                                          Handler handler) {
  std::vector<Reactor*> reactors;
  for (size_t i = 0; i < pool->size(); ++i) reactors.push_back(pool->at(i));
  return StartOn(reactors, std::move(options), std::move(handler));
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(Reactor* reactor, ListenOptions options,
                                                          Handler handler) {
  return StartOn({reactor}, std::move(options), std::move(handler));
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::StartOn(const std::vector<Reactor*>& reactors,
                                                            ListenOptions options,
                                                            Handler handler) {
  if (options.proxy_protocol) GODWIT_RETURN_IF_ERROR(CheckProxySources(options.proxy_sources));
  std::unique_ptr<Listener> listener(new Listener());
  Endpoint endpoint = OnThisMachine(options.endpoint);
  if (endpoint.port != 0) GODWIT_RETURN_IF_ERROR(CheckFree(endpoint));
  const auto shared_options = std::make_shared<const ListenOptions>(std::move(options));
  const auto shared_handler = std::make_shared<const Handler>(std::move(handler));
  const size_t limit = std::max<size_t>(1, shared_options->max_connections / reactors.size());
  for (Reactor* reactor : reactors) {
    GODWIT_ASSIGN_OR_RETURN(const int fd, OpenSocket(endpoint, /*shared=*/true));
    listener->acceptors_.push_back(
        std::make_shared<Acceptor>(reactor, fd, shared_options, shared_handler, limit));
    GODWIT_ASSIGN_OR_RETURN(endpoint, BoundTo(fd, endpoint));
    if (listen(fd, shared_options->backlog) != 0) return ListenError(endpoint, "listen", errno);
  }
  listener->endpoint_ = endpoint;
  for (const auto& each : listener->acceptors_) {
    each->reactor()->Post([each] { each->Open(); });
  }
  return listener;
}

Listener::~Listener() { Close(); }

void Listener::Pause() {
  for (const auto& each : acceptors_) each->reactor()->Post([each] { each->SetPaused(true); });
}

void Listener::Resume() {
  for (const auto& each : acceptors_) each->reactor()->Post([each] { each->SetPaused(false); });
}

void Listener::Close() {
  for (const auto& each : acceptors_) each->reactor()->Post([each] { each->CloseSocket(); });
}

ListenerStats Listener::stats() const {
  ListenerStats stats;
  for (const auto& each : acceptors_) each->AddStats(&stats);
  return stats;
}

}  // namespace godwit::net

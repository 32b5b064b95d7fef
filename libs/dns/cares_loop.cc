#include "libs/dns/cares_loop.h"

#include <ares.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/dns/chain.h"

namespace godwit::dns {
namespace {

// A channel asks from one UDP port; after this many queries a new one takes its place.
constexpr int kQueriesAChannel = 64;
constexpr int kLongestWaitMs = 1000;

void InitAresOnce() {
  static const int result = ares_library_init(ARES_LIB_INIT_ALL);
  GODWIT_CHECK(result == ARES_SUCCESS);
}

std::string RcodeText(uint8_t rcode) {
  switch (rcode) {
    case 1: return "FORMERR";
    case 2: return "SERVFAIL";
    case 4: return "NOTIMP";
    case 5: return "REFUSED";
    default: return "rcode " + std::to_string(rcode);
  }
}

}  // namespace

// The c-ares channel of one server. c-ares does UDP, timeouts, matching of ids, and TCP when an
// answer is truncated; which server is asked how often is ours to decide, so that we know whose AD
// bit we have.
class CaresResolver::Loop::Channel {
 public:
  Channel(Loop* loop, const Server& server, absl::Duration timeout) : loop_(loop) {
    ares_options options = {};
    // NOCHECKRESP: SERVFAIL and such come to us. EDNS: answers up to ednspsz are taken over UDP.
    options.flags =
        ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS;
    options.timeout = static_cast<int>(absl::ToInt64Milliseconds(timeout));
    options.tries = 1;
    options.ednspsz = 1232;
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
      auto* channel = static_cast<Channel*>(self);
      channel->loop_->WatchSocket(channel, socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    char lookups[] = "b";
    options.lookups = lookups;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                     ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS;
    GODWIT_CHECK(ares_init_options(&channel_, &options, mask) == ARES_SUCCESS);
    SetServer(server);
  }
  ~Channel() { ares_destroy(channel_); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void Send(std::unique_ptr<Query> query) {
    ++sent_;
    ++in_flight_;
    const std::string& wire = query->wire;
    const auto* bytes = reinterpret_cast<const unsigned char*>(wire.data());
    ares_send(channel_, bytes, static_cast<int>(wire.size()), &OnAnswer,
              new Attempt{this, std::move(query)});
  }
  void Process(int read, int write) { ares_process_fd(channel_, read, write); }
  // Lowers `*limit_ms` to when c-ares wants to look at its timeouts.
  void LowerTimeout(int* limit_ms) const {
    timeval buffer;
    const timeval* wait = ares_timeout(channel_, nullptr, &buffer);
    if (wait == nullptr) return;
    const auto ms = static_cast<int>(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
    *limit_ms = std::min(*limit_ms, ms);
  }
  bool worn_out() const { return worn_out_ || sent_ >= kQueriesAChannel; }
  bool idle() const { return in_flight_ == 0; }

 private:
  struct Attempt {
    Channel* channel;
    std::unique_ptr<Query> query;
  };

  void SetServer(const Server& server) {
    ares_addr_port_node node = {};
    node.family = server.address.is_v4() ? AF_INET : AF_INET6;
    const std::string_view bytes = server.address.bytes();
    std::memcpy(&node.addr, bytes.data(), bytes.size());
    node.udp_port = node.tcp_port = server.port;
    GODWIT_CHECK(ares_set_servers_ports(channel_, &node) == ARES_SUCCESS);
  }

  static void OnAnswer(void* arg, int status, int, unsigned char* bytes, int size) {
    std::unique_ptr<Attempt> attempt(static_cast<Attempt*>(arg));
    Channel* channel = attempt->channel;
    --channel->in_flight_;
    absl::StatusOr<WireMessage> message = base::Unavailable(ares_strerror(status));
    if (status == ARES_SUCCESS) {
      message = ParseMessage({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
    }
    // c-ares has answered FORMERR, SERVFAIL and NOTIMP by turning EDNS off for all of the channel.
    channel->worn_out_ |= message.ok() && message->rcode != 0 && message->rcode != kRcodeNoDomain;
    channel->loop_->EndAttempt(std::move(attempt->query), std::move(message));
  }

  Loop* loop_;
  ares_channel channel_ = nullptr;
  int sent_ = 0;
  int in_flight_ = 0;
  bool worn_out_ = false;
};

CaresResolver::Loop::Loop(const CaresOptions& options) : options_(options) {
  InitAresOnce();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  GODWIT_CHECK(epoll_ >= 0 && wake_ >= 0);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = wake_;
  GODWIT_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
  current_.resize(options_.servers.size());
  thread_ = std::thread([this] { Run(); });
}

CaresResolver::Loop::~Loop() {
  stopping_ = true;
  Wake();
  thread_.join();
  close(epoll_);
  close(wake_);
}

base::Completion<CaresResolver::Loop::Outcome> CaresResolver::Loop::Ask(base::DnsQuestion question,
                                                                        std::string wire) {
  auto query = std::make_unique<Query>();
  query->question = std::move(question);
  query->wire = std::move(wire);
  base::Completion<Outcome> done = query->done;
  if (in_flight_.fetch_add(1) >= options_.max_in_flight) {
    End(std::move(query), base::Unavailable("too many questions in flight"));
    return done;
  }
  {
    std::lock_guard lock(mutex_);
    new_.push_back(std::move(query));
  }
  Wake();
  return done;
}

void CaresResolver::Loop::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
}

void CaresResolver::Loop::Run() {
  while (!stopping_) {
    TakeNew();
    Wait();
    retired_.remove_if([](const auto& channel) { return channel->idle(); });
  }
  // Destroying a channel calls back for each of its queries; these end with Cancelled.
  current_.clear();
  retired_.clear();
  TakeNew();
}

void CaresResolver::Loop::TakeNew() {
  std::vector<std::unique_ptr<Query>> taken;
  {
    std::lock_guard lock(mutex_);
    taken.swap(new_);
  }
  for (auto& query : taken) query->server = preferred_;
  for (auto& query : std::exchange(again_, {})) taken.push_back(std::move(query));
  for (auto& query : taken) StartAttempt(std::move(query));
}

void CaresResolver::Loop::Wait() {
  int timeout_ms = again_.empty() ? kLongestWaitMs : 0;
  std::vector<Channel*> channels;
  for (const auto& channel : current_) {
    if (channel) channels.push_back(channel.get());
  }
  for (const auto& channel : retired_) channels.push_back(channel.get());
  for (Channel* channel : channels) channel->LowerTimeout(&timeout_ms);

  std::array<epoll_event, 32> events;
  const int count = epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    const uint32_t what = events[static_cast<size_t>(i)].events;
    if (fd == wake_) {
      uint64_t drained = 0;
      [[maybe_unused]] const ssize_t size = read(wake_, &drained, sizeof drained);
    } else if (const auto found = sockets_.find(fd); found != sockets_.end()) {
      const bool write_only = (what & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0;
      found->second->Process(write_only ? ARES_SOCKET_BAD : fd,
                             (what & EPOLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
    }
  }
  for (Channel* channel : channels) channel->Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void CaresResolver::Loop::WatchSocket(Channel* channel, int socket, bool readable, bool writable) {
  if (!readable && !writable) {
    sockets_.erase(socket);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
    return;
  }
  epoll_event event = {};
  event.events = (readable ? uint32_t{EPOLLIN} : 0) | (writable ? uint32_t{EPOLLOUT} : 0);
  event.data.fd = socket;
  const bool is_new = sockets_.insert_or_assign(socket, channel).second;
  epoll_ctl(epoll_, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
}

CaresResolver::Loop::Channel* CaresResolver::Loop::ChannelFor(size_t server) {
  auto& channel = current_[server];
  if (channel && channel->worn_out()) retired_.push_back(std::move(channel));
  if (!channel) {
    channel = std::make_unique<Channel>(this, options_.servers[server], options_.timeout);
  }
  return channel.get();
}

void CaresResolver::Loop::StartAttempt(std::unique_ptr<Query> query) {
  if (stopping_) return End(std::move(query), base::Cancelled("the resolver stops"));
  ++query->attempts;
  ChannelFor(query->server)->Send(std::move(query));
}

void CaresResolver::Loop::EndAttempt(std::unique_ptr<Query> query,
                                     absl::StatusOr<WireMessage> message) {
  const Server& server = options_.servers[query->server];
  query->server_answered = message.ok();
  if (!message.ok()) {
    query->error = base::Message(message.status());
  } else if (!Answers(*message, query->question)) {
    query->error = "the answer is to another question";
  } else if (message->truncated) {
    query->error = "truncated over TCP";
  } else if (message->rcode != kRcodeNoError && message->rcode != kRcodeNoDomain) {
    query->error = RcodeText(message->rcode);
  } else {
    preferred_ = query->server;
    return End(std::move(query), Reply{*std::move(message), server.trusted});
  }
  query->error += " from " + server.address.ToString();
  if (!MayTryAgain(*query)) {
    std::string error = query->error;
    return End(std::move(query), base::Unavailable(error));
  }
  query->server = (query->server + 1) % options_.servers.size();
  again_.push_back(std::move(query));  // not sent from here: c-ares is in the middle of something
}

// Silence may be a lost packet: ask on, up to `attempts`. A server that says no will say no again:
// only the others are asked.
bool CaresResolver::Loop::MayTryAgain(const Query& query) const {
  if (stopping_ || query.attempts >= options_.attempts) return false;
  return !query.server_answered || query.attempts < static_cast<int>(options_.servers.size());
}

void CaresResolver::Loop::End(std::unique_ptr<Query> query, Outcome outcome) {
  in_flight_.fetch_sub(1);
  query->done.Set(std::move(outcome));
}

}  // namespace godwit::dns

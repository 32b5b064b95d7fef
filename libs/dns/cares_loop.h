#pragma once

// The thread of CaresResolver: sends queries with c-ares, waits, tries again. Private to libs/dns.

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/dns_answer.h"
#include "libs/base/task.h"
#include "libs/dns/cares_resolver.h"
#include "libs/dns/wire.h"

namespace godwit::dns {

class CaresResolver::Loop {
 public:
  struct Reply {
    WireMessage message;
    bool trusted = false;
  };
  using Outcome = absl::StatusOr<Reply>;

  explicit Loop(const CaresOptions& options);
  // Ends what is in flight with Cancelled.
  ~Loop();

  // Any thread. A message that answers the question with NOERROR or NXDOMAIN, or Unavailable.
  base::Completion<Outcome> Ask(base::DnsQuestion question, std::string wire);

 private:
  class Channel;
  struct Query {
    base::DnsQuestion question;
    std::string wire;
    base::Completion<Outcome> done;
    int attempts = 0;
    size_t server = 0;
    bool server_answered = false;  // the last attempt brought an answer, if a bad one
    std::string error;
  };

  void Run();
  void Wait();
  void TakeNew();
  void StartAttempt(std::unique_ptr<Query> query);
  void EndAttempt(std::unique_ptr<Query> query, absl::StatusOr<WireMessage> message);
  bool MayTryAgain(const Query& query) const;
  void End(std::unique_ptr<Query> query, Outcome outcome);
  Channel* ChannelFor(size_t server);
  void WatchSocket(Channel* channel, int socket, bool readable, bool writable);
  void Wake();

  const CaresOptions options_;
  int epoll_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<size_t> in_flight_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Query>> new_;  // under mutex_

  // Of the thread.
  std::vector<std::unique_ptr<Channel>> current_;  // one a server
  std::list<std::unique_ptr<Channel>> retired_;    // until their last query has ended
  std::unordered_map<int, Channel*> sockets_;
  std::vector<std::unique_ptr<Query>> again_;  // for another attempt
  size_t preferred_ = 0;  // the server to ask first: the last one that answered in time

  std::thread thread_;
};

}  // namespace godwit::dns

#include "libs/hint/hint_sender.h"

#include <fcntl.h>
#include <grpcpp/server_context.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "libs/base/status.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "libs/rpc/server.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_clock.h"
#include "proto/godwit/hint/v1/hint.grpc.pb.h"

namespace godwit::hint {
namespace {

using Changes = std::vector<std::pair<int64_t, int64_t>>;

// A gateway that answers its first call only when it is told to.
class Gateway : public v1::Hints::CallbackService {
 public:
  explicit Gateway(base::Executor* executor) : executor_(executor) {}

  grpc::ServerUnaryReactor* Hint(grpc::CallbackServerContext* context, const v1::HintRequest* in,
                                 v1::HintResponse*) override {
    return rpc::ServeUnary(context, executor_, Take(in));
  }
  base::Task<absl::Status> Take(const v1::HintRequest* in) {
    Changes changes;
    for (const auto& change : in->changes()) {
      changes.emplace_back(change.account_id(), change.modseq());
    }
    {
      std::lock_guard lock(mutex_);
      calls_.push_back(std::move(changes));
    }
    if (++begun == 1) co_await release;
    co_return absl::OkStatus();
  }
  std::vector<Changes> calls() {
    std::lock_guard lock(mutex_);
    return calls_;
  }

  std::atomic<int> begun{0};
  base::Completion<bool> release;

 private:
  base::Executor* const executor_;
  std::mutex mutex_;
  std::vector<Changes> calls_;
};

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) absl::SleepFor(absl::Milliseconds(10));
  return condition();
}

class World {
 public:
  World()
      : authority_(testing::MakeScratchFolder()), gateway(&reactor_), sender(Options(), &reactor_) {
    reactor_.Start();
    rpc::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls = Files("imap-gateway");
    options.callers = {{"/godwit.hint.v1.Hints/Hint", {"smtp-ingress"}}};
    auto started = rpc::Server::Start(std::move(options), {&gateway});
    REQUIRE(started.ok());
    server = *std::move(started);
    address = "127.0.0.1:" + std::to_string(server->port());
  }
  ~World() {
    gateway.release.Set(true);
    Finish();
    server.reset();
    reactor_.Stop();
    reactor_.Join();
  }
  // Returns when the sender has nothing under way.
  void Finish() {
    if (std::exchange(finished_, true)) return;
    absl::Notification done;
    reactor_.Post([&] { base::Spawn(Finished(&done)); });
    done.WaitForNotification();
  }

 private:
  base::Task<void> Finished(absl::Notification* done) {
    co_await sender.Finish();
    done->Notify();
  }
  rpc::TlsFiles Files(const std::string& name) {
    const testing::LeafFiles leaf = authority_.Issue({.names = {name}});
    rpc::TlsFiles files;
    files.ca_file = authority_.ca_file();
    files.certificate_file = leaf.chain_file;
    files.key_file = leaf.key_file;
    return files;
  }
  HintSenderOptions Options() {
    HintSenderOptions options;
    options.tls = Files("smtp-ingress");
    options.max_waiting = 2;
    options.clock = &clock;
    options.dropped = dropped;
    return options;
  }

  testing::CertificateAuthority authority_;
  net::Reactor reactor_;
  bool finished_ = false;

 public:
  testing::FakeClock clock;
  obs::Counter dropped{"test_hints_dropped_total", "Of these tests."};
  Gateway gateway;
  HintSender sender;
  std::unique_ptr<rpc::Server> server;
  std::string address;
};

TEST_CASE("Hints gather while a call is under way, one entry an account, within the bound",
          "[hint][unit]") {
  World world;
  world.sender.Send(1, 10, {world.address});
  REQUIRE(Eventually([&] { return world.gateway.begun == 1; }));
  world.sender.Send(2, 20, {world.address});
  world.sender.Send(3, 31, {world.address});
  world.sender.Send(3, 30, {world.address});  // older: changes nothing
  world.sender.Send(2, 21, {world.address});
  world.sender.Send(4, 40, {world.address});  // over max_waiting: dropped
  REQUIRE(Eventually([&] { return world.sender.Stats().dropped == 1; }));
  world.gateway.release.Set(true);
  REQUIRE(Eventually([&] { return world.sender.Stats().sent == 3; }));
  const auto calls = world.gateway.calls();
  REQUIRE(calls.size() == 2);
  CHECK(calls[0] == Changes{{1, 10}});
  CHECK(calls[1] == Changes{{2, 21}, {3, 31}});
}

TEST_CASE("Between two calls to a gateway there are 20 ms", "[hint][unit]") {
  World world;
  world.gateway.release.Set(true);
  const absl::Time begin = absl::Now();
  for (int64_t modseq = 1; modseq <= 100; ++modseq) {
    world.sender.Send(1, modseq, {world.address});
    absl::SleepFor(absl::Milliseconds(1));
  }
  REQUIRE(Eventually([&] {
    const auto calls = world.gateway.calls();
    return !calls.empty() && calls.back() == Changes{{1, 100}};
  }));
  const double most = absl::FDivDuration(absl::Now() - begin, absl::Milliseconds(20)) + 1;
  CHECK(static_cast<double>(world.gateway.calls().size()) <= most);
}

TEST_CASE("A gateway that is gone costs its hints and nothing else", "[hint][unit]") {
  World world;
  world.gateway.release.Set(true);
  world.sender.Send(1, 10, {"127.0.0.1:1"});
  REQUIRE(Eventually([&] { return world.sender.Stats().dropped == 1; }));
  world.sender.Send(1, 10, {"webmail-api@" + world.address});  // another daemon's certificate
  REQUIRE(Eventually([&] { return world.sender.Stats().dropped == 2; }));
  CHECK(world.gateway.begun == 0);
  world.sender.Send(1, 11, {"imap-gateway@" + world.address});
  REQUIRE(Eventually([&] { return world.sender.Stats().sent == 1; }));
  world.sender.Send(1, 0, {world.address});  // nothing changed: nothing is said
  world.sender.Send(1, 12, {});
  CHECK(world.gateway.calls() == std::vector<Changes>{{{1, 11}}});
}

TEST_CASE("A gateway that was told nothing for ten minutes is forgotten", "[hint][unit]") {
  World world;
  world.gateway.release.Set(true);
  world.sender.Send(1, 10, {world.address});
  REQUIRE(Eventually([&] { return world.sender.Stats().sent == 1; }));
  CHECK(world.sender.Stats().gateways == 1);
  world.clock.Advance(absl::Minutes(9));
  world.sender.Send(1, 10, {"127.0.0.1:1"});
  REQUIRE(Eventually([&] { return world.sender.Stats().dropped == 1; }));
  CHECK(world.sender.Stats().gateways == 1);
  // The pause after a call is over some time.
  CHECK(Eventually([&] {
    const int64_t dropped = world.sender.Stats().dropped;
    world.clock.Advance(absl::Minutes(2));
    world.sender.Send(1, 11, {"127.0.0.1:1"});
    REQUIRE(Eventually([&] { return world.sender.Stats().dropped > dropped; }));
    return world.sender.Stats().gateways == 0;
  }));
}

// A call whose answer came behind the executor's end was never destroyed.
TEST_CASE("Finish waits for the call under way and drops what comes later", "[hint][unit]") {
  World world;
  world.sender.Send(1, 10, {world.address});
  REQUIRE(Eventually([&] { return world.gateway.begun == 1; }));
  std::thread finishing([&] { world.Finish(); });
  REQUIRE(Eventually([&] {
    world.sender.Send(2, 20, {world.address});
    return world.sender.Stats().dropped > 0;
  }));
  CHECK(world.sender.Stats().sent == 0);
  world.gateway.release.Set(true);
  finishing.join();
  CHECK(world.sender.Stats().sent > 0);
  CHECK(world.gateway.calls()[0] == Changes{{1, 10}});
}

// A gateway that was away for an hour filled the log with a line for each message.
TEST_CASE("A gateway that stays away is told of once a minute, with the numbers", "[hint][unit]") {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_NONBLOCK | O_CLOEXEC) == 0);
  obs::SetDescriptor(pipe[1]);
  World world;
  const double before = world.dropped.value();
  const auto fail = [&](int64_t times) {
    const int64_t all = world.sender.Stats().dropped + times;
    for (int64_t i = 0; i < times; ++i) {
      world.sender.Send(i, 10, {"127.0.0.1:1"});
      REQUIRE(Eventually([&] { return world.sender.Stats().dropped == all - times + i + 1; }));
    }
  };
  fail(3);
  world.clock.Advance(absl::Seconds(59));
  fail(2);
  world.clock.Advance(absl::Seconds(2));
  fail(1);
  obs::SetDescriptor(STDERR_FILENO);
  CHECK(world.dropped.value() == before + 6);

  std::string text(65536, '\0');
  const ssize_t size = ::read(pipe[0], text.data(), text.size());
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find(R"("calls":1,"hints":1)") != std::string::npos);
  CHECK(text.find(R"("calls":5,"hints":5)") != std::string::npos);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace godwit::hint

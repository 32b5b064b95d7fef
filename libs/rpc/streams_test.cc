// Client streams, server streams, and subscriptions to server streams.

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/rpc/rpc_fixture.h"

namespace godwit::rpc {
namespace {

using Code = absl::StatusCode;

TEST_CASE("A client stream carries many requests and one reply", "[rpc][net]") {
  World world;
  const int count = GENERATE(0, 1, 1000);
  const auto reply = world.Caller("bob").Collect(count);
  REQUIRE(reply.ok());
  CHECK(reply->size() == static_cast<size_t>(count));
}

// A message that took minutes to arrive was deferred at every attempt: the age of the connection to
// auth-verifier and its grace were up before the message had come.
TEST_CASE("A stream goes on beyond the age of its connection, for the grace", "[rpc][net]") {
  World world;
  ServerOptions options;
  options.max_connection_age = absl::Milliseconds(100);
  options.max_connection_grace = GENERATE(absl::Milliseconds(100), absl::Minutes(1));
  const bool is_long = options.max_connection_grace == absl::Minutes(1);
  world.Start(world.Stop(), options);
  const absl::Status end = world.Caller("bob").CollectUntilCut(absl::Seconds(is_long ? 1 : 20));
  CHECK(end.code() == (is_long ? Code::kOk : Code::kUnavailable));
}

TEST_CASE("A server may end a client stream early; Finish has the reason", "[rpc][net]") {
  World world;
  CHECK(world.Caller("bob").Collect(100000, 3).status() == base::OutOfRange("as asked"));
}

TEST_CASE("A refused client stream ends with the refusal", "[rpc][net]") {
  World world;
  CHECK(world.Caller("mallory").Collect(1000).status().code() == Code::kUnauthenticated);
}

TEST_CASE("A client stream that is dropped is cancelled", "[rpc][net]") {
  World world;
  Client bob = world.Caller("bob");
  CHECK(bob.CollectAndLeave());
  CHECK(Eventually([&] { return world.collect_ended(); }));
}

TEST_CASE("A server stream brings every response in order, then its status", "[rpc][net]") {
  World world;
  const int count = GENERATE(0, 1, 3000);
  const Code end = GENERATE(Code::kOk, Code::kDataLoss);
  const Received received = world.Caller("alice").Count(count, end);
  CHECK(received.end.code() == end);
  REQUIRE(received.texts.size() == static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) REQUIRE(std::stoi(received.texts[static_cast<size_t>(i)]) == i);
}

TEST_CASE("A refused server stream ends with the refusal", "[rpc][net]") {
  World world;
  const Received received = world.Caller("bob").Count(5);
  CHECK(received.texts.empty());
  CHECK(received.end.code() == Code::kUnauthenticated);
}

TEST_CASE("A slow reader holds the writer up instead of filling memory", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  alice.CountAndLeave(0, Client::Leave::kNeverReadMore);
  // Until it stands still: what flow control lets through is far below the million.
  int before = -1;
  CHECK(Eventually([&] {
    absl::SleepFor(absl::Milliseconds(200));
    return std::exchange(before, world.counted()) == world.counted() && before > 0;
  }));
  CHECK(world.counted() < 20000);
}

TEST_CASE("A server stream that the client leaves ends its handler", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  const auto leave = GENERATE(Client::Leave::kFinish, Client::Leave::kDrop);
  const Received received = alice.CountAndLeave(3, leave);
  CHECK(received.texts.size() == 3);
  if (leave == Client::Leave::kFinish) CHECK(received.end.code() == Code::kCancelled);
  CHECK(Eventually([&] {
    const int before = world.counted();
    absl::SleepFor(absl::Milliseconds(100));
    return world.counted() == before;
  }));
  CHECK(world.counted() < 1000000);
}

TEST_CASE("A handler that waits for something else learns that the client is gone", "[rpc][net]") {
  World world;
  const Received received = world.Caller("alice").Hold(absl::Milliseconds(300));
  CHECK(received.texts == std::vector<std::string>{"held"});
  CHECK(received.end.code() == Code::kDeadlineExceeded);
  CHECK(Eventually([&] { return world.held() == 0; }));
}

// --- Subscriptions

// A reactor that went right after its subscription was posted to by gRPC, which had not let the
// stream go yet: hence Subscription::End.
class Subscriber {
 public:
  Subscriber(Client* client, absl::Duration longest_pause) {
    reactor_.Start();
    end_ = client->Subscribe(&reactor_, longest_pause, [this](std::string) { ++received; });
  }
  ~Subscriber() {
    End();
    reactor_.Stop();
    reactor_.Join();
  }
  void End() {
    if (auto end = std::exchange(end_, nullptr)) end();
  }
  std::atomic<int> received{0};

 private:
  net::Reactor reactor_;
  std::function<void()> end_;
};

TEST_CASE("A subscription is opened again when its server comes back", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  Subscriber subscriber(&alice, absl::Milliseconds(200));
  CHECK(Eventually([&] { return subscriber.received == 1; }));
  const uint16_t port = world.Stop();
  absl::SleepFor(absl::Milliseconds(300));
  world.Start(port);
  CHECK(Eventually([&] { return subscriber.received == 2; }));
  CHECK(world.held() == 1);
}

TEST_CASE("A subscription outlives the age of its connections", "[rpc][net]") {
  World world;
  ServerOptions options;
  options.max_connection_age = absl::Milliseconds(200);
  options.max_connection_grace = absl::Milliseconds(100);
  world.Start(world.Stop(), options);
  Client alice = world.Caller("alice");
  Subscriber subscriber(&alice, absl::Milliseconds(100));
  CHECK(Eventually([&] { return subscriber.received >= 4; }));
}

TEST_CASE("A subscription that ends is cancelled, whether connected or waiting", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  Subscriber subscriber(&alice, absl::Seconds(100));
  CHECK(Eventually([&] { return world.held() == 1; }));
  const bool waiting = GENERATE(false, true);
  if (waiting) world.Stop();
  subscriber.End();
  CHECK(Eventually([&] { return world.held() == 0; }));
  if (waiting) world.Start(0);  // the World's end expects one
}

TEST_CASE("A subscription that is refused tries again, but seldom", "[rpc][net]") {
  World world;
  Client bob = world.Caller("bob");
  Subscriber subscriber(&bob, absl::Milliseconds(50));
  absl::SleepFor(absl::Milliseconds(200));
  CHECK(subscriber.received == 0);
}

}  // namespace
}  // namespace godwit::rpc

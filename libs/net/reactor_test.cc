#include "libs/net/reactor.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "libs/net/stream.h"

namespace godwit::net {
namespace {

Reactor::Options Quick() {
  Reactor::Options options;
  options.sweep_period = absl::Milliseconds(10);
  return options;
}

base::Task<bool> SleepFor(Reactor* reactor, absl::Duration duration) {
  const bool passed = co_await reactor->Sleep(duration);
  co_return passed;
}

base::Task<absl::Duration> Measure(Reactor* reactor, absl::Duration duration) {
  const absl::Duration before = reactor->Now();
  co_await reactor->Sleep(duration);
  co_return reactor->Now() - before;
}

TEST_CASE("Sleep takes as long as asked", "[net][reactor]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(Measure(&reactor, absl::Milliseconds(20))) >= absl::Milliseconds(20));
}

TEST_CASE("RunUntilDone works from another thread too", "[net][reactor]") {
  Reactor reactor;
  reactor.Start();
  CHECK(reactor.RunUntilDone(SleepFor(&reactor, absl::Milliseconds(1))));
  CHECK(reactor.RunUntilDone(SleepFor(&reactor, absl::ZeroDuration())));
}

base::Task<void> SleepInto(Reactor* reactor, absl::Duration duration, std::atomic<int>* passed) {
  const bool ok = co_await reactor->Sleep(duration);
  *passed = ok ? 1 : 0;
}

TEST_CASE("Stopping ends a long Sleep at once, with false", "[net][reactor]") {
  std::atomic<int> passed{-1};
  Reactor reactor;
  reactor.Start();
  base::SpawnOn(&reactor, SleepInto(&reactor, absl::Hours(1), &passed));
  reactor.Stop();
  reactor.Join();
  CHECK(passed == 0);
}

// An answer of the database behind the end left its coroutine in memory for ever.
TEST_CASE("Stopping waits a while for what comes from elsewhere", "[net][reactor]") {
  Reactor reactor;
  reactor.Start();
  base::Completion<bool> answer;
  std::atomic<bool> waits = false;
  std::atomic<bool> ended = false;
  const auto wait = [&]() -> base::Task<void> {
    waits = true;
    co_await answer;
    ended = true;
  };
  base::SpawnOn(&reactor, wait());
  while (!waits) absl::SleepFor(absl::Milliseconds(1));
  reactor.Stop();
  std::thread later([&] {
    absl::SleepFor(absl::Milliseconds(100));
    answer.Set(true);
  });
  reactor.Join();
  CHECK(ended);
  later.join();
}

TEST_CASE("Work posted after the end is dropped, and freed", "[net][reactor]") {
  auto token = std::make_shared<int>(1);
  Reactor reactor;
  reactor.Start();
  reactor.Stop();
  reactor.Join();
  reactor.Post([token] { *token = 2; });
  CHECK(*token == 1);
  CHECK(token.use_count() == 1);
}

base::Task<void> CancelSoon(Reactor* reactor, Timer* timer) {
  co_await reactor->Sleep(absl::Milliseconds(1));
  timer->Cancel();
}

base::Task<bool> WaitCancelled(Reactor* reactor) {
  Timer timer(reactor);
  base::Spawn(CancelSoon(reactor, &timer));
  const bool passed = co_await timer.Wait(absl::Hours(1));
  const bool again = co_await timer.Wait(absl::Milliseconds(1));
  co_return !passed && again;
}

TEST_CASE("A cancelled Timer says so and can be used again", "[net][reactor]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(WaitCancelled(&reactor)));
}

class Probe : public Reactor::Deadline {
 public:
  explicit Probe(Reactor* reactor) : reactor_(reactor) {}
  absl::Duration fired_at = absl::ZeroDuration();
  int fired = 0;
  Probe* disarms = nullptr;

 private:
  void OnDeadline() override {
    ++fired;
    fired_at = reactor_->Now();
    if (disarms != nullptr) disarms->Disarm();
  }
  Reactor* reactor_;
};

TEST_CASE("Deadlines never fire early, and once", "[net][reactor]") {
  Reactor reactor(Quick());
  const absl::Duration start = reactor.Now();
  std::vector<std::unique_ptr<Probe>> probes;
  // More than one turn of the wheel (64 sweeps of 10 ms).
  for (int i = 0; i < 80; ++i) {
    probes.push_back(std::make_unique<Probe>(&reactor));
    probes.back()->Arm(&reactor, absl::Milliseconds(10 * i));
  }
  reactor.RunUntilDone(SleepFor(&reactor, absl::Milliseconds(900)));
  for (int i = 0; i < 80; ++i) {
    CAPTURE(i);
    CHECK(probes[static_cast<size_t>(i)]->fired == 1);
    CHECK(probes[static_cast<size_t>(i)]->fired_at - start >= absl::Milliseconds(10 * i));
  }
}

TEST_CASE("A deadline that is disarmed, moved, infinite or gone does not fire", "[net][reactor]") {
  Reactor reactor(Quick());
  Probe disarmed(&reactor), moved(&reactor), infinite(&reactor);
  auto gone = std::make_unique<Probe>(&reactor);
  for (Probe* each : {&disarmed, &moved, gone.get()}) each->Arm(&reactor, absl::ZeroDuration());
  infinite.Arm(&reactor, absl::InfiniteDuration());
  disarmed.Disarm();
  moved.Arm(&reactor, absl::Hours(1));
  gone.reset();
  reactor.RunUntilDone(SleepFor(&reactor, absl::Milliseconds(60)));
  CHECK(disarmed.fired + moved.fired + infinite.fired == 0);
}

TEST_CASE("A deadline may disarm another of the same sweep", "[net][reactor]") {
  Reactor reactor(Quick());
  Probe one(&reactor), other(&reactor);
  one.disarms = &other;
  other.disarms = &one;
  one.Arm(&reactor, absl::ZeroDuration());
  other.Arm(&reactor, absl::ZeroDuration());
  reactor.RunUntilDone(SleepFor(&reactor, absl::Milliseconds(60)));
  CHECK(one.fired + other.fired == 1);
}

base::Task<bool> BuffersComeBack(Reactor* reactor) {
  char* first = nullptr;
  {
    const Buffer buffer = reactor->BorrowBuffer();
    first = buffer.data();
  }
  Buffer one = reactor->BorrowBuffer();
  Buffer two = reactor->BorrowBuffer();
  const bool reused = one.data() == first && two.data() != first;
  one = std::move(two);
  co_return reused;
}

TEST_CASE("Read buffers are pooled", "[net][reactor]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(BuffersComeBack(&reactor)));
}

TEST_CASE("A pool has its threads, and each reactor knows its own", "[net][reactor]") {
  ReactorPool::Options options;
  options.threads = 3;
  ReactorPool pool(options);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::atomic<int> right{0};
  for (size_t i = 0; i < pool.size(); ++i) {
    Reactor* reactor = pool.Next();
    reactor->Post([&, reactor] {
      std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      if (Reactor::Current() == reactor) ++right;
    });
  }
  for (size_t i = 0; i < pool.size(); ++i) {
    pool.at(i)->RunUntilDone(SleepFor(pool.at(i), absl::ZeroDuration()));
  }
  pool.Stop();
  pool.Stop();
  CHECK(threads.size() == 3);
  CHECK(right == 3);
  CHECK(Reactor::Current() == nullptr);
}

base::Task<void> ReadUntilClosed(std::unique_ptr<Stream> stream, std::atomic<int>* closed) {
  const Input input = co_await stream->Read(absl::InfiniteDuration());
  if (input.event == Ready::kClosed) ++*closed;
}

TEST_CASE("Stopping closes what is open, so that sessions end", "[net][reactor]") {
  std::atomic<int> closed{0};
  Reactor reactor;
  reactor.Start();
  reactor.Post([&] {
    auto [left, right] = Stream::Pair(&reactor);
    base::Spawn(ReadUntilClosed(std::move(left), &closed));
    base::Spawn(ReadUntilClosed(std::move(right), &closed));
  });
  reactor.Stop();
  reactor.Join();
  CHECK(closed == 2);
}

}  // namespace
}  // namespace godwit::net

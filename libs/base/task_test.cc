#include "libs/base/task.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace godwit::base {
namespace {

// A RunLoop on a thread of its own, which ends with the object.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.Run(); }) {}
  ~LoopThread() {
    loop_.Stop();
    thread_.join();
  }
  RunLoop* loop() { return &loop_; }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  RunLoop loop_;
  std::thread thread_;
};

Task<int> Immediately(int value) { co_return value; }

Task<int> Sum(int n) {
  int total = 0;
  for (int i = 1; i <= n; ++i) {
    const int value = co_await Immediately(i);
    total += value;
  }
  co_return total;
}

Task<int> Await(Completion<int> completion) {
  const int value = co_await completion;
  co_return value;
}

Task<void> Note(std::vector<std::string>* log, std::string text) {
  log->push_back(std::move(text));
  co_return;
}

Task<void> NoteAfter(Completion<int> completion, std::vector<int>* log) {
  const int value = co_await completion;
  log->push_back(value);
}

TEST_CASE("A task does nothing until it is awaited", "[base][unit]") {
  std::vector<std::string> log;
  auto first = Note(&log, "first");
  { auto never = Note(&log, "never awaited"); }
  CHECK(log.empty());
  Spawn(std::move(first));
  CHECK(log == std::vector<std::string>{"first"});
}

TEST_CASE("A task gives its value to the one that awaits it", "[base][unit]") {
  CHECK(RunBlocking(Immediately(7)) == 7);
  CHECK(RunBlocking(Sum(10)) == 55);
}

TEST_CASE("A long chain of tasks that end at once needs no stack", "[base][unit]") {
  // Symmetric transfer: resuming by a call would overflow the stack long before.
  CHECK(RunBlocking(Sum(20'000)) == 200'010'000);
}

Task<std::unique_ptr<int>> MakeUnique(std::unique_ptr<int> value) { co_return value; }

TEST_CASE("Values need not be copyable", "[base][unit]") {
  CHECK(*RunBlocking(MakeUnique(std::make_unique<int>(3))) == 3);
}

Task<void> HoldAcross(std::shared_ptr<int> token, Completion<int> completion) {
  const int value = co_await completion;
  *token = value;
}

TEST_CASE("A finished coroutine has let go of all it held", "[base][unit]") {
  auto token = std::make_shared<int>(0);
  Completion<int> completion;
  RunLoop loop;
  SpawnOn(&loop, HoldAcross(token, completion));
  loop.RunReady();
  CHECK(token.use_count() == 2);
  completion.Set(5);
  loop.RunReady();
  CHECK(token.use_count() == 1);
  CHECK(*token == 5);
}

TEST_CASE("A task that was never started lets go of its parameters", "[base][unit]") {
  auto token = std::make_shared<int>(0);
  { const auto task = HoldAcross(token, Completion<int>()); }
  CHECK(token.use_count() == 1);
}

TEST_CASE("A completion may be set before it is awaited", "[base][unit]") {
  const Completion<int> completion;
  completion.Set(4);
  CHECK(RunBlocking(Await(completion)) == 4);
}

TEST_CASE("Only the first Set of a completion counts", "[base][unit]") {
  const Completion<int> completion;
  completion.Set(1);
  completion.Set(2);
  CHECK(RunBlocking(Await(completion)) == 1);
}

TEST_CASE("A completion resumes through the executor, not inside Set", "[base][unit]") {
  RunLoop loop;
  std::vector<int> log;
  const Completion<int> completion;
  SpawnOn(&loop, NoteAfter(completion, &log));
  loop.RunReady();
  completion.Set(9);
  CHECK(log.empty());
  loop.RunReady();
  CHECK(log == std::vector<int>{9});
}

Task<std::thread::id> ThreadAfter(Completion<int> completion) {
  co_await completion;
  co_return std::this_thread::get_id();
}

TEST_CASE("A completion set on another thread resumes on the awaiting one", "[base][unit]") {
  for (int i = 0; i < 500; ++i) {  // either side may come first
    const Completion<int> completion;
    std::thread setter([completion] { completion.Set(1); });
    const auto resumed_on = RunBlocking(ThreadAfter(completion));
    setter.join();
    REQUIRE(resumed_on == std::this_thread::get_id());
  }
}

Task<void> Report(Completion<std::thread::id> to) {
  to.Set(std::this_thread::get_id());
  co_return;
}

Task<std::thread::id> AwaitId(Completion<std::thread::id> completion) {
  const auto id = co_await completion;
  co_return id;
}

TEST_CASE("SpawnOn starts a task on the executor's thread", "[base][unit]") {
  LoopThread other;
  const Completion<std::thread::id> id;
  SpawnOn(other.loop(), Report(id));
  CHECK(RunBlocking(AwaitId(id)) == other.id());
}

// Hops to `loop` and back, as a call of the database pool does.
Task<int> AskThere(RunLoop* loop, int value) {
  Completion<int> completion;
  loop->Post([completion, value] { completion.Set(value * 2); });
  const int answer = co_await completion;
  co_return answer;
}

TEST_CASE("WhenAll gives the results in the order of the tasks", "[base][unit]") {
  LoopThread a;
  LoopThread b;
  std::vector<Task<int>> tasks;
  tasks.reserve(100);
  for (int i = 0; i < 100; ++i) {
    tasks.push_back(i % 3 == 0   ? AskThere(a.loop(), i)
                    : i % 3 == 1 ? AskThere(b.loop(), i)
                                 : Immediately(i * 2));
  }
  const std::vector<int> results = RunBlocking(WhenAll(std::move(tasks)));
  REQUIRE(results.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(results[static_cast<size_t>(i)] == 2 * i);
}

TEST_CASE("WhenAll waits for the last one and starts all before it waits", "[base][unit]") {
  RunLoop loop;
  const Completion<int> first;
  const Completion<int> second;
  std::vector<Task<int>> tasks;
  tasks.push_back(Await(first));
  tasks.push_back(Await(second));
  std::optional<std::vector<int>> results;
  SpawnOn(&loop, [](auto waited, auto* out) -> Task<void> {
    auto values = co_await std::move(waited);
    *out = std::move(values);
  }(WhenAll(std::move(tasks)), &results));
  loop.RunReady();
  second.Set(2);
  loop.RunReady();
  CHECK_FALSE(results.has_value());
  first.Set(1);
  loop.RunReady();
  CHECK(results == std::vector<int>{1, 2});
}

TEST_CASE("WhenAll of nothing ends at once", "[base][unit]") {
  CHECK(RunBlocking(WhenAll(std::vector<Task<int>>())).empty());
}

}  // namespace
}  // namespace godwit::base

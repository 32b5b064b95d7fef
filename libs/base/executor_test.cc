#include "libs/base/executor.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace godwit::base {
namespace {

TEST_CASE("RunReady runs work in the order it was posted, its own posts included", "[base][unit]") {
  RunLoop loop;
  std::vector<int> order;
  loop.Post([&] {
    order.push_back(1);
    loop.Post([&] { order.push_back(3); });
  });
  loop.Post([&] { order.push_back(2); });
  CHECK(order.empty());
  loop.RunReady();
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("Current is the executor whose work runs, and nothing outside", "[base][unit]") {
  RunLoop outer;
  RunLoop inner;
  std::vector<Executor*> seen;
  outer.Post([&] {
    seen.push_back(Executor::Current());
    inner.Post([&] { seen.push_back(Executor::Current()); });
    inner.RunReady();
    seen.push_back(Executor::Current());
  });
  CHECK(Executor::Current() == nullptr);
  outer.RunReady();
  CHECK(seen == std::vector<Executor*>{&outer, &inner, &outer});
  CHECK(Executor::Current() == nullptr);
}

TEST_CASE("Stop leaves the rest undone, and it is destroyed with the loop", "[base][unit]") {
  auto token = std::make_shared<int>(0);
  {
    RunLoop loop;
    loop.Post([&] { loop.Stop(); });
    loop.Post([token] { ++*token; });
    loop.Run();
    CHECK(token.use_count() == 2);
  }
  CHECK(token.use_count() == 1);
  CHECK(*token == 0);
}

TEST_CASE("Work is destroyed on the loop's thread, right after it ran", "[base][unit]") {
  RunLoop loop;
  auto token = std::make_shared<int>(0);
  long owners_seen_later = 0;
  loop.Post([token] { ++*token; });
  loop.Post([&] { owners_seen_later = token.use_count(); });
  loop.RunReady();
  CHECK(owners_seen_later == 1);
}

TEST_CASE("Any thread may post; all work runs on the one thread", "[base][unit]") {
  static constexpr int kThreads = 4;
  static constexpr int kEach = 2000;
  RunLoop loop;
  int count = 0;  // no lock: that is the point
  std::atomic<int> foreign = 0;
  const auto home = std::this_thread::get_id();
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        loop.Post([&] {
          if (std::this_thread::get_id() != home) ++foreign;
          if (++count == kThreads * kEach) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (auto& thread : threads) thread.join();
  CHECK(count == kThreads * kEach);
  CHECK(foreign == 0);
}

TEST_CASE("Stop from another thread wakes a loop that has nothing to do", "[base][unit]") {
  RunLoop loop;
  std::atomic<bool> running = false;
  loop.Post([&] { running = true; });
  std::thread stopper([&] {
    while (!running) std::this_thread::yield();
    loop.Stop();
  });
  loop.Run();
  stopper.join();
  CHECK(running);
}

}  // namespace
}  // namespace godwit::base

#pragma once

// Task<T>: a lazy coroutine, and the few ways to run one.
//
//   Task<absl::StatusOr<int>> Answer(dns::Resolver* resolver) {
//     auto reply = co_await resolver->Resolve({"example.org", DnsType::kMx});
//     if (!reply.ok()) co_return reply.status();
//     co_return 42;
//   }
//   base::Spawn(Serve(std::move(stream)));         // detached, from an Executor's thread
//   auto n = base::RunBlocking(Answer(&resolver)); // tests and command lines
//
// Rules (house style §5): parameters by value; a session is a named object that outlives its
// coroutines; no capturing lambda is a coroutine; no mutex is held across co_await. A Task starts
// when it is awaited and resumes on the Executor it started on. It is not cancelled: close what it
// waits for and let it run to its end. Exceptions do not cross a Task: one that tries ends the
// process.
//
// Completion<T> is the bridge from callbacks: made where the result is awaited, Set() from any
// thread, resumed on the awaiting Executor. WhenAll runs several tasks of one thread at the same
// time.

#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "libs/base/check.h"
#include "libs/base/executor.h"

namespace godwit::base {

template <typename T>
class Task;

namespace task_internal {

struct FinalAwaiter {
  bool await_ready() noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
    return done.promise().continuation;
  }
  void await_resume() noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T Take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void Take() {}
};

// A coroutine that owns itself; the frame goes when it ends.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace task_internal

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_internal::Promise<T>;

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Awaited once at most.
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) noexcept {
    handle_.promise().continuation = continuation;
    return handle_;
  }
  T await_resume() { return handle_.promise().Take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace task_internal {

template <typename T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

inline Detached RunDetached(Task<void> task) { co_await task; }

template <typename T>
Detached RunInto(Task<T> task, std::optional<T>* out, RunLoop* loop) {
  out->emplace(co_await task);
  loop->Stop();
}

}  // namespace task_internal

// Starts `task` now, on the calling thread, and lets it run to its end by itself.
inline void Spawn(Task<void> task) { task_internal::RunDetached(std::move(task)); }

// Starts `task` on `executor`'s thread.
inline void SpawnOn(Executor* executor, Task<void> task) {
  executor->Post([task = std::move(task)]() mutable { Spawn(std::move(task)); });
}

// Runs `task` to its end on a loop of its own; the calling thread waits.
template <typename T>
T RunBlocking(Task<T> task) {
  RunLoop loop;
  std::optional<T> result;
  loop.Post([&] { task_internal::RunInto(std::move(task), &result, &loop); });
  loop.Run();
  return std::move(*result);
}

// One value, set once from any thread, awaited once at most. Copies share the state. The awaiting
// coroutine resumes on the Executor on which it began to wait.
template <typename T>
class Completion {
 public:
  Completion() : state_(std::make_shared<State>()) {}

  // The first call counts, later ones are ignored.
  void Set(T value) const {
    std::unique_lock lock(state_->mutex);
    if (state_->value) return;
    state_->value.emplace(std::move(value));
    auto waiter = std::exchange(state_->waiter, nullptr);
    Executor* executor = state_->executor;
    lock.unlock();
    if (!waiter) return;
    executor->Post([executor, waiter] {
      executor->Expect(-1);
      waiter.resume();
    });
  }

  auto operator co_await() const { return Awaiter{state_}; }

 private:
  struct State {
    std::mutex mutex;
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    Executor* executor = nullptr;
  };
  struct Awaiter {
    std::shared_ptr<State> state;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      std::lock_guard lock(state->mutex);
      if (state->value) return false;
      state->executor = Executor::Current();
      GODWIT_CHECK(state->executor != nullptr);
      state->executor->Expect(+1);
      state->waiter = handle;
      return true;
    }
    T await_resume() { return std::move(*state->value); }
  };
  std::shared_ptr<State> state_;
};

namespace task_internal {

template <typename T>
Detached RunOne(Task<T> task, std::optional<T>* out, size_t* left, Completion<bool> done) {
  out->emplace(co_await task);
  if (--*left == 0) done.Set(true);
}

}  // namespace task_internal

// Starts all `tasks` and resumes when the last has ended; results in the same order.
template <typename T>
Task<std::vector<T>> WhenAll(std::vector<Task<T>> tasks) {
  std::vector<std::optional<T>> slots(tasks.size());
  size_t left = tasks.size();
  if (left > 0) {
    Completion<bool> done;
    for (size_t i = 0; i < tasks.size(); ++i) {
      task_internal::RunOne(std::move(tasks[i]), &slots[i], &left, done);
    }
    co_await done;
  }
  std::vector<T> results;
  results.reserve(slots.size());
  for (auto& slot : slots) results.push_back(std::move(*slot));
  co_return results;
}

}  // namespace godwit::base

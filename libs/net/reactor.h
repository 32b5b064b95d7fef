#pragma once

// Reactor: one event loop on one thread; ReactorPool: one a core.
//
// A Reactor is the Executor of the daemons: sockets, timers and the coroutines that wait for them
// live on it and are touched on its thread only. What blocks or comes from another thread
// (database pool, gRPC) comes back through Post().
//
//   net::ReactorPool pool({.threads = 2});
//   auto listener = net::Listener::Start(&pool, options, handler);   // listener.h
//   ...
//   pool.Stop();                              // closes what is left, joins the threads
//
//   net::Reactor reactor;                     // tests and command lines: on the calling thread
//   auto reply = reactor.RunUntilDone(Fetch(...));
//
// Timeouts are coarse and cheap: one wheel of deadlines and one timer a reactor (Deadline), not a
// timer a read. A timeout never fires early and at most about two sweep periods late. Sleep() and
// Timer are exact.
//
// Stopping. Stop() closes every descriptor of the reactor and ends every Sleep, so that coroutines
// run to their ends; what waits for something else, such as a database, has two seconds to get it.
// Then the loop returns. Services drain first: close listeners, WakeAll(), let sessions finish.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "libs/base/executor.h"
#include "libs/base/task.h"

namespace godwit::net {

class Descriptor;
class Reactor;

// A read buffer of 16 KiB (a full TLS record) from the reactor's pool; it goes back when the object
// dies. Borrow it when bytes are there, not while waiting for them. Never outlives the reactor.
class Buffer {
 public:
  static constexpr size_t kSize = 16 * 1024;

  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : reactor_(other.reactor_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(reactor_, other.reactor_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer();

  char* data() const { return data_; }
  static constexpr size_t size() { return kSize; }

 private:
  friend class Reactor;
  Buffer(Reactor* reactor, char* data) : reactor_(reactor), data_(data) {}
  Reactor* reactor_ = nullptr;
  char* data_ = nullptr;
};

class Reactor : public base::Executor {
 public:
  struct Options {
    // Granularity of all timeouts that are not Sleep. Tests make it small.
    absl::Duration sweep_period = absl::Seconds(1);
    // Free read buffers kept for reuse.
    size_t pooled_buffers = 64;
  };

  Reactor();
  explicit Reactor(const Options& options);
  // Stops and joins what runs.
  ~Reactor() override;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // The reactor whose thread this is; nullptr elsewhere.
  static Reactor* Current();

  // Any thread.
  void Post(absl::AnyInvocable<void()> work) override;
  void Expect(int change) override;
  // Runs the loop on the calling thread until Stop().
  void Run();
  // Runs the loop on a thread of its own until Stop(); call once.
  void Start();
  // Asks the loop to end; any thread; does not wait.
  void Stop();
  // Waits for the thread of Start(). Not from that thread.
  void Join();

  // Runs `task` on this reactor and gives its result. If the loop is running on another thread the
  // caller waits for it, else the loop runs on the calling thread until the task has ended. For
  // tests, command lines and start-up; never from the reactor's own thread.
  template <typename T>
  T RunUntilDone(base::Task<T> task);
  void RunUntilDone(base::Task<void> task);

  // All below: on the reactor's thread.

  // Comes back after `duration` with true, or early with false when the reactor stops: a loop
  // around Sleep ends then.
  base::Task<bool> Sleep(absl::Duration duration);
  Buffer BorrowBuffer();
  bool stopping() const { return stopping_; }
  // Descriptors that are open now, listeners included.
  size_t descriptor_count() const { return descriptor_count_; }
  // Ends the pending WaitReadable of every stream with kWoken; the next one, where none is pending.
  void WakeAll();

  // Monotonic time of the deadlines.
  absl::Duration Now() const;

  // A coarse timeout: an object arms itself and is called once after `timeout`, unless it is
  // disarmed or dies before. Arming again moves it. InfiniteDuration() never fires.
  class Deadline {
   public:
    Deadline() = default;
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    void Arm(Reactor* reactor, absl::Duration timeout);
    void Disarm();

   protected:
    virtual ~Deadline() { Disarm(); }

   private:
    friend class Reactor;
    // May arm, disarm and destroy this and other deadlines.
    virtual void OnDeadline() = 0;
    Deadline* next_ = nullptr;
    Deadline** link_ = nullptr;  // what points to us; null when not armed
    int64_t tick_ = 0;           // the sweep that fires it
  };

 private:
  friend class Buffer;
  friend class Descriptor;
  friend class Timer;
  struct Impl;  // the only place that knows Asio

  // This thread, or any while no loop is running (tests, start-up).
  bool IsThread() const { return base::Executor::Current() == this || !running_; }
  void ReturnBuffer(char* data);
  void BeginStop();
  // After BeginStop: lets what is left run to its end.
  void Finish();
  void ScheduleSweep();
  void Sweep();
  void Link(Descriptor* descriptor);
  void Unlink(Descriptor* descriptor);
  // Waits for `done` when another thread runs the loop, else runs it here until `*flag`.
  void DriveUntil(base::Completion<bool> done, const bool* flag);

  const Options options_;
  std::unique_ptr<Impl> impl_;
  std::thread thread_;
  std::atomic<bool> running_{false};  // on a thread of its own, or in Run()
  std::atomic<bool> ended_{false};
  bool stopping_ = false;
  size_t descriptor_count_ = 0;
  Descriptor* descriptors_ = nullptr;  // intrusive list
  std::vector<char*> free_buffers_;
};

// One wait that can be called off, for periodic work.
//   while (co_await timer.Wait(absl::Minutes(1))) Sweep();
class Timer {
 public:
  explicit Timer(Reactor* reactor);
  // No Wait() may be pending.
  ~Timer();

  // True after `duration`; false when cancelled before, or when the reactor stops. One at a time.
  base::Task<bool> Wait(absl::Duration duration);
  // Ends a pending Wait(). On the reactor's thread.
  void Cancel();

 private:
  friend class Reactor;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A fixed number of reactors, each on its own thread, started by the constructor.
class ReactorPool {
 public:
  struct Options {
    size_t threads = 0;  // 0: one a core
    Reactor::Options reactor;
  };

  ReactorPool();
  explicit ReactorPool(const Options& options);
  ~ReactorPool();  // Stop()

  size_t size() const { return reactors_.size(); }
  Reactor* at(size_t index) const { return reactors_[index].get(); }
  // Each in turn; any thread.
  Reactor* Next();

  // WakeAll() on each reactor; any thread; does not wait.
  void WakeAll();
  // Stops all and joins them. May be called twice; not from a reactor's thread.
  void Stop();

 private:
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::atomic<size_t> next_{0};
};

namespace reactor_internal {

template <typename T>
base::Task<void> RunInto(base::Task<T> task, std::optional<T>* out, bool* flag,
                         base::Completion<bool> done) {
  out->emplace(co_await task);
  *flag = true;
  done.Set(true);
}

}  // namespace reactor_internal

template <typename T>
T Reactor::RunUntilDone(base::Task<T> task) {
  std::optional<T> result;
  bool flag = false;
  base::Completion<bool> done;
  base::SpawnOn(this, reactor_internal::RunInto(std::move(task), &result, &flag, done));
  DriveUntil(done, &flag);
  return std::move(*result);
}

}  // namespace godwit::net

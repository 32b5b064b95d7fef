#pragma once

// Executor: a thread that runs functions in the order they were posted.
//
// A connection, its session and its coroutines belong to one Executor and run on its thread only,
// so sessions need no locks. Whatever blocks or calls back on another thread (database pool, gRPC,
// c-ares) comes back through Post(). net::Reactor is the Executor of the daemons; RunLoop is the
// one of tests and command lines.

#include <condition_variable>
#include <deque>
#include <mutex>

#include "absl/functional/any_invocable.h"

namespace godwit::base {

class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `work` on this executor's thread, later. May be called from any thread. Work posted after
  // the executor has stopped is destroyed without being run.
  virtual void Post(absl::AnyInvocable<void()> work) = 0;

  // On this executor's thread: a coroutine begins (+1) or has ended (-1) to wait for what Post()
  // will bring. An executor that stops may wait for it a while.
  virtual void Expect(int /*change*/) {}

  // The executor whose thread this is; nullptr on any other thread.
  static Executor* Current();

 protected:
  // Marks the calling thread as `executor`'s for as long as the object lives.
  class Scope {
   public:
    explicit Scope(Executor* executor);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Executor* previous_;
  };
};

// An Executor without I/O: the thread that calls Run() is its thread.
class RunLoop : public Executor {
 public:
  void Post(absl::AnyInvocable<void()> work) override;

  // Runs posted work until Stop() is called.
  void Run();
  // Runs what has been posted so far and returns (for tests that step).
  void RunReady();
  void Stop();

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> queue_;
  bool stopped_ = false;
};

}  // namespace godwit::base

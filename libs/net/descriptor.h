#pragma once

// Descriptor: a file descriptor that coroutines of one reactor wait for. Under Stream, Listener and
// Connect(); nobody else needs it.
//
// It owns the descriptor, which must be non-blocking. At most one coroutine waits in each
// direction. A Descriptor must not be destroyed while a coroutine waits for it: Close() it, and let
// the coroutine come to its end.

#include <coroutine>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "libs/net/reactor.h"

namespace godwit::net {

class Descriptor {
 public:
  enum class Direction : uint8_t { kRead, kWrite };
  enum class Outcome : uint8_t { kNone, kReady, kWoken, kTimeout, kClosed };

  // On the reactor's thread. A stopping reactor gives a closed Descriptor.
  Descriptor(Reactor* reactor, int fd);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  Reactor* reactor() const { return reactor_; }
  // -1 when closed.
  int fd() const { return fd_; }
  bool closed() const { return fd_ < 0; }

  // Ends a pending wakeable wait with kWoken; if none is pending, the next one.
  void Wake();
  // Closes the descriptor; pending waits end with kClosed. Any number of times.
  void Close();
  // Gives the descriptor away, open; nobody may be waiting.
  int Release();

  // What `co_await descriptor.Wait(...)` waits with; kReady may be spurious.
  class [[nodiscard]] Waiter : private Reactor::Deadline {
   public:
    Waiter(Descriptor* owner, Direction direction, absl::Duration timeout, bool wakeable)
        : owner_(owner), timeout_(timeout), direction_(direction), wakeable_(wakeable) {}
    bool await_ready();
    void await_suspend(std::coroutine_handle<> handle);
    Outcome await_resume() const { return outcome_; }

   private:
    friend class Descriptor;
    void OnDeadline() override;
    void Begin();
    void End(bool failed, bool aborted);

    Descriptor* owner_;
    absl::Duration timeout_;
    std::coroutine_handle<> handle_;
    Direction direction_;
    bool wakeable_;
    Outcome outcome_ = Outcome::kNone;
  };
  Waiter Wait(Direction direction, absl::Duration timeout, bool wakeable = false) {
    return Waiter(this, direction, timeout, wakeable);
  }

 private:
  friend class Reactor;
  struct Native;  // Asio's side

  Reactor* reactor_;
  std::unique_ptr<Native> native_;
  Waiter* waiters_[2] = {nullptr, nullptr};
  Descriptor* next_ = nullptr;  // the reactor's list
  Descriptor* previous_ = nullptr;
  int fd_ = -1;
  bool woken_ = false;
};

}  // namespace godwit::net

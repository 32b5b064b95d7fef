#include "libs/net/reactor.h"

#include <unistd.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "libs/base/check.h"
#include "libs/net/descriptor.h"

// Reactor, Timer and Descriptor share Asio's io_context and stand in one file, so that Asio's
// headers stay out of every other one.

namespace godwit::net {
namespace {

using boost::asio::io_context;
using SteadyTimer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>,
                                      io_context::executor_type>;
using NativeDescriptor = boost::asio::posix::basic_stream_descriptor<io_context::executor_type>;

// Deadlines are hashed by their tick into this many lists; a sweep looks at one of them.
constexpr int64_t kSlots = 64;
constexpr std::chrono::seconds kStopPatience(2);

base::Task<bool> WithResult(base::Task<void> task) {
  co_await std::move(task);
  co_return true;
}

base::Task<bool> Await(base::Completion<bool> done) {
  const bool result = co_await done;
  co_return result;
}

}  // namespace

struct Reactor::Impl {
  io_context context{1};
  boost::asio::executor_work_guard<io_context::executor_type> work{context.get_executor()};
  SteadyTimer sweep_timer{context};
  std::array<Deadline*, kSlots> slots{};
  int64_t last_tick = 0;
  Timer::Impl* timers = nullptr;  // that wait
};

struct Timer::Impl {
  explicit Impl(Reactor* r) : reactor(r), timer(r->impl_->context) {}

  struct Awaiter {
    Impl* impl;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { impl->Begin(handle); }
    bool await_resume() const { return impl->fired; }
  };

  void Begin(std::coroutine_handle<> handle);
  void End(bool passed);

  Reactor* reactor;
  SteadyTimer timer;
  std::coroutine_handle<> waiter;
  bool fired = false;
  Impl* next = nullptr;
  Impl** link = nullptr;
};

// --- Buffer
// ---------------------------------------------------------------------------------------

Buffer::~Buffer() {
  if (data_ != nullptr) reactor_->ReturnBuffer(data_);
}

Buffer Reactor::BorrowBuffer() {
  if (free_buffers_.empty()) return Buffer(this, new char[Buffer::kSize]);
  char* data = free_buffers_.back();
  free_buffers_.pop_back();
  return Buffer(this, data);
}

void Reactor::ReturnBuffer(char* data) {
  if (free_buffers_.size() < options_.pooled_buffers) {
    free_buffers_.push_back(data);
  } else {
    delete[] data;
  }
}

// --- Reactor
// --------------------------------------------------------------------------------------

Reactor::Reactor() : Reactor(Options()) {}

Reactor::Reactor(const Options& options) : options_(options), impl_(std::make_unique<Impl>()) {
  impl_->last_tick = Now() / options_.sweep_period;
  ScheduleSweep();
}

Reactor::~Reactor() {
  if (thread_.joinable()) {
    Stop();
    Join();
  } else if (!ended_) {
    Scope scope(this);
    BeginStop();
    Finish();
  }
  // Work that was never run goes here, and may give buffers back.
  impl_.reset();
  for (char* data : free_buffers_) delete[] data;
}

Reactor* Reactor::Current() { return dynamic_cast<Reactor*>(Executor::Current()); }

void Reactor::Post(absl::AnyInvocable<void()> work) {
  if (ended_) return;
  boost::asio::post(impl_->context, [work = std::move(work)]() mutable { work(); });
}

void Reactor::Expect(int change) {
  const auto executor = impl_->context.get_executor();
  change > 0 ? executor.on_work_started() : executor.on_work_finished();
}

void Reactor::RunUntilDone(base::Task<void> task) { RunUntilDone(WithResult(std::move(task))); }

void Reactor::Run() {
  running_ = true;
  Scope scope(this);
  impl_->context.run();
  Finish();
}

void Reactor::Start() {
  GODWIT_CHECK(!running_ && !ended_);
  running_ = true;
  thread_ = std::thread([this] { Run(); });
}

void Reactor::Stop() {
  Post([this] { BeginStop(); });
}

void Reactor::Join() {
  if (thread_.joinable()) thread_.join();
}

void Reactor::BeginStop() {
  if (stopping_) return;
  stopping_ = true;
  while (descriptors_ != nullptr) descriptors_->Close();
  for (Timer::Impl* timer = impl_->timers; timer != nullptr; timer = timer->next) {
    timer->timer.cancel();
  }
  impl_->sweep_timer.cancel();
  impl_->work.reset();
  impl_->context.stop();
}

void Reactor::Finish() {
  impl_->context.restart();
  impl_->context.run_for(kStopPatience);
  ended_ = true;
  running_ = false;
}

void Reactor::DriveUntil(base::Completion<bool> done, const bool* flag) {
  GODWIT_CHECK(Executor::Current() != this && !ended_);
  if (running_) {
    base::RunBlocking(Await(std::move(done)));
    return;
  }
  Scope scope(this);
  while (!*flag) impl_->context.run_one();
}

base::Task<bool> Reactor::Sleep(absl::Duration duration) {
  Timer timer(this);
  const bool passed = co_await timer.Wait(duration);
  co_return passed;
}

void Reactor::WakeAll() {
  for (Descriptor* each = descriptors_; each != nullptr; each = each->next_) each->Wake();
}

absl::Duration Reactor::Now() const {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

void Reactor::Link(Descriptor* descriptor) {
  descriptor->next_ = descriptors_;
  if (descriptors_ != nullptr) descriptors_->previous_ = descriptor;
  descriptors_ = descriptor;
  ++descriptor_count_;
}

void Reactor::Unlink(Descriptor* descriptor) {
  if (descriptor->next_ != nullptr) descriptor->next_->previous_ = descriptor->previous_;
  (descriptor->previous_ != nullptr ? descriptor->previous_->next_ : descriptors_) =
      descriptor->next_;
  --descriptor_count_;
}

// --- Deadlines
// ------------------------------------------------------------------------------------

void Reactor::Deadline::Arm(Reactor* reactor, absl::Duration timeout) {
  Disarm();
  if (timeout == absl::InfiniteDuration()) return;
  const absl::Duration when = reactor->Now() + std::max(timeout, absl::ZeroDuration());
  // The first sweep at or after the deadline.
  tick_ = when / reactor->options_.sweep_period + 1;
  Deadline** head = &reactor->impl_->slots[static_cast<size_t>(tick_ % kSlots)];
  next_ = *head;
  link_ = head;
  if (next_ != nullptr) next_->link_ = &next_;
  *head = this;
}

void Reactor::Deadline::Disarm() {
  if (link_ == nullptr) return;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
}

void Reactor::ScheduleSweep() {
  impl_->sweep_timer.expires_after(absl::ToChronoNanoseconds(options_.sweep_period));
  impl_->sweep_timer.async_wait([this](boost::system::error_code error) {
    if (error || stopping_) return;
    Sweep();
    ScheduleSweep();
  });
}

void Reactor::Sweep() {
  const int64_t now = Now() / options_.sweep_period;
  Deadline* expired = nullptr;
  const int64_t first = std::max(impl_->last_tick + 1, now - kSlots + 1);
  for (int64_t tick = first; tick <= now; ++tick) {
    Deadline* next = impl_->slots[static_cast<size_t>(tick % kSlots)];
    while (next != nullptr) {
      Deadline* each = next;
      next = each->next_;
      if (each->tick_ > now) continue;  // a later turn of the wheel
      each->Disarm();
      each->next_ = expired;
      each->link_ = &expired;
      if (expired != nullptr) expired->link_ = &each->next_;
      expired = each;
    }
  }
  impl_->last_tick = now;
  while (expired != nullptr) {
    Deadline* each = expired;
    each->Disarm();
    each->OnDeadline();
  }
}

// --- Timer
// ----------------------------------------------------------------------------------------

Timer::Timer(Reactor* reactor) : impl_(std::make_unique<Impl>(reactor)) {}

Timer::~Timer() { GODWIT_CHECK(!impl_->waiter); }

base::Task<bool> Timer::Wait(absl::Duration duration) {
  GODWIT_CHECK(!impl_->waiter && base::Executor::Current() == impl_->reactor);
  impl_->timer.expires_after(
      absl::ToChronoNanoseconds(impl_->reactor->stopping() ? absl::ZeroDuration() : duration));
  const bool passed = co_await Impl::Awaiter{impl_.get()};
  co_return passed;
}

void Timer::Cancel() { impl_->timer.cancel(); }

void Timer::Impl::Begin(std::coroutine_handle<> handle) {
  waiter = handle;
  Impl** head = &reactor->impl_->timers;
  next = *head;
  link = head;
  if (next != nullptr) next->link = &next;
  *head = this;
  timer.async_wait([this](boost::system::error_code error) { End(!error); });
}

void Timer::Impl::End(bool passed) {
  fired = passed && !reactor->stopping();
  *link = next;
  if (next != nullptr) next->link = link;
  std::exchange(waiter, nullptr).resume();
}

// --- Descriptor
// -----------------------------------------------------------------------------------

struct Descriptor::Native {
  explicit Native(io_context& context) : descriptor(context) {}
  NativeDescriptor descriptor;
};

Descriptor::Descriptor(Reactor* reactor, int fd) : reactor_(reactor), fd_(fd) {
  GODWIT_CHECK(reactor->IsThread());
  native_ = std::make_unique<Native>(reactor->impl_->context);
  boost::system::error_code error;
  if (!reactor->stopping()) native_->descriptor.assign(fd, error);
  if (error || reactor->stopping()) {
    ::close(fd);
    fd_ = -1;
    return;
  }
  reactor->Link(this);
}

Descriptor::~Descriptor() {
  GODWIT_CHECK(waiters_[0] == nullptr && waiters_[1] == nullptr);
  Close();
}

void Descriptor::Wake() {
  Waiter* reader = waiters_[static_cast<size_t>(Direction::kRead)];
  if (reader == nullptr || !reader->wakeable_ || reader->outcome_ != Outcome::kNone) {
    woken_ = true;
    return;
  }
  reader->outcome_ = Outcome::kWoken;
  boost::system::error_code ignored;
  native_->descriptor.cancel(ignored);
}

void Descriptor::Close() {
  if (fd_ < 0) return;
  GODWIT_CHECK(reactor_->IsThread());
  fd_ = -1;
  reactor_->Unlink(this);
  // Pending waits are posted as aborted; they do not need Asio's object any more, and without it
  // this object may outlive the reactor.
  native_.reset();
}

int Descriptor::Release() {
  GODWIT_CHECK(waiters_[0] == nullptr && waiters_[1] == nullptr && !closed());
  reactor_->Unlink(this);
  native_->descriptor.release();
  native_.reset();
  return std::exchange(fd_, -1);
}

bool Descriptor::Waiter::await_ready() {
  GODWIT_CHECK(base::Executor::Current() == owner_->reactor_);
  if (owner_->closed()) {
    outcome_ = Outcome::kClosed;
  } else if (wakeable_ && std::exchange(owner_->woken_, false)) {
    outcome_ = Outcome::kWoken;
  }
  return outcome_ != Outcome::kNone;
}

void Descriptor::Waiter::await_suspend(std::coroutine_handle<> handle) {
  Waiter*& slot = owner_->waiters_[static_cast<size_t>(direction_)];
  GODWIT_CHECK(slot == nullptr);
  slot = this;
  handle_ = handle;
  Arm(owner_->reactor_, timeout_);
  Begin();
}

void Descriptor::Waiter::Begin() {
  const auto type =
      direction_ == Direction::kRead ? NativeDescriptor::wait_read : NativeDescriptor::wait_write;
  owner_->native_->descriptor.async_wait(type, [this](boost::system::error_code error) {
    End(static_cast<bool>(error), error == boost::asio::error::operation_aborted);
  });
}

void Descriptor::Waiter::End(bool failed, bool aborted) {
  if (owner_->closed()) {
    outcome_ = Outcome::kClosed;
  } else if (!failed && outcome_ != Outcome::kWoken) {
    outcome_ = Outcome::kReady;  // also when the deadline passed in the same turn
  } else if (aborted && outcome_ == Outcome::kNone) {
    Begin();  // the cancel was meant for the other direction
    return;
  } else if (failed && !aborted) {
    outcome_ = Outcome::kReady;  // the read or write that follows tells what is wrong
  }
  Disarm();
  owner_->waiters_[static_cast<size_t>(direction_)] = nullptr;
  handle_.resume();
}

void Descriptor::Waiter::OnDeadline() {
  if (outcome_ != Outcome::kNone) return;
  outcome_ = Outcome::kTimeout;
  boost::system::error_code ignored;
  owner_->native_->descriptor.cancel(ignored);
}

// --- ReactorPool
// ----------------------------------------------------------------------------------

ReactorPool::ReactorPool() : ReactorPool(Options()) {}

ReactorPool::ReactorPool(const Options& options) {
  size_t threads = options.threads;
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  for (size_t i = 0; i < threads; ++i) {
    reactors_.push_back(std::make_unique<Reactor>(options.reactor));
    reactors_.back()->Start();
  }
}

ReactorPool::~ReactorPool() { Stop(); }

Reactor* ReactorPool::Next() {
  return reactors_[next_.fetch_add(1, std::memory_order_relaxed) % reactors_.size()].get();
}

void ReactorPool::WakeAll() {
  for (auto& reactor : reactors_) {
    reactor->Post([target = reactor.get()] { target->WakeAll(); });
  }
}

void ReactorPool::Stop() {
  for (auto& reactor : reactors_) reactor->Stop();
  for (auto& reactor : reactors_) reactor->Join();
}

}  // namespace godwit::net

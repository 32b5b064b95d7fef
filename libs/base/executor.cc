#include "libs/base/executor.h"

#include <utility>

namespace godwit::base {
namespace {

thread_local Executor* current_executor = nullptr;

}  // namespace

Executor* Executor::Current() { return current_executor; }

Executor::Scope::Scope(Executor* executor) : previous_(std::exchange(current_executor, executor)) {}
Executor::Scope::~Scope() { current_executor = previous_; }

void RunLoop::Post(absl::AnyInvocable<void()> work) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  // Under the lock: the woken thread may destroy this RunLoop as soon as it holds the mutex.
  wake_.notify_one();
}

void RunLoop::Run() {
  Scope scope(this);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (stopped_) break;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
  stopped_ = false;
}

void RunLoop::RunReady() {
  Scope scope(this);
  std::unique_lock lock(mutex_);
  while (!queue_.empty()) {
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

void RunLoop::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  wake_.notify_one();
}

}  // namespace godwit::base

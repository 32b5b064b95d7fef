#include "services/acme/board.h"

#include <utility>

namespace godwit::acme {

Board::Watcher::Watcher(Board* board) : board_(board) {
  std::lock_guard lock(board_->mutex_);
  board_->watchers_.insert(this);
}

Board::Watcher::~Watcher() {
  std::lock_guard lock(board_->mutex_);
  board_->watchers_.erase(this);
}

base::Task<void> Board::Watcher::Wait() {
  base::Completion<bool> wakes;
  {
    std::lock_guard lock(board_->mutex_);
    if (std::exchange(woken_, false)) co_return;
    wakes_ = wakes;
  }
  co_await wakes;
}

void Board::Watcher::Wake() {
  std::lock_guard lock(board_->mutex_);
  WakeLocked();
}

void Board::Watcher::WakeLocked() {
  if (auto waiting = std::exchange(wakes_, std::nullopt)) {
    waiting->Set(true);
  } else {
    woken_ = true;
  }
}

std::shared_ptr<const Snapshot> Board::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void Board::Publish(std::shared_ptr<const Snapshot> snapshot) {
  std::lock_guard lock(mutex_);
  if (current_ == snapshot) return;
  current_ = std::move(snapshot);
  for (Watcher* watcher : watchers_) watcher->WakeLocked();
}

void Board::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (Watcher* watcher : watchers_) watcher->WakeLocked();
}

bool Board::stopped() const {
  std::lock_guard lock(mutex_);
  return stopped_;
}

size_t Board::watchers() const {
  std::lock_guard lock(mutex_);
  return watchers_.size();
}

}  // namespace godwit::acme

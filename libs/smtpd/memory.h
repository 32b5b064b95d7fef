#pragma once

// How much memory the messages of all connections may take together.
//
//   MemoryBudget budget{512 << 20, &metrics.memory_bytes};
//   MemoryByOwner owners{128 << 20};           // where the clients have names
//   MemoryShare share(&budget, &owners, account);
//   share.Set(buffer.capacity());   // whenever it changes; the destructor sets 0
//   if (share.Over()) ...           // all together, or this owner, hold too much: give way
//
// Budgets are thread-safe; a share belongs to one thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "libs/obs/metrics.h"

namespace godwit::smtpd {

class MemoryBudget {
 public:
  // In octets. `gauge` shows what is used.
  MemoryBudget(int64_t bound, obs::Gauge* gauge) : bound_(bound), gauge_(gauge) {}

  // Who holds something has to give way.
  bool Over() const { return used_ > bound_; }
  // Nothing new should begin, so that what is under way has room to end.
  bool NearlyFull() const { return used_ > bound_ - bound_ / 4; }

  void Add(int64_t octets) {
    used_ += octets;
    gauge_->Add(static_cast<double>(octets));
  }

 private:
  const int64_t bound_;
  obs::Gauge* const gauge_;
  std::atomic<int64_t> used_{0};
};

// The same for each of many, so that one can not take what is there for all.
class MemoryByOwner {
 public:
  explicit MemoryByOwner(int64_t bound) : bound_(bound) {}

  bool Over(int64_t owner) const { return UsedBy(owner) > bound_; }
  bool NearlyFull(int64_t owner) const { return UsedBy(owner) > bound_ - bound_ / 4; }

  void Add(int64_t owner, int64_t octets) {
    std::lock_guard lock(mutex_);
    const int64_t used = used_[owner] += octets;
    if (used == 0) used_.erase(owner);
  }

 private:
  int64_t UsedBy(int64_t owner) const {
    std::lock_guard lock(mutex_);
    const auto found = used_.find(owner);
    return found == used_.end() ? 0 : found->second;
  }

  const int64_t bound_;
  mutable std::mutex mutex_;
  std::unordered_map<int64_t, int64_t> used_;  // guarded by mutex_
};

// What one object holds.
class MemoryShare {
 public:
  explicit MemoryShare(MemoryBudget* budget, MemoryByOwner* owners = nullptr, int64_t owner = 0)
      : budget_(budget), owners_(owners), owner_(owner) {}
  ~MemoryShare() { Set(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void Set(size_t octets) {
    const auto now = static_cast<int64_t>(octets);
    if (now == counted_) return;
    budget_->Add(now - counted_);
    if (owners_ != nullptr) owners_->Add(owner_, now - counted_);
    counted_ = now;
  }

  bool Over() const { return budget_->Over() || (owners_ != nullptr && owners_->Over(owner_)); }
  bool NearlyFull() const {
    return budget_->NearlyFull() || (owners_ != nullptr && owners_->NearlyFull(owner_));
  }

 private:
  MemoryBudget* const budget_;
  MemoryByOwner* const owners_;
  const int64_t owner_;
  int64_t counted_ = 0;
};

}  // namespace godwit::smtpd

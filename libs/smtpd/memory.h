#pragma once

// How much memory the messages of all connections may take together.
//
//   MemoryBudget budget{512 << 20, &metrics.memory_bytes};
//   MemoryShare share(&budget);
//   share.Set(buffer.capacity());   // whenever it changes; the destructor sets 0
//
// A budget is thread-safe; a share belongs to one thread.

#include <atomic>
#include <cstddef>
#include <cstdint>

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

// What one object holds.
class MemoryShare {
 public:
  explicit MemoryShare(MemoryBudget* budget) : budget_(budget) {}
  ~MemoryShare() { Set(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void Set(size_t octets) {
    const auto now = static_cast<int64_t>(octets);
    if (now == counted_) return;
    budget_->Add(now - counted_);
    counted_ = now;
  }

 private:
  MemoryBudget* const budget_;
  int64_t counted_ = 0;
};

}  // namespace godwit::smtpd

#pragma once

// Recently: which of very many things have happened lately, in a fixed amount of memory.
//
//   limit::Recently recently({.life = absl::Hours(24), .slots = 16384});
//   if (!recently.Has(hash, now)) recently.Note(hash, now);
//
// A thing is a hash that nobody outside can aim at. It is forgotten after `life`, or before that,
// when eight of its set were noted after it. Thread-safe.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/time/time.h"

namespace godwit::limit {

class Recently {
 public:
  struct Options {
    absl::Duration life = absl::Hours(24);
    size_t slots = 16384;  // 16 octets each; rounded up to a power of two
  };
  explicit Recently(const Options& options);

  // `now`: on the monotonic clock.
  bool Has(uint64_t hash, absl::Duration now) const;
  // Also renews.
  void Note(uint64_t hash, absl::Duration now);

 private:
  struct Slot {
    uint64_t hash = 0;
    double until = 0;  // in seconds
  };
  size_t SetOf(uint64_t hash) const;

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;  // guarded by mutex_
};

}  // namespace godwit::limit

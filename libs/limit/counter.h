#pragma once

// What the limits of this library have in common for the exchange between replicas (exchange.h):
// every counter has a name that is the same in all daemons that share it, tells what is loud here,
// and takes what is loud elsewhere.

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "libs/limit/decaying_table.h"
#include "libs/limit/network.h"

namespace godwit::limit {

// A network is loud when it has reached this part of what it may: quieter ones are not told to
// others. With n replicas up to (n - 1) times this part may pass above a limit, and what comes
// between two exchanges.
inline constexpr double kLoudPart = 1.0 / 8;
// So many of one counter are told at most, the loudest.
inline constexpr size_t kMaxLoud = 1000;
// What others said counts for so long; then only what is counted here.
inline constexpr absl::Duration kRemoteLife = absl::Seconds(10);

class Counter {
 public:
  virtual ~Counter() = default;
  virtual const std::string& name() const = 0;
  // Networks that have reached kLoudPart of their limit; at most kMaxLoud.
  virtual std::vector<Count> Loud() const = 0;
  // The sums of what the others count; replaces what was set before. Networks may come twice.
  virtual void SetRemote(const std::vector<Count>& counts) = 0;
};

// What others count, as a value that is replaced as a whole. Thread-safe; while there is nothing,
// looking costs one atomic load.
class RemoteCounts {
 public:
  using Map = absl::flat_hash_map<NetworkKey, double>;

  void Set(const std::vector<Count>& counts, absl::Duration now);
  // 0 also when it is older than kRemoteLife.
  double Of(const NetworkKey& key, absl::Duration now) const;

 private:
  struct Snapshot {
    Map counts;
    absl::Duration at;
  };
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;  // guarded by mutex_
};

// The kMaxLoud that have done most of what they may.
std::vector<Count> Loudest(std::vector<Count> counts, const Networks& networks);

}  // namespace godwit::limit

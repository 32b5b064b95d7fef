#include "libs/limit/counter.h"

#include <algorithm>
#include <utility>

namespace godwit::limit {

void RemoteCounts::Set(const std::vector<Count>& counts, absl::Duration now) {
  auto next = std::make_shared<Snapshot>();
  next->at = now;
  for (const Count& count : counts) next->counts[count.network] += count.level;
  any_ = !next->counts.empty();
  std::lock_guard lock(mutex_);
  snapshot_ = std::move(next);
}

double RemoteCounts::Of(const NetworkKey& key, absl::Duration now) const {
  if (!any_) return 0;
  std::shared_ptr<const Snapshot> snapshot;
  {
    std::lock_guard lock(mutex_);
    snapshot = snapshot_;
  }
  if (snapshot == nullptr || now - snapshot->at > kRemoteLife) return 0;
  const auto found = snapshot->counts.find(key);
  return found == snapshot->counts.end() ? 0 : found->second;
}

std::vector<Count> Loudest(std::vector<Count> counts, const Networks& networks) {
  if (counts.size() <= kMaxLoud) return counts;
  const auto share = [&](const Count& count) {
    return count.level / networks.FactorOf(count.network);
  };
  std::nth_element(counts.begin(), counts.begin() + kMaxLoud, counts.end(),
                   [&](const Count& a, const Count& b) { return share(a) > share(b); });
  counts.resize(kMaxLoud);
  return counts;
}

}  // namespace godwit::limit

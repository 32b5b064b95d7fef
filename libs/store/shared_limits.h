#pragma once

// What the replicas tell one another of networks that do much (libs/limit): a row for each counter
// of each replica in an UNLOGGED table, replaced as a whole. A crash of the database empties it;
// the next second fills it.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct SharedCount {
  std::string counter;
  std::string network;
  int64_t level = 0;
  friend bool operator==(const SharedCount&, const SharedCount&) = default;
};

// Replaces what `replica` has told; at most 1,000 counts of one counter. The database lets a daemon
// write its own counters only.
absl::Status TellCounts(db::Connection& connection, int64_t replica,
                        const std::vector<SharedCount>& counts);

// What all but `replica` have told of `counters` within `life`, by the database's clock: the sum
// for each network, in no order.
absl::StatusOr<std::vector<SharedCount>> HearCounts(db::Connection& connection, int64_t replica,
                                                    const std::vector<std::string>& counters,
                                                    absl::Duration life);

// Removes the rows that nobody has touched for minutes, as far as a daemon may see them: of
// replicas that were killed.
absl::Status SweepCounts(db::Connection& connection);

}  // namespace godwit::store

#pragma once

// What the replicas tell one another of networks that do much (libs/limit): one row a replica in an
// UNLOGGED table, replaced as a whole. A crash of the database empties it; the next second fills
// it.

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

// Replaces what `replica` has told; without counts its row is removed, and with it those that
// nobody has touched for minutes.
absl::Status TellCounts(db::Connection& connection, int64_t replica,
                        const std::vector<SharedCount>& counts);

// What all but `replica` have told within `life`, by the database's clock.
absl::StatusOr<std::vector<SharedCount>> HearCounts(db::Connection& connection, int64_t replica,
                                                    absl::Duration life);

}  // namespace godwit::store

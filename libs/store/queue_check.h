#pragma once

// `queue check`: recomputes everything that is kept of the queue and compares, beside `store
// check`.
//
// Messages without octets, recipients or somebody who would look at them again; octets and
// recipients without a message; shards. One snapshot, read only; it may run beside the daemons.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "libs/store/queue.h"

namespace godwit::store {

struct QueueFinding {
  std::string check;  // "queue-content", ...: a closed set
  QueueId id = QueueId::kNone;
  std::string detail;
};

// Empty when all is well. At most 100 findings a check.
absl::StatusOr<std::vector<QueueFinding>> CheckQueue(db::Connection& connection);

}  // namespace godwit::store

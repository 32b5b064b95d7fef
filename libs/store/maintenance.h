#pragma once

// Maintenance: what runs in the background or after an accident.

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

// Removes rows of the account's change log that are older than `before`, and raises its floor: a
// client whose state is below it is told to resync. Returns the rows removed.
absl::StatusOr<int64_t> CompactChangeLog(db::Connection& connection, AccountId account,
                                         absl::Time before);

// The same for up to `limit` accounts that have such rows, each in a transaction of its own; one
// that is locked now is left to the next time. With `limit` accounts done there may be others: call
// it again.
struct Compacted {
  int64_t accounts = 0;
  int64_t rows = 0;
};
absl::StatusOr<Compacted> CompactChangeLogs(db::Connection& connection, absl::Time before,
                                            int limit = 100);

// After the database was restored to an earlier point: UIDs and modseqs that clients saw since then
// must not be given again. Skips both far ahead in every account, resets the floor of the change
// log (JMAP states are answered with cannotCalculateChanges) and puts the queue on hold for review.
struct Restored {
  int64_t accounts = 0;
  int64_t held_messages = 0;
};
absl::StatusOr<Restored> MarkRestored(db::Connection& connection);

}  // namespace godwit::store

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

// The same for up to `limit` accounts that have rows older than `before` less `slack`, each in a
// transaction of its own; one that is locked now is left to the next time. With `limit` accounts
// done there may be others: call it again. An account is gone through as a whole each time, so a
// `slack` of a day has that done once a day and not with each minute's rows.
struct Compacted {
  int64_t accounts = 0;
  int64_t rows = 0;
};
absl::StatusOr<Compacted> CompactChangeLogs(db::Connection& connection, absl::Time before,
                                            int limit = 100,
                                            absl::Duration slack = absl::ZeroDuration());

// Goes on with what DeleteMailbox and RemoveAccount left behind (mailbox.h, admin.h): about `limit`
// rows, a mailbox or an account a transaction; an account that is locked now is left to the next
// time. Returns the rows removed; with `limit` or more there may be others: call it again.
absl::StatusOr<int64_t> SweepDeleted(db::Connection& connection, absl::Time now, int limit = 1000);

// What the sweeps have before them at the moment; nothing counts further than kMaxBacklog.
inline constexpr int64_t kMaxBacklog = 100'000;
struct SweepBacklog {
  int64_t staged_blobs = 0;  // expired (SweepBlobs)
  int64_t dead_blobs = 0;    // from before `dead_before`
  int64_t mailboxes = 0;     // deleted, with entries left (SweepDeleted)
  int64_t accounts = 0;      // removed, with mail left
};
absl::StatusOr<SweepBacklog> GetSweepBacklog(db::Connection& connection, absl::Time now,
                                             absl::Time dead_before);

// After the database was restored to an earlier point: UIDs and modseqs that clients saw since then
// must not be given again. Skips both far ahead in every account, resets the floor of the change
// log (JMAP states are answered with cannotCalculateChanges) and puts the queue on hold for review.
struct Restored {
  int64_t accounts = 0;
  int64_t held_messages = 0;
};
absl::StatusOr<Restored> MarkRestored(db::Connection& connection);

}  // namespace godwit::store

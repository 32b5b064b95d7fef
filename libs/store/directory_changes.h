#pragma once

// Changes of the directory and of who may log in, for daemons that keep something of it: open
// sessions, caches of keys. They are to take effect within two seconds everywhere.
//
// Whatever commits such a change leaves a row: numbered without gaps, in the order of the commits
// (triggers, migration 0011). A daemon remembers a number and asks once or twice a second what came
// after it, which is one look into an index:
//
//   int64_t seen = *LastDirectoryChange(connection);         // before anything is kept
//   ...
//   auto news = ReadDirectoryChanges(connection, seen);
//   if (news->missed) { ... all that is kept may have changed ... }
//   for (const DirectoryChange& change : news->changes) { ... }
//   seen = news->last;
//
// A row says what changed, not how: look it up.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

enum class DirectoryKind {
  kAccount,     // enabled, disabled or removed: `account`
  kCredential,  // one was replaced or removed: `account`
  kDomain,      // any setting of `domain`; made or removed
  kDkimKey,     // a signing key of `domain`
  kOther,       // of a newer schema
};

struct DirectoryChange {
  int64_t id = 0;
  DirectoryKind kind = DirectoryKind::kOther;
  AccountId account = AccountId::kNone;  // where the kind has one
  std::string domain;                    // the same
};

struct DirectoryChanges {
  std::vector<DirectoryChange> changes;  // in the order of the commits
  int64_t last = 0;                      // to ask after the next time
  // Changes after the given one are not known any more (compacted, or the database is at an earlier
  // point than it was): everything may have changed. `changes` is empty then.
  bool missed = false;
};

// The number of the newest change; 0 when there was none.
absl::StatusOr<int64_t> LastDirectoryChange(db::Connection& connection);

// What was committed after change `after`, at most `limit`: with so many there may be others.
absl::StatusOr<DirectoryChanges> ReadDirectoryChanges(db::Connection& connection, int64_t after,
                                                      int limit = 1000);

// Forgets what is older than `keep`, by the database's clock. Returns how many.
absl::StatusOr<int64_t> CompactDirectoryChanges(db::Connection& connection,
                                                absl::Duration keep = absl::Hours(1));

}  // namespace godwit::store

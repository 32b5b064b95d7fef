#pragma once

// Whether the database can be used, when a daemon starts.

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/db/pool.h"

namespace godwit::store {

// The database may start at the same time as a daemon does.
inline constexpr absl::Duration kDatabasePatience = absl::Seconds(30);

// Waits for a database that answers, at most `patience`, and checks its schema (migrate.h). Blocks:
// for the main thread.
absl::Status AwaitSchema(db::Pool* pool, const base::Clock* clock,
                         absl::Duration patience = kDatabasePatience);

}  // namespace godwit::store

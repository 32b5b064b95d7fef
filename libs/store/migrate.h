#pragma once

// Migrations: the schema, as numbered SQL files compiled into the program.
//
// libs/store/migrations/NNNN_name.sql, applied in order, each in a transaction of its own, under an
// advisory lock, and recorded with a SHA-256 of its text: a file that was applied is never edited.
// They are safe while the version before is still running (expand first, contract in a later
// release). 0001 makes the roles, for which the connection needs a superuser or a role with
// CREATEROLE; an operator who gives neither makes the roles beforehand and lets `godwit` own the
// database.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct Migration {
  int version = 0;
  std::string_view name;
  std::string_view sql;
};

// Those compiled in, ascending, 1, 2, 3, ...
const std::vector<Migration>& Migrations();

// The schema version this program was built for.
int RequiredVersion();

struct MigrateResult {
  int from = 0;
  int to = 0;
};

// Brings the schema up to RequiredVersion(). Two at the same time: the second waits and finds
// nothing to do. FailedPrecondition when a recorded checksum differs from the compiled-in file.
// A schema newer than this program is left alone, and OK. Open the connection without statement
// timeout.
absl::StatusOr<MigrateResult> Migrate(db::Connection& connection);

// The version that is there; 0 for an empty database.
absl::StatusOr<int> SchemaVersion(db::Connection& connection);

// For readiness: OK when the schema is RequiredVersion() or newer, FailedPrecondition when it is
// older.
absl::Status CheckSchema(db::Connection& connection);

}  // namespace godwit::store

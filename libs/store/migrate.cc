#include "libs/store/migrate.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kHaveTable("migrate_have_table", Scope::kSession, Access::kRead,
                               "SELECT to_regclass('public.schema_versions') IS NOT NULL");
const db::Statement kVersion("migrate_version", Scope::kSession, Access::kRead,
                             "SELECT coalesce(max(version), 0) FROM schema_versions");
// One number for all: two programs that migrate the same database take turns.
const db::Statement kLock("migrate_lock", Scope::kSession, Access::kRead,
                          "SELECT 1 FROM pg_advisory_lock(7307497711)");
const db::Statement kUnlock("migrate_unlock", Scope::kSession, Access::kRead,
                            "SELECT pg_advisory_unlock(7307497711)");
const db::Statement kChecksum("migrate_checksum", Scope::kSession, Access::kRead,
                              "SELECT sha256 = encode(sha256(convert_to($2, 'UTF8')), 'hex') "
                              "FROM schema_versions WHERE version = $1");
const db::Statement kRecord("migrate_record", Scope::kSession, Access::kWrite,
                            "INSERT INTO schema_versions VALUES "
                            "($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))");

// What was applied must be what this program would have applied.
absl::Status CheckRecorded(db::Connection& connection, int version) {
  for (const Migration& migration : Migrations()) {
    if (migration.version > version) break;
    GODWIT_ASSIGN_OR_RETURN(
        auto same,
        connection.Execute(kChecksum, Params().Int(migration.version).Text(migration.sql)));
    if (same.size() == 1 && same[0].Bool(0)) continue;
    return base::FailedPrecondition("migration " + std::to_string(migration.version) + " (" +
                                    std::string(migration.name) +
                                    ") was applied with another text");
  }
  return absl::OkStatus();
}

absl::Status Apply(db::Connection& connection, const Migration& migration) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    // The first one makes the role that owns all that the others make.
    if (migration.version > 1) {
      GODWIT_RETURN_IF_ERROR(c.ExecuteScript("SET LOCAL ROLE godwit").status());
    }
    absl::Status applied = c.ExecuteScript(std::string(migration.sql)).status();
    if (!applied.ok()) {
      return base::Annotate(applied, "migration " + std::to_string(migration.version));
    }
    return c
        .Execute(kRecord, Params().Int(migration.version).Text(migration.name).Text(migration.sql))
        .status();
  });
}

absl::StatusOr<MigrateResult> MigrateLocked(db::Connection& connection) {
  MigrateResult result;
  GODWIT_ASSIGN_OR_RETURN(result.from, SchemaVersion(connection));
  result.to = result.from;
  if (result.from > RequiredVersion()) return result;
  GODWIT_RETURN_IF_ERROR(CheckRecorded(connection, result.from));
  for (const Migration& migration : Migrations()) {
    if (migration.version <= result.from) continue;
    GODWIT_RETURN_IF_ERROR(Apply(connection, migration));
    result.to = migration.version;
  }
  return result;
}

}  // namespace

int RequiredVersion() { return Migrations().back().version; }

absl::StatusOr<int> SchemaVersion(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto have, connection.Execute(kHaveTable, Params()));
  if (!have[0].Bool(0)) return 0;
  GODWIT_ASSIGN_OR_RETURN(auto version, connection.Execute(kVersion, Params()));
  return static_cast<int>(version[0].Int(0));
}

absl::StatusOr<MigrateResult> Migrate(db::Connection& connection) {
  // Another migration, or the daemons' own work, may take its time.
  GODWIT_RETURN_IF_ERROR(connection.ExecuteScript("SET lock_timeout = 0").status());
  GODWIT_RETURN_IF_ERROR(connection.Execute(kLock, Params()).status());
  auto result = MigrateLocked(connection);
  // A lost connection has released the lock.
  absl::Status unlocked = connection.Execute(kUnlock, Params()).status();
  if (result.ok() && !unlocked.ok()) return unlocked;
  return result;
}

absl::Status CheckSchema(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(int version, SchemaVersion(connection));
  if (version >= RequiredVersion()) return absl::OkStatus();
  return base::FailedPrecondition("the schema is at version " + std::to_string(version) +
                                  ", this program needs " + std::to_string(RequiredVersion()) +
                                  ": run godwitctl store migrate");
}

}  // namespace godwit::store

#include "libs/store/maintenance.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kCompact("maintenance_compact", Scope::kOneAccount, Access::kWrite,
                             "SELECT compact_change_log($1, $2)");

const db::Statement kOldLogs("maintenance_old_logs", Scope::kBatch, Access::kRead,
                             "SELECT DISTINCT account_id FROM change_log WHERE at < $1 LIMIT $2");

const db::Statement kRestored("maintenance_restored", Scope::kBatch, Access::kWrite,
                              "SELECT accounts_done, messages_held FROM mark_restored()");

}  // namespace

absl::StatusOr<int64_t> CompactChangeLog(db::Connection& connection, AccountId account,
                                         absl::Time before) {
  Params params;
  params.Int(ToInt(account)).Time(before);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kCompact, params));
    return rows[0].Int(0);
  });
}

absl::StatusOr<Compacted> CompactChangeLogs(db::Connection& connection, absl::Time before,
                                            int limit) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kOldLogs, Params().Time(before).Int(limit)));
  Compacted compacted;
  for (db::Row row : rows) {
    auto count = CompactChangeLog(connection, AccountId{row.Int(0)}, before);
    const absl::StatusCode code = count.status().code();
    // The account may have been removed meanwhile, or is locked.
    if (code == absl::StatusCode::kNotFound || code == absl::StatusCode::kDeadlineExceeded)
      continue;
    GODWIT_RETURN_IF_ERROR(count.status());
    ++compacted.accounts;
    compacted.rows += *count;
  }
  return compacted;
}

absl::StatusOr<Restored> MarkRestored(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRestored, Params()));
  return Restored{rows[0].Int(0), rows[0].Int(1)};
}

}  // namespace godwit::store

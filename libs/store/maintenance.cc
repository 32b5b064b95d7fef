#include "libs/store/maintenance.h"

#include "libs/base/status.h"
#include "libs/store/mailbox.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kCompact("maintenance_compact", Scope::kOneAccount, Access::kWrite,
                             "SELECT compact_change_log($1, $2)");

const db::Statement kOldLogs("maintenance_old_logs", Scope::kBatch, Access::kRead,
                             "SELECT DISTINCT account_id FROM change_log WHERE at < $1 LIMIT $2");

const db::Statement kDoomed("maintenance_doomed", Scope::kBatch, Access::kRead, R"sql(
  SELECT account_id, mailbox_id FROM doomed_mailboxes
  UNION ALL SELECT account_id, 0 FROM doomed_accounts ORDER BY 1 LIMIT $1)sql");

const db::Statement kPurgeAccount("maintenance_purge_account", Scope::kOneAccount, Access::kWrite,
                                  "SELECT purge_account($1, $2)");

const db::Statement kBacklog("maintenance_backlog", Scope::kBatch, Access::kRead,
                             "SELECT staged, dead, mailboxes, accounts "
                             "FROM sweep_backlog($1, $2, $3)");

const db::Statement kRestored("maintenance_restored", Scope::kBatch, Access::kWrite,
                              "SELECT accounts_done, messages_held FROM mark_restored()");

// One sweep looks at so many doomed mailboxes and accounts.
constexpr int kMaxDoomed = 100;

// The account may have been removed meanwhile, or is locked: the next time will do.
bool CanWait(const absl::Status& status) {
  return status.code() == absl::StatusCode::kNotFound ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

// Rows of the doomed mailbox, or of the removed account when there is none.
absl::StatusOr<int64_t> Purge(db::Connection& connection, AccountId account, MailboxId mailbox,
                              absl::Time now, int limit) {
  if (mailbox != MailboxId::kNone) {
    GODWIT_ASSIGN_OR_RETURN(const Purged purged,
                            PurgeMailbox(connection, account, mailbox, now, limit));
    return purged.entries;
  }
  Params params;
  params.Int(ToInt(account)).Int(limit);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kPurgeAccount, params));
    return rows[0].Int(0);
  });
}

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
                                            int limit, absl::Duration slack) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kOldLogs, Params().Time(before - slack).Int(limit)));
  Compacted compacted;
  for (db::Row row : rows) {
    auto count = CompactChangeLog(connection, AccountId{row.Int(0)}, before);
    if (CanWait(count.status())) continue;
    GODWIT_RETURN_IF_ERROR(count.status());
    ++compacted.accounts;
    compacted.rows += *count;
  }
  return compacted;
}

absl::StatusOr<int64_t> SweepDeleted(db::Connection& connection, absl::Time now, int limit) {
  GODWIT_ASSIGN_OR_RETURN(auto doomed, connection.Execute(kDoomed, Params().Int(kMaxDoomed)));
  int64_t removed = 0;
  AccountId passed = AccountId::kNone;
  for (db::Row row : doomed) {
    const AccountId account{row.Int(0)};
    // One wait for a locked account is enough.
    if (account == passed) continue;
    auto rows = Purge(connection, account, MailboxId{row.Int(1)}, now, limit);
    if (CanWait(rows.status())) {
      passed = account;
      continue;
    }
    GODWIT_RETURN_IF_ERROR(rows.status());
    removed += *rows;
    if (removed >= limit) break;
  }
  return removed;
}

absl::StatusOr<SweepBacklog> GetSweepBacklog(db::Connection& connection, absl::Time now,
                                             absl::Time dead_before) {
  Params params;
  params.Time(now).Time(dead_before).Int(kMaxBacklog);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kBacklog, params));
  return SweepBacklog{rows[0].Int(0), rows[0].Int(1), rows[0].Int(2), rows[0].Int(3)};
}

absl::StatusOr<Restored> MarkRestored(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRestored, Params()));
  return Restored{rows[0].Int(0), rows[0].Int(1)};
}

}  // namespace godwit::store

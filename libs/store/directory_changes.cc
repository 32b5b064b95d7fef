#include "libs/store/directory_changes.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kLast("directory_changes_last", Scope::kDirectory, Access::kRead,
                          "SELECT last_change FROM directory_state");

// One statement, hence one snapshot of the counter and the rows.
const db::Statement kRead("directory_changes_read", Scope::kDirectory, Access::kRead, R"sql(
  SELECT s.last_change, c.change_id, c.kind, c.account_id, c.domain
  FROM directory_state s LEFT JOIN directory_changes c ON c.change_id > $1
  ORDER BY c.change_id LIMIT $2)sql");

const db::Statement kCompact("directory_changes_compact", Scope::kDirectory, Access::kWrite,
                             "SELECT compact_directory_changes($1)");

DirectoryKind KindFrom(std::string_view name) {
  if (name == "account") return DirectoryKind::kAccount;
  if (name == "credential") return DirectoryKind::kCredential;
  if (name == "domain") return DirectoryKind::kDomain;
  if (name == "dkim-key") return DirectoryKind::kDkimKey;
  return DirectoryKind::kOther;
}

DirectoryChange ChangeFrom(const db::Row& row) {
  DirectoryChange change;
  change.id = row.Int(1);
  change.kind = KindFrom(row.Text(2));
  change.account = AccountId{row.OptionalInt(3).value_or(0)};
  change.domain = row.OptionalText(4).value_or("");
  return change;
}

}  // namespace

absl::StatusOr<int64_t> LastDirectoryChange(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kLast, Params()));
  if (rows.empty()) return base::DataLoss("the directory has no state");
  return rows[0].Int(0);
}

absl::StatusOr<DirectoryChanges> ReadDirectoryChanges(db::Connection& connection, int64_t after,
                                                      int limit) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRead, Params().Int(after).Int(limit)));
  if (rows.empty()) return base::DataLoss("the directory has no state");
  DirectoryChanges news;
  news.last = rows[0].Int(0);
  const std::optional<int64_t> first = rows[0].OptionalInt(1);
  // Numbers have no gaps: what should come next is not there.
  news.missed = first.value_or(news.last + 1) != after + 1;
  if (news.missed || !first) return news;
  for (db::Row row : rows) news.changes.push_back(ChangeFrom(row));
  news.last = news.changes.back().id;
  return news;
}

absl::StatusOr<int64_t> CompactDirectoryChanges(db::Connection& connection, absl::Duration keep) {
  GODWIT_ASSIGN_OR_RETURN(
      auto rows, connection.Execute(kCompact, Params().Double(absl::ToDoubleSeconds(keep))));
  return rows[0].Int(0);
}

}  // namespace godwit::store

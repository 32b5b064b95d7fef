#include "libs/store/srs_secrets.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kList("srs_secrets_list", Scope::kDirectory, Access::kRead,
                          "SELECT secret FROM srs_secrets ORDER BY secret_id DESC");
const db::Statement kAdd("srs_secrets_add", Scope::kDirectory, Access::kWrite,
                         "INSERT INTO srs_secrets (secret, created_at) VALUES ($1, $2)");
// A secret signed for the last time when the next one came.
const db::Statement kForget("srs_secrets_forget", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM srs_secrets s WHERE EXISTS (
    SELECT FROM srs_secrets n WHERE n.secret_id > s.secret_id AND n.created_at < $1))sql");

}  // namespace

absl::StatusOr<std::vector<base::Secret>> ListSrsSecrets(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params()));
  std::vector<base::Secret> secrets;
  for (db::Row row : rows) secrets.emplace_back(row.Bytes(0));
  if (secrets.empty()) return base::FailedPrecondition("there is no SRS secret");
  return secrets;
}

absl::Status AddSrsSecret(db::Connection& connection, const base::Secret& secret, absl::Time now,
                          absl::Duration keep) {
  if (secret.size() < 16) return base::InvalidArgument("a secret has 16 octets or more");
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(c.Execute(kAdd, Params().Bytes(secret.Reveal()).Time(now)).status());
    return c.Execute(kForget, Params().Time(now - keep)).status();
  });
}

}  // namespace godwit::store

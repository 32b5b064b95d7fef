#include "libs/store/web_session.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kAdd("web_session_add", Scope::kOneAccount, Access::kWrite,
                         "SELECT add_web_session($1, $2, $3, $4, c.created_at, $5, $6, $7) "
                         "FROM credentials c WHERE c.account_id = $1 AND c.credential_id = $4");

const db::Statement kFind("web_session_find", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT s.address, s.credential_id, s.created_at, s.expires_at
  FROM web_sessions s
  JOIN accounts a ON a.account_id = $1 AND NOT a.disabled
  JOIN credentials c ON c.account_id = $1 AND c.credential_id = s.credential_id
    AND c.created_at = s.credential_at
  WHERE s.account_id = $1 AND s.token_hash = $2 AND s.expires_at > $3)sql");

const db::Statement kExtend("web_session_extend", Scope::kOneAccount, Access::kWrite,
                            "UPDATE web_sessions SET expires_at = $3 "
                            "WHERE account_id = $1 AND token_hash = $2");

const db::Statement kRemove("web_session_remove", Scope::kOneAccount, Access::kWrite,
                            "DELETE FROM web_sessions WHERE account_id = $1 AND token_hash = $2");

const db::Statement kSweepSessions("web_session_sweep", Scope::kBatch, Access::kWrite, R"sql(
  DELETE FROM web_sessions s USING (
    SELECT account_id, token_hash FROM web_sessions WHERE expires_at < $1
    ORDER BY expires_at LIMIT $2) o
  WHERE s.account_id = o.account_id AND s.token_hash = o.token_hash)sql");

const db::Statement kSweepUploads("web_upload_sweep", Scope::kBatch, Access::kWrite, R"sql(
  DELETE FROM uploads u USING (
    SELECT account_id, blob_id FROM uploads WHERE expires_at < $1
    ORDER BY expires_at LIMIT $2) o
  WHERE u.account_id = o.account_id AND u.blob_id = o.blob_id)sql");

Params Key(AccountId account, std::string_view token_hash) {
  Params params;
  params.Int(ToInt(account)).Bytes(token_hash);
  return params;
}

}  // namespace

absl::Status AddWebSession(db::Connection& connection, const WebSession& session) {
  Params params = Key(session.account, session.token_hash);
  params.Text(session.address).Int(session.credential).Time(session.created);
  params.Time(session.expires).Int(kMaxWebSessions);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kAdd, params));
    return rows.empty() ? base::NotFound("no such credential") : absl::OkStatus();
  });
}

absl::StatusOr<std::optional<WebSession>> FindWebSession(db::Connection& connection,
                                                         AccountId account,
                                                         std::string_view token_hash,
                                                         absl::Time now) {
  Params params = Key(account, token_hash);
  params.Time(now);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFind, params));
  if (rows.empty()) return std::optional<WebSession>();
  const db::Row row = rows[0];
  WebSession session;
  session.account = account;
  session.token_hash = token_hash;
  session.address = row.Text(0);
  session.credential = row.Int(1);
  session.created = row.Time(2);
  session.expires = row.Time(3);
  return std::optional<WebSession>(std::move(session));
}

absl::Status ExtendWebSession(db::Connection& connection, AccountId account,
                              std::string_view token_hash, absl::Time expires) {
  Params params = Key(account, token_hash);
  params.Time(expires);
  return connection.Execute(kExtend, params).status();
}

absl::Status RemoveWebSession(db::Connection& connection, AccountId account,
                              std::string_view token_hash) {
  return connection.Execute(kRemove, Key(account, token_hash)).status();
}

absl::Status SweepWeb(db::Connection& connection, absl::Time now, int limit) {
  Params params;
  params.Time(now).Int(limit);
  GODWIT_RETURN_IF_ERROR(connection.Execute(kSweepSessions, params).status());
  return connection.Execute(kSweepUploads, params).status();
}

}  // namespace godwit::store

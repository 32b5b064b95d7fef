#include "libs/store/watch.h"

#include "absl/container/flat_hash_map.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kRegister("watch_register", Scope::kBatch, Access::kWrite, R"sql(
  INSERT INTO gateways (gateway_id, daemon, address, beat_at)
  VALUES ($1, $2, $3, clock_timestamp())
  ON CONFLICT (gateway_id) DO UPDATE SET address = excluded.address, beat_at = excluded.beat_at)sql");

const db::Statement kBeat("watch_beat", Scope::kBatch, Access::kWrite,
                          "SELECT beat_gateway($1, $2)");

const db::Statement kUnregister("watch_unregister", Scope::kBatch, Access::kWrite,
                                "SELECT unregister_gateway($1)");

const db::Statement kWatch("watch_account", Scope::kOneAccount, Access::kWrite,
                           "SELECT watch_account($1, $2)");

const db::Statement kUnwatch("watch_unwatch", Scope::kOneAccount, Access::kWrite,
                             "DELETE FROM watchers WHERE account_id = $1 AND gateway_id = $2");

const db::Statement kModseqs("watch_modseqs", Scope::kBatch, Access::kRead,
                             "SELECT account_id, modseq FROM accounts "
                             "WHERE account_id = ANY ($1)");

}  // namespace

absl::Status RegisterGateway(db::Connection& connection, GatewayId gateway, std::string_view daemon,
                             std::string_view address) {
  Params params;
  params.Int(ToInt(gateway)).Text(daemon).Text(address);
  return connection.Execute(kRegister, params).status();
}

absl::Status Heartbeat(db::Connection& connection, GatewayId gateway, absl::Duration stale) {
  Params params;
  params.Int(ToInt(gateway)).Double(absl::ToDoubleSeconds(stale));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kBeat, params));
  if (!rows[0].Bool(0)) return base::NotFound("the gateway's registration is gone");
  return absl::OkStatus();
}

absl::Status UnregisterGateway(db::Connection& connection, GatewayId gateway) {
  return connection.Execute(kUnregister, Params().Int(ToInt(gateway))).status();
}

absl::StatusOr<Modseq> WatchAccount(db::Connection& connection, AccountId account,
                                    GatewayId gateway) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(gateway));
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<Modseq> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kWatch, params));
    return rows[0].Int(0);
  });
}

absl::Status UnwatchAccount(db::Connection& connection, AccountId account, GatewayId gateway) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(gateway));
  return connection.Execute(kUnwatch, params).status();
}

absl::StatusOr<std::vector<Modseq>> GetModseqs(db::Connection& connection,
                                               std::span<const AccountId> accounts) {
  std::vector<int64_t> ids;
  for (AccountId account : accounts) ids.push_back(ToInt(account));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kModseqs, Params().Ints(ids)));
  absl::flat_hash_map<int64_t, Modseq> found;
  for (db::Row row : rows) found[row.Int(0)] = row.Int(1);
  std::vector<Modseq> modseqs;
  for (int64_t id : ids) modseqs.push_back(found[id]);
  return modseqs;
}

}  // namespace godwit::store

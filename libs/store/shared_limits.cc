#include "libs/store/shared_limits.h"

#include <string_view>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// No index but the key's: the update stays on its page.
const db::Statement kTell("shared_limits_tell", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO shared_limits (replica, at, counters, networks, levels)
  VALUES ($1, clock_timestamp(), $2, $3, $4)
  ON CONFLICT (replica) DO UPDATE SET at = excluded.at, counters = excluded.counters,
    networks = excluded.networks, levels = excluded.levels)sql");

// A replica that ended, this one included. The others' rows change each second: never waits.
const db::Statement kForget("shared_limits_forget", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM shared_limits WHERE replica = $1 OR replica IN (
    SELECT replica FROM shared_limits WHERE at < clock_timestamp() - interval '5 minutes'
    FOR UPDATE SKIP LOCKED))sql");

const db::Statement kHear("shared_limits_hear", Scope::kDirectory, Access::kRead, R"sql(
  SELECT t.counter, t.network, t.level
  FROM shared_limits, unnest(counters, networks, levels) AS t (counter, network, level)
  WHERE replica <> $1 AND at > clock_timestamp() - $2 * interval '1 second')sql");

}  // namespace

absl::Status TellCounts(db::Connection& connection, int64_t replica,
                        const std::vector<SharedCount>& counts) {
  if (counts.empty()) return connection.Execute(kForget, Params().Int(replica)).status();
  std::vector<std::string_view> counters, networks;
  std::vector<int64_t> levels;
  for (const SharedCount& each : counts) {
    counters.push_back(each.counter);
    networks.push_back(each.network);
    levels.push_back(each.level);
  }
  Params params;
  params.Int(replica).Texts(counters).Texts(networks).Ints(levels);
  return connection.Execute(kTell, params).status();
}

absl::StatusOr<std::vector<SharedCount>> HearCounts(db::Connection& connection, int64_t replica,
                                                    absl::Duration life) {
  Params params;
  params.Int(replica).Double(absl::ToDoubleSeconds(life));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kHear, params));
  std::vector<SharedCount> counts;
  for (db::Row row : rows) {
    counts.push_back({std::string(row.Text(0)), std::string(row.Text(1)), row.Int(2)});
  }
  return counts;
}

}  // namespace godwit::store

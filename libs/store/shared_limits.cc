#include "libs/store/shared_limits.h"

#include <map>
#include <string_view>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// No index but the key's: the update stays on its page.
const db::Statement kTell("shared_limits_tell", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO shared_limits (replica, counter, at, networks, levels)
  VALUES ($1, $2, clock_timestamp(), $3, $4)
  ON CONFLICT (replica, counter) DO UPDATE SET at = excluded.at, networks = excluded.networks,
    levels = excluded.levels)sql");

const db::Statement kForget("shared_limits_forget", Scope::kDirectory, Access::kWrite,
                            "DELETE FROM shared_limits WHERE replica = $1 AND counter <> ALL ($2)");

// A clock that was put back leaves rows of the future. The others' rows change each second: never
// waits.
const db::Statement kSweep("shared_limits_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM shared_limits WHERE (replica, counter) IN (
    SELECT replica, counter FROM shared_limits
    WHERE at NOT BETWEEN clock_timestamp() - interval '5 minutes'
                     AND clock_timestamp() + interval '1 minute'
    FOR UPDATE SKIP LOCKED))sql");

const db::Statement kHear("shared_limits_hear", Scope::kDirectory, Access::kRead, R"sql(
  SELECT counter, network, least(sum(level), 1e15)::bigint
  FROM shared_limits, unnest(networks, levels) AS t (network, level)
  WHERE replica <> $1 AND counter = ANY ($2) AND at > clock_timestamp() - $3 * interval '1 second'
    AND at < clock_timestamp() + interval '10 seconds'
  GROUP BY counter, network)sql");

// Of one counter.
struct Counts {
  std::vector<std::string_view> networks;
  std::vector<int64_t> levels;
};

}  // namespace

absl::Status TellCounts(db::Connection& connection, int64_t replica,
                        const std::vector<SharedCount>& counts) {
  std::map<std::string_view, Counts> rows;
  for (const SharedCount& each : counts) {
    Counts& row = rows[each.counter];
    row.networks.push_back(each.network);
    row.levels.push_back(each.level);
  }
  std::vector<std::string_view> counters;
  for (const auto& [counter, row] : rows) {
    counters.push_back(counter);
    Params params;
    params.Int(replica).Text(counter).Texts(row.networks).Ints(row.levels);
    GODWIT_RETURN_IF_ERROR(connection.Execute(kTell, params).status());
  }
  return connection.Execute(kForget, Params().Int(replica).Texts(counters)).status();
}

absl::StatusOr<std::vector<SharedCount>> HearCounts(db::Connection& connection, int64_t replica,
                                                    const std::vector<std::string>& counters,
                                                    absl::Duration life) {
  Params params;
  params.Int(replica).Texts(counters).Double(absl::ToDoubleSeconds(life));
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kHear, params));
  std::vector<SharedCount> counts;
  for (db::Row row : rows) {
    counts.push_back({std::string(row.Text(0)), std::string(row.Text(1)), row.Int(2)});
  }
  return counts;
}

absl::Status SweepCounts(db::Connection& connection) {
  return connection.Execute(kSweep, Params()).status();
}

}  // namespace godwit::store

#include "libs/store/report_sending.h"

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kLease("report_lease", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO report_leases (name, holder, expires_at) VALUES ($1, $2, $4)
  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
  WHERE report_leases.holder = $2 OR report_leases.expires_at <= $3)sql");

const db::Statement kPut("suppression_put", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO report_suppressions (destination, expires_at, reason, created_at)
  VALUES ($1, $2, $3, $4)
  ON CONFLICT (destination) DO UPDATE SET expires_at = excluded.expires_at,
    reason = excluded.reason, created_at = excluded.created_at)sql");

const db::Statement kRemove("suppression_remove", Scope::kDirectory, Access::kWrite,
                            "DELETE FROM report_suppressions WHERE destination = $1");

const db::Statement kList("suppression_list", Scope::kDirectory, Access::kRead, R"sql(
  SELECT destination, expires_at, reason, created_at FROM report_suppressions
  ORDER BY destination)sql");

const db::Statement kFind("suppression_find", Scope::kDirectory, Access::kRead, R"sql(
  SELECT EXISTS (SELECT FROM report_suppressions
                 WHERE destination IN ($1, $2) AND (expires_at IS NULL OR expires_at > $3)))sql");

const db::Statement kDomain("report_domain", Scope::kDirectory, Access::kRead, R"sql(
  SELECT d.name FROM domains d
  WHERE NOT d.disabled
    AND EXISTS (SELECT FROM dkim_keys k WHERE k.domain = d.name AND k.state = 'active')
  ORDER BY d.created_at, d.name LIMIT 1)sql");

}  // namespace

absl::StatusOr<bool> TakeReportLease(db::Connection& connection, std::string_view name,
                                     std::string_view holder, absl::Time now, absl::Time until) {
  Params params;
  params.Text(name).Text(holder).Time(now).Time(until);
  GODWIT_ASSIGN_OR_RETURN(auto taken, connection.Execute(kLease, params));
  return taken.affected() == 1;
}

absl::Status PutReportSuppression(db::Connection& connection,
                                  const ReportSuppression& suppression) {
  Params params;
  params.Text(suppression.destination).OptionalTime(suppression.expires);
  params.Text(suppression.reason).Time(suppression.created);
  return connection.Execute(kPut, params).status();
}

absl::Status RemoveReportSuppression(db::Connection& connection, std::string_view destination) {
  GODWIT_ASSIGN_OR_RETURN(auto gone, connection.Execute(kRemove, Params().Text(destination)));
  if (gone.affected() == 1) return absl::OkStatus();
  return base::NotFound(std::string(destination) + " is not suppressed");
}

absl::StatusOr<std::vector<ReportSuppression>> ListReportSuppressions(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params()));
  std::vector<ReportSuppression> list;
  for (db::Row row : rows) {
    ReportSuppression& each = list.emplace_back();
    each.destination = row.Text(0);
    if (!row.IsNull(1)) each.expires = row.Time(1);
    each.reason = row.Text(2);
    each.created = row.Time(3);
  }
  return list;
}

absl::StatusOr<bool> IsReportSuppressed(db::Connection& connection, std::string_view address,
                                        absl::Time now) {
  const std::string lower = base::Lower(address);
  const size_t at = lower.rfind('@');
  const std::string domain = at == lower.npos ? lower : lower.substr(at);
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kFind, Params().Text(lower).Text(domain).Time(now)));
  return rows[0].Bool(0);
}

absl::StatusOr<std::optional<std::string>> DefaultReportDomain(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kDomain, Params()));
  if (rows.empty()) return std::optional<std::string>();
  return std::optional<std::string>(rows[0].Text(0));
}

}  // namespace godwit::store

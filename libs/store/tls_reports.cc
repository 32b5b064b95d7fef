#include "libs/store/tls_reports.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// Of names those that are a domain of ours or below one: `parent` is the name or one above it.
const db::Statement kOurs("tls_report_ours", Scope::kDirectory, Access::kRead, R"sql(
  SELECT DISTINCT t.name FROM unnest($1::text[], $2::text[]) AS t (name, parent)
  JOIN domains ON domains.name = t.parent)sql");

const db::Statement kCount("tls_report_count", Scope::kDirectory, Access::kRead, R"sql(
  SELECT count(*) FROM tls_reports WHERE domain = $1 AND received_at > $2)sql");

const db::Statement kMakeMonth("tls_report_month", Scope::kDirectory, Access::kWrite,
                               "SELECT make_tls_reports_month($1)");

const db::Statement kAdd("tls_report_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO tls_reports (begins_at, domain, reporter, organization, contact, report_id, ends_at,
                           received_at, successful, failed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT DO NOTHING RETURNING report_no)sql");

const db::Statement kAddPolicy("tls_report_policy_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO tls_report_policies (begins_at, report_no, policy_no, domain, policy_type, policy,
                                   mx_hosts, successful, failed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))sql");

const db::Statement kAddFailures("tls_report_failures_add", Scope::kDirectory, Access::kWrite,
                                 R"sql(
  INSERT INTO tls_report_failures (begins_at, report_no, policy_no, result_type, sending_ip,
                                   mx_host, mx_helo, receiving_ip, sessions, additional_info,
                                   reason_code)
  SELECT $1, $2, $3, result_type, sending_ip, mx_host, mx_helo, receiving_ip, sessions, info, code
  FROM unnest($4::text[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::bigint[],
              $10::text[], $11::text[])
    AS t (result_type, sending_ip, mx_host, mx_helo, receiving_ip, sessions, info, code))sql");

#define GODWIT_TLS_REPORTS                                                                     \
  "SELECT report_no, domain, reporter, organization, contact, report_id, begins_at, ends_at, " \
  "received_at, successful, failed FROM tls_reports r "

const db::Statement kList("tls_report_list", Scope::kDirectory, Access::kRead,
                          GODWIT_TLS_REPORTS
                          "WHERE $1 = '' OR EXISTS (SELECT FROM tls_report_policies p WHERE "
                          "p.begins_at = r.begins_at AND p.report_no = r.report_no AND "
                          "p.domain = $1) ORDER BY received_at DESC, report_no DESC LIMIT $2");
const db::Statement kGet("tls_report_get", Scope::kDirectory, Access::kRead,
                         GODWIT_TLS_REPORTS "WHERE report_no = $1");
#undef GODWIT_TLS_REPORTS

const db::Statement kPolicies("tls_report_policies", Scope::kDirectory, Access::kRead, R"sql(
  SELECT domain, policy_type, policy, mx_hosts, successful, failed
  FROM tls_report_policies WHERE begins_at = $1 AND report_no = $2 ORDER BY policy_no)sql");

const db::Statement kFailures("tls_report_failures", Scope::kDirectory, Access::kRead, R"sql(
  SELECT policy_no, result_type, sending_ip, mx_host, mx_helo, receiving_ip, sessions,
         additional_info, reason_code
  FROM tls_report_failures WHERE begins_at = $1 AND report_no = $2
  ORDER BY sessions DESC, result_type, mx_host, sending_ip, receiving_ip)sql");

const db::Statement kKeep("tls_report_keep", Scope::kDirectory, Access::kWrite,
                          "SELECT keep_tls_reports($1)");

absl::Status KeepOurs(db::Connection& connection, ReceivedTlsReport* report) {
  std::vector<std::string_view> names, parents;
  for (const ReceivedTlsPolicy& policy : report->policies) {
    const std::string_view name = policy.domain;
    for (size_t at = 0; at < name.size(); at = std::min(name.find('.', at), name.size() - 1) + 1) {
      names.push_back(name);
      parents.push_back(name.substr(at));
    }
  }
  const Params params = Params().Texts(names).Texts(parents);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kOurs, params));
  std::vector<std::string> ours;
  for (db::Row row : rows) ours.emplace_back(row.Text(0));
  if (ours.empty()) {
    const std::string first = names.empty() ? "nothing" : std::string(names.front());
    return base::FailedPrecondition(first + " is not ours");
  }
  std::erase_if(report->policies, [&](const ReceivedTlsPolicy& policy) {
    return std::find(ours.begin(), ours.end(), policy.domain) == ours.end();
  });
  report->domain = report->policies.front().domain;
  report->successful = report->failed = 0;
  for (const ReceivedTlsPolicy& policy : report->policies) {
    report->successful += policy.successful;
    report->failed += policy.failed;
  }
  return absl::OkStatus();
}

absl::Status AddFailures(db::Connection& connection, const Params& key,
                         const std::vector<ReceivedTlsFailure>& failures) {
  std::vector<std::string_view> types, sending, hosts, helos, receiving, infos, codes;
  std::vector<int64_t> sessions;
  for (const ReceivedTlsFailure& each : failures) {
    types.push_back(each.result_type);
    sending.push_back(each.sending_ip);
    hosts.push_back(each.mx_host);
    helos.push_back(each.mx_helo);
    receiving.push_back(each.receiving_ip);
    sessions.push_back(each.sessions);
    infos.push_back(each.additional_info);
    codes.push_back(each.reason_code);
  }
  Params params = key;
  params.Texts(types).BytesArray(sending).Texts(hosts).Texts(helos).BytesArray(receiving);
  params.Ints(sessions).Texts(infos).Texts(codes);
  return connection.Execute(kAddFailures, params).status();
}

absl::Status AddPolicies(db::Connection& connection, int64_t number,
                         const ReceivedTlsReport& report) {
  int64_t index = 0;
  for (const ReceivedTlsPolicy& policy : report.policies) {
    const Params key = Params().Time(report.begins).Int(number).Int(index++);
    Params params = key;
    params.Text(policy.domain).Text(policy.type).Texts(policy.text).Texts(policy.mx_hosts);
    params.Int(policy.successful).Int(policy.failed);
    GODWIT_RETURN_IF_ERROR(connection.Execute(kAddPolicy, params).status());
    if (policy.failures.empty()) continue;
    GODWIT_RETURN_IF_ERROR(AddFailures(connection, key, policy.failures));
  }
  return absl::OkStatus();
}

absl::StatusOr<TlsReportStored> AddReport(db::Connection& connection,
                                          const ReceivedTlsReport& report, int64_t most) {
  const Params asked = Params().Text(report.domain).Time(report.received - absl::Hours(24));
  GODWIT_ASSIGN_OR_RETURN(auto count, connection.Execute(kCount, asked));
  if (count[0].Int(0) >= most) return TlsReportStored::kTooMany;
  GODWIT_RETURN_IF_ERROR(connection.Execute(kMakeMonth, Params().Time(report.begins)).status());
  Params params;
  params.Time(report.begins).Text(report.domain).Text(report.reporter).Text(report.organization);
  params.Text(report.contact).Text(report.report_id).Time(report.ends).Time(report.received);
  params.Int(report.successful).Int(report.failed);
  GODWIT_ASSIGN_OR_RETURN(auto added, connection.Execute(kAdd, params));
  if (added.empty()) return TlsReportStored::kDuplicate;
  GODWIT_RETURN_IF_ERROR(AddPolicies(connection, added[0].Int(0), report));
  return TlsReportStored::kNew;
}

ReceivedTlsReport ReportFrom(const db::Row& row) {
  ReceivedTlsReport report;
  report.number = row.Int(0);
  report.domain = row.Text(1);
  report.reporter = row.Text(2);
  report.organization = row.Text(3);
  report.contact = row.Text(4);
  report.report_id = row.Text(5);
  report.begins = row.Time(6);
  report.ends = row.Time(7);
  report.received = row.Time(8);
  report.successful = row.Int(9);
  report.failed = row.Int(10);
  return report;
}

ReceivedTlsPolicy PolicyFrom(const db::Row& row) {
  ReceivedTlsPolicy policy;
  policy.domain = row.Text(0);
  policy.type = row.Text(1);
  policy.text = row.Texts(2);
  policy.mx_hosts = row.Texts(3);
  policy.successful = row.Int(4);
  policy.failed = row.Int(5);
  return policy;
}

ReceivedTlsFailure FailureFrom(const db::Row& row) {
  ReceivedTlsFailure failure;
  failure.result_type = row.Text(1);
  failure.sending_ip = row.Bytes(2);
  failure.mx_host = row.Text(3);
  failure.mx_helo = row.Text(4);
  failure.receiving_ip = row.Bytes(5);
  failure.sessions = row.Int(6);
  failure.additional_info = row.Text(7);
  failure.reason_code = row.Text(8);
  return failure;
}

}  // namespace

absl::StatusOr<TlsReportStored> StoreTlsReport(db::Connection& connection,
                                               ReceivedTlsReport* report, int64_t most) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<TlsReportStored> {
    GODWIT_RETURN_IF_ERROR(KeepOurs(c, report));
    return AddReport(c, *report, most);
  });
}

absl::StatusOr<std::vector<ReceivedTlsReport>> ListTlsReports(db::Connection& connection,
                                                              std::string_view domain, int most) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params().Text(domain).Int(most)));
  std::vector<ReceivedTlsReport> reports;
  for (db::Row row : rows) reports.push_back(ReportFrom(row));
  return reports;
}

absl::StatusOr<ReceivedTlsReport> GetTlsReport(db::Connection& connection, int64_t number) {
  GODWIT_ASSIGN_OR_RETURN(auto found, connection.Execute(kGet, Params().Int(number)));
  if (found.empty()) return base::NotFound("there is no such report");
  ReceivedTlsReport report = ReportFrom(found[0]);
  const Params key = Params().Time(report.begins).Int(number);
  GODWIT_ASSIGN_OR_RETURN(auto policies, connection.Execute(kPolicies, key));
  for (db::Row row : policies) report.policies.push_back(PolicyFrom(row));
  GODWIT_ASSIGN_OR_RETURN(auto failures, connection.Execute(kFailures, key));
  for (db::Row row : failures) {
    const auto policy = static_cast<size_t>(row.Int(0));
    if (policy >= report.policies.size()) return base::Internal("a failure of no policy");
    report.policies[policy].failures.push_back(FailureFrom(row));
  }
  return report;
}

absl::StatusOr<int64_t> KeepTlsReports(db::Connection& connection, absl::Time oldest) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kKeep, Params().Time(oldest)));
  return rows[0].Int(0);
}

}  // namespace godwit::store

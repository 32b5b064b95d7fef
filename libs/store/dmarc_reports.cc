#include "libs/store/dmarc_reports.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kMay("dmarc_report_may", Scope::kDirectory, Access::kRead, R"sql(
  SELECT EXISTS (SELECT FROM domains WHERE name = $1),
         (SELECT count(*) FROM dmarc_reports WHERE domain = $1 AND received_at > $2))sql");

const db::Statement kAdd("dmarc_report_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO dmarc_reports (domain, reporter, organization, report_id, begins_at, ends_at,
                             received_at, policy, errors, messages, failed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
  ON CONFLICT DO NOTHING RETURNING report_no)sql");

const db::Statement kAddRows("dmarc_report_rows_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO dmarc_report_rows (report_no, row_no, source_ip, messages, disposition, dkim, spf,
                                 header_from, envelope_from, reasons, dkim_results, spf_results)
  SELECT $1, n, source_ip, messages, disposition, dkim, spf, header_from, envelope_from, reasons,
         dkim_results, spf_results
  FROM unnest($2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
              $8::text[], $9::text[], $10::text[], $11::text[])
    WITH ORDINALITY AS t (source_ip, messages, disposition, dkim, spf, header_from, envelope_from,
                          reasons, dkim_results, spf_results, n))sql");

#define GODWIT_REPORTS                                                                \
  "SELECT report_no, domain, reporter, organization, report_id, begins_at, ends_at, " \
  "received_at, policy, errors, messages, failed FROM dmarc_reports "

const db::Statement kList("dmarc_report_list", Scope::kDirectory, Access::kRead,
                          GODWIT_REPORTS
                          "WHERE $1 = '' OR domain = $1 ORDER BY received_at DESC LIMIT $2");
const db::Statement kGet("dmarc_report_get", Scope::kDirectory, Access::kRead,
                         GODWIT_REPORTS "WHERE report_no = $1");
#undef GODWIT_REPORTS

const db::Statement kRows("dmarc_report_rows", Scope::kDirectory, Access::kRead, R"sql(
  SELECT source_ip, messages, disposition, dkim, spf, header_from, envelope_from, reasons,
         dkim_results, spf_results
  FROM dmarc_report_rows WHERE report_no = $1 ORDER BY messages DESC, row_no)sql");

const db::Statement kSweep("dmarc_report_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM dmarc_reports WHERE report_no IN (
    SELECT report_no FROM dmarc_reports WHERE received_at < $1
    ORDER BY received_at LIMIT $2))sql");

const db::Statement kAddresses("report_addresses", Scope::kDirectory, Access::kRead, R"sql(
  SELECT local_part || '@' || domain FROM addresses WHERE reports ORDER BY 1)sql");

const db::Statement kSetAddress("report_address_set", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE addresses SET reports = $3 WHERE domain = $2 AND local_part = $1)sql");

absl::Status AddRows(db::Connection& connection, int64_t number, const ReceivedReport& report) {
  std::vector<std::string_view> ips, disposition, dkim, spf, header_from, envelope_from;
  std::vector<std::string_view> reasons, dkim_results, spf_results;
  std::vector<int64_t> messages;
  for (const ReceivedReportRow& row : report.rows) {
    ips.push_back(row.source_ip);
    messages.push_back(row.messages);
    disposition.push_back(row.disposition);
    dkim.push_back(row.dkim);
    spf.push_back(row.spf);
    header_from.push_back(row.header_from);
    envelope_from.push_back(row.envelope_from);
    reasons.push_back(row.reasons);
    dkim_results.push_back(row.dkim_results);
    spf_results.push_back(row.spf_results);
  }
  Params params;
  params.Int(number).BytesArray(ips).Ints(messages).Texts(disposition).Texts(dkim).Texts(spf);
  params.Texts(header_from).Texts(envelope_from).Texts(reasons).Texts(dkim_results);
  params.Texts(spf_results);
  return connection.Execute(kAddRows, params).status();
}

ReceivedReport ReportFrom(const db::Row& row) {
  ReceivedReport report;
  report.number = row.Int(0);
  report.domain = row.Text(1);
  report.reporter = row.Text(2);
  report.organization = row.Text(3);
  report.report_id = row.Text(4);
  report.begins = row.Time(5);
  report.ends = row.Time(6);
  report.received = row.Time(7);
  report.policy = row.Text(8);
  report.errors = row.Text(9);
  report.messages = row.Int(10);
  report.failed = row.Int(11);
  return report;
}

ReceivedReportRow RowFrom(const db::Row& from) {
  ReceivedReportRow row;
  row.source_ip = from.Bytes(0);
  row.messages = from.Int(1);
  row.disposition = from.Text(2);
  row.dkim = from.Text(3);
  row.spf = from.Text(4);
  row.header_from = from.Text(5);
  row.envelope_from = from.Text(6);
  row.reasons = from.Text(7);
  row.dkim_results = from.Text(8);
  row.spf_results = from.Text(9);
  return row;
}

}  // namespace

absl::StatusOr<ReportStored> StoreReceivedReport(db::Connection& connection,
                                                 const ReceivedReport& report, int64_t most) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<ReportStored> {
    const Params asked = Params().Text(report.domain).Time(report.received - absl::Hours(24));
    GODWIT_ASSIGN_OR_RETURN(auto may, c.Execute(kMay, asked));
    if (!may[0].Bool(0)) return base::FailedPrecondition(report.domain + " is not ours");
    if (may[0].Int(1) >= most) return ReportStored::kTooMany;
    Params params;
    params.Text(report.domain).Text(report.reporter).Text(report.organization);
    params.Text(report.report_id).Time(report.begins).Time(report.ends).Time(report.received);
    params.Text(report.policy).Text(report.errors).Int(report.messages).Int(report.failed);
    GODWIT_ASSIGN_OR_RETURN(auto added, c.Execute(kAdd, params));
    if (added.empty()) return ReportStored::kDuplicate;
    GODWIT_RETURN_IF_ERROR(AddRows(c, added[0].Int(0), report));
    return ReportStored::kNew;
  });
}

absl::StatusOr<std::vector<ReceivedReport>> ListReceivedReports(db::Connection& connection,
                                                                std::string_view domain, int most) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params().Text(domain).Int(most)));
  std::vector<ReceivedReport> reports;
  for (db::Row row : rows) reports.push_back(ReportFrom(row));
  return reports;
}

absl::StatusOr<ReceivedReport> GetReceivedReport(db::Connection& connection, int64_t number) {
  GODWIT_ASSIGN_OR_RETURN(auto found, connection.Execute(kGet, Params().Int(number)));
  if (found.empty()) return base::NotFound("there is no such report");
  ReceivedReport report = ReportFrom(found[0]);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRows, Params().Int(number)));
  for (db::Row row : rows) report.rows.push_back(RowFrom(row));
  return report;
}

absl::StatusOr<int64_t> SweepReceivedReports(db::Connection& connection, absl::Time oldest,
                                             int most) {
  GODWIT_ASSIGN_OR_RETURN(auto gone, connection.Execute(kSweep, Params().Time(oldest).Int(most)));
  return gone.affected();
}

absl::StatusOr<std::vector<std::string>> ListReportAddresses(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAddresses, Params()));
  std::vector<std::string> addresses;
  for (db::Row row : rows) addresses.emplace_back(row.Text(0));
  return addresses;
}

absl::Status SetReportAddress(db::Connection& connection, std::string_view local_part,
                              std::string_view domain, bool reports) {
  const Params params =
      Params().Text(base::Lower(local_part)).Text(base::Lower(domain)).Bool(reports);
  GODWIT_ASSIGN_OR_RETURN(auto set, connection.Execute(kSetAddress, params));
  if (set.affected() == 1) return absl::OkStatus();
  return base::NotFound("there is no such address");
}

}  // namespace godwit::store

#include "libs/store/dmarc_evaluations.h"

#include <openssl/sha.h>

#include <map>
#include <tuple>
#include <utility>

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// Takes the periods' locks, in one order, and says what room each has.
const db::Statement kPeriods("dmarc_periods_add", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO dmarc_periods (policy_domain, begins_at, ends_at, due_at, record, wanted)
  SELECT domain, begins, ends, due, record, wanted
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[],
              $6::boolean[])
    WITH ORDINALITY AS t (domain, begins, ends, due, record, wanted, n)
  WHERE n <= $7 OR EXISTS (SELECT FROM dmarc_periods p
                           WHERE p.policy_domain = t.domain AND p.begins_at = t.begins)
  ORDER BY domain, begins
  ON CONFLICT (policy_domain, begins_at) DO UPDATE
    SET record = excluded.record, wanted = dmarc_periods.wanted OR excluded.wanted)sql");

// The periods are locked: nobody else changes their rows meanwhile. What was finished is too late.
const db::Statement kRows("dmarc_rows_add", Scope::kDirectory, Access::kWrite, R"sql(
  WITH given AS (
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bytea[], $4::bytea[], $5::text[],
                         $6::text[], $7::text[], $8::text[], $9::boolean[], $10::boolean[],
                         $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                         $16::bigint[])
      AS t (policy_domain, begins_at, row_key, source_ip, header_from, envelope_from, envelope_to,
            disposition, dkim_aligned, spf_aligned, reasons, dkim, spf_domain, spf_result, failure,
            messages)
  ), known AS (
    UPDATE dmarc_rows r SET messages = r.messages + g.messages
    FROM given g JOIN dmarc_periods p USING (policy_domain, begins_at)
    WHERE p.done_at IS NULL AND r.policy_domain = g.policy_domain AND r.begins_at = g.begins_at
      AND r.row_key = g.row_key
    RETURNING r.policy_domain, r.begins_at, r.row_key, g.messages
  ), fresh AS (
    SELECT g.*, p.row_count,
           row_number() OVER (PARTITION BY g.policy_domain, g.begins_at ORDER BY g.row_key) AS n,
           row_number() OVER (ORDER BY g.policy_domain, g.begins_at, g.row_key) AS total
    FROM given g JOIN dmarc_periods p USING (policy_domain, begins_at)
    WHERE p.done_at IS NULL
      AND NOT EXISTS (SELECT FROM known k WHERE k.policy_domain = g.policy_domain
                        AND k.begins_at = g.begins_at AND k.row_key = g.row_key)
  ), added AS (
    INSERT INTO dmarc_rows (policy_domain, begins_at, row_key, source_ip, header_from,
                            envelope_from, envelope_to, disposition, dkim_aligned, spf_aligned,
                            reasons, dkim, spf_domain, spf_result, failure, messages)
    SELECT policy_domain, begins_at, row_key, source_ip, header_from, envelope_from, envelope_to,
           disposition, dkim_aligned, spf_aligned, reasons, dkim, spf_domain, spf_result, failure,
           messages
    FROM fresh WHERE row_count + n <= $17 AND total <= $18
    RETURNING policy_domain, begins_at, messages
  ), counts AS (
    SELECT g.policy_domain, g.begins_at, sum(g.messages)::bigint AS given,
           coalesce((SELECT sum(k.messages) FROM known k WHERE k.policy_domain = g.policy_domain
                       AND k.begins_at = g.begins_at), 0)::bigint AS old,
           coalesce((SELECT sum(a.messages) FROM added a WHERE a.policy_domain = g.policy_domain
                       AND a.begins_at = g.begins_at), 0)::bigint AS new,
           (SELECT count(*) FROM added a WHERE a.policy_domain = g.policy_domain
              AND a.begins_at = g.begins_at) AS new_rows
    FROM given g GROUP BY g.policy_domain, g.begins_at
  ), counted AS (
    UPDATE dmarc_periods p
    SET row_count = p.row_count + c.new_rows, dropped = p.dropped + c.given - c.old - c.new
    FROM counts c WHERE p.policy_domain = c.policy_domain AND p.begins_at = c.begins_at
  )
  SELECT coalesce(sum(given - old - new), 0)::bigint FROM counts)sql");

const db::Statement kTotals("dmarc_totals", Scope::kDirectory, Access::kRead, R"sql(
  SELECT count(*), coalesce(sum(row_count), 0)::bigint FROM dmarc_periods
  WHERE done_at IS NULL)sql");

#define GODWIT_PERIODS                                                                     \
  "SELECT policy_domain, begins_at, ends_at, due_at, record, wanted, row_count, dropped, " \
  "sent_to, CASE WHEN done_at IS NULL THEN '' ELSE outcome END FROM dmarc_periods "

const db::Statement kDue("dmarc_due", Scope::kDirectory, Access::kRead,
                         GODWIT_PERIODS
                         "WHERE done_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2");

const db::Statement kList("dmarc_list", Scope::kDirectory, Access::kRead,
                          GODWIT_PERIODS
                          "WHERE $1 = '' OR policy_domain = $1 "
                          "ORDER BY begins_at DESC, policy_domain LIMIT $2");

#define GODWIT_ROW_COLUMNS                                                          \
  "source_ip, header_from, envelope_from, envelope_to, disposition, dkim_aligned, " \
  "spf_aligned, reasons, dkim, spf_domain, spf_result, failure, messages"

const db::Statement kRead("dmarc_rows", Scope::kDirectory, Access::kRead,
                          "SELECT " GODWIT_ROW_COLUMNS
                          " FROM dmarc_rows WHERE policy_domain = $1 AND begins_at = $2 "
                          "ORDER BY messages DESC, row_key LIMIT $3");

const db::Statement kFailures("dmarc_failures", Scope::kDirectory, Access::kRead,
                              "SELECT " GODWIT_ROW_COLUMNS
                              ", policy_domain, begins_at FROM dmarc_rows "
                              "WHERE failure <> '' AND ($1 = '' OR policy_domain = $1) "
                              "ORDER BY begins_at DESC, policy_domain, messages DESC LIMIT $2");

const db::Statement kSent("dmarc_sent", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dmarc_periods SET sent_to = sent_to || $3::text
  WHERE policy_domain = $1 AND begins_at = $2 AND NOT $3 = ANY (sent_to))sql");

const db::Statement kPostpone("dmarc_postpone", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dmarc_periods SET due_at = $3 WHERE policy_domain = $1 AND begins_at = $2)sql");

const db::Statement kFinish("dmarc_finish", Scope::kDirectory, Access::kWrite, R"sql(
  UPDATE dmarc_periods SET done_at = $3, outcome = $4
  WHERE policy_domain = $1 AND begins_at = $2)sql");

const db::Statement kSweep("dmarc_sweep", Scope::kDirectory, Access::kWrite, R"sql(
  DELETE FROM dmarc_periods WHERE (policy_domain, begins_at) IN (
    SELECT policy_domain, begins_at FROM dmarc_periods WHERE ends_at < $1
    ORDER BY ends_at LIMIT $2))sql");

#undef GODWIT_PERIODS
#undef GODWIT_ROW_COLUMNS

using PeriodId = std::pair<std::string, absl::Time>;
using RowId = std::tuple<std::string, absl::Time, std::string>;

// Lengths in front, so that no two rows give the same text.
std::string RowKey(const DmarcRow& row) {
  std::string text = row.dkim_aligned ? "d" : "";
  text += row.spf_aligned ? "s|" : "|";
  for (const std::string* each :
       {&row.source_ip, &row.header_from, &row.envelope_from, &row.envelope_to, &row.disposition,
        &row.reasons, &row.dkim, &row.spf_domain, &row.spf_result, &row.failure}) {
    text += std::to_string(each->size()) + ':' + *each;
  }
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), 16);
}

// The last one of each counts, and one that is wanted makes it so.
std::map<PeriodId, DmarcPeriod> PeriodsOf(const std::vector<DmarcEvaluation>& evaluations) {
  std::map<PeriodId, DmarcPeriod> periods;
  for (const DmarcEvaluation& each : evaluations) {
    const DmarcPeriod& period = each.period;
    const auto [at, fresh] = periods.try_emplace({period.policy_domain, period.begins}, period);
    const bool wanted = period.wanted || (!fresh && at->second.wanted);
    at->second = period;
    at->second.wanted = wanted;
  }
  return periods;
}

std::map<RowId, DmarcRow> RowsOf(const std::vector<DmarcEvaluation>& evaluations) {
  std::map<RowId, DmarcRow> rows;
  for (const DmarcEvaluation& each : evaluations) {
    const RowId id{each.period.policy_domain, each.period.begins, RowKey(each.row)};
    const auto [at, fresh] = rows.try_emplace(id, each.row);
    if (!fresh) at->second.messages += each.row.messages;
  }
  return rows;
}

absl::Status AddPeriods(db::Connection& connection, const std::map<PeriodId, DmarcPeriod>& periods,
                        int64_t room) {
  std::vector<std::string_view> domains, records;
  std::vector<absl::Time> begins, ends, due;
  std::vector<bool> wanted;
  for (const auto& [id, period] : periods) {
    domains.push_back(period.policy_domain);
    records.push_back(period.record);
    begins.push_back(period.begins);
    ends.push_back(period.ends);
    due.push_back(period.due);
    wanted.push_back(period.wanted);
  }
  Params params;
  params.Texts(domains).Times(begins).Times(ends).Times(due).Texts(records).Bools(wanted);
  params.Int(room);
  return connection.Execute(kPeriods, params).status();
}

absl::StatusOr<int64_t> AddRows(db::Connection& connection, const std::map<RowId, DmarcRow>& rows,
                                const DmarcRoom& room) {
  std::vector<std::string_view> domains, keys, ips, from, envelope_from, envelope_to, disposition;
  std::vector<std::string_view> reasons, dkim, spf_domain, spf_result, failure;
  std::vector<absl::Time> begins;
  std::vector<bool> dkim_aligned, spf_aligned;
  std::vector<int64_t> messages;
  for (const auto& [id, row] : rows) {
    domains.push_back(std::get<0>(id));
    begins.push_back(std::get<1>(id));
    keys.push_back(std::get<2>(id));
    ips.push_back(row.source_ip);
    from.push_back(row.header_from);
    envelope_from.push_back(row.envelope_from);
    envelope_to.push_back(row.envelope_to);
    disposition.push_back(row.disposition);
    dkim_aligned.push_back(row.dkim_aligned);
    spf_aligned.push_back(row.spf_aligned);
    reasons.push_back(row.reasons);
    dkim.push_back(row.dkim);
    spf_domain.push_back(row.spf_domain);
    spf_result.push_back(row.spf_result);
    failure.push_back(row.failure);
    messages.push_back(row.messages);
  }
  Params params;
  params.Texts(domains).Times(begins).BytesArray(keys).BytesArray(ips).Texts(from);
  params.Texts(envelope_from).Texts(envelope_to).Texts(disposition).Bools(dkim_aligned);
  params.Bools(spf_aligned).Texts(reasons).Texts(dkim).Texts(spf_domain).Texts(spf_result);
  params.Texts(failure).Ints(messages).Int(room.rows_of_period).Int(room.rows);
  GODWIT_ASSIGN_OR_RETURN(auto result, connection.Execute(kRows, params));
  return result[0].Int(0);
}

DmarcPeriod PeriodFrom(const db::Row& row) {
  DmarcPeriod period;
  period.policy_domain = row.Text(0);
  period.begins = row.Time(1);
  period.ends = row.Time(2);
  period.due = row.Time(3);
  period.record = row.Text(4);
  period.wanted = row.Bool(5);
  period.rows = row.Int(6);
  period.dropped = row.Int(7);
  period.sent_to = row.Texts(8);
  period.outcome = row.Text(9);
  return period;
}

DmarcRow RowFrom(const db::Row& from) {
  DmarcRow row;
  row.source_ip = from.Bytes(0);
  row.header_from = from.Text(1);
  row.envelope_from = from.Text(2);
  row.envelope_to = from.Text(3);
  row.disposition = from.Text(4);
  row.dkim_aligned = from.Bool(5);
  row.spf_aligned = from.Bool(6);
  row.reasons = from.Text(7);
  row.dkim = from.Text(8);
  row.spf_domain = from.Text(9);
  row.spf_result = from.Text(10);
  row.failure = from.Text(11);
  row.messages = from.Int(12);
  return row;
}

absl::StatusOr<std::vector<DmarcPeriod>> ReadPeriods(db::Connection& connection,
                                                     const db::Statement& statement,
                                                     const Params& params) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(statement, params));
  std::vector<DmarcPeriod> periods;
  for (db::Row row : rows) periods.push_back(PeriodFrom(row));
  return periods;
}

}  // namespace

absl::StatusOr<int64_t> AddDmarcEvaluations(db::Connection& connection,
                                            const std::vector<DmarcEvaluation>& evaluations,
                                            const DmarcRoom& room) {
  if (evaluations.empty()) return 0;
  const auto periods = PeriodsOf(evaluations);
  const auto rows = RowsOf(evaluations);
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_RETURN_IF_ERROR(AddPeriods(c, periods, room.periods));
    return AddRows(c, rows, room);
  });
}

absl::StatusOr<DmarcTotals> CountDmarc(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kTotals, Params()));
  return DmarcTotals{rows[0].Int(0), rows[0].Int(1)};
}

absl::StatusOr<std::vector<DmarcPeriod>> DueDmarcPeriods(db::Connection& connection, absl::Time now,
                                                         int most) {
  return ReadPeriods(connection, kDue, Params().Time(now).Int(most));
}

absl::StatusOr<std::vector<DmarcPeriod>> ListDmarcPeriods(db::Connection& connection,
                                                          std::string_view domain, int most) {
  return ReadPeriods(connection, kList, Params().Text(domain).Int(most));
}

absl::StatusOr<std::vector<DmarcRow>> ReadDmarcRows(db::Connection& connection,
                                                    const DmarcPeriod& period, int64_t most) {
  const Params params = Params().Text(period.policy_domain).Time(period.begins).Int(most);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRead, params));
  std::vector<DmarcRow> read;
  for (db::Row row : rows) read.push_back(RowFrom(row));
  return read;
}

absl::StatusOr<std::vector<DmarcEvaluation>> ListDmarcFailures(db::Connection& connection,
                                                               std::string_view domain, int most) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kFailures, Params().Text(domain).Int(most)));
  std::vector<DmarcEvaluation> failures;
  for (db::Row row : rows) {
    DmarcEvaluation& failure = failures.emplace_back();
    failure.row = RowFrom(row);
    failure.period.policy_domain = row.Text(13);
    failure.period.begins = row.Time(14);
  }
  return failures;
}

absl::Status MarkDmarcSent(db::Connection& connection, const DmarcPeriod& period,
                           std::string_view destination) {
  Params params;
  params.Text(period.policy_domain).Time(period.begins).Text(destination);
  return connection.Execute(kSent, params).status();
}

absl::Status PostponeDmarcPeriod(db::Connection& connection, const DmarcPeriod& period,
                                 absl::Time due) {
  Params params;
  params.Text(period.policy_domain).Time(period.begins).Time(due);
  return connection.Execute(kPostpone, params).status();
}

absl::Status FinishDmarcPeriod(db::Connection& connection, const DmarcPeriod& period,
                               std::string_view outcome, absl::Time now) {
  Params params;
  params.Text(period.policy_domain).Time(period.begins).Time(now).Text(outcome);
  return connection.Execute(kFinish, params).status();
}

absl::StatusOr<int64_t> SweepDmarc(db::Connection& connection, absl::Time oldest, int most) {
  GODWIT_ASSIGN_OR_RETURN(auto gone, connection.Execute(kSweep, Params().Time(oldest).Int(most)));
  return gone.affected();
}

}  // namespace godwit::store

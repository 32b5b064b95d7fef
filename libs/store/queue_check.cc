#include "libs/store/queue_check.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// Each returns (queue_id, detail) of what is wrong. $1 is the bound.
#define GODWIT_CHECK_STATEMENT(variable, name, sql) \
  const db::Statement variable("queue_check_" name, Scope::kQueue, Access::kRead, sql " LIMIT $1")

GODWIT_CHECK_STATEMENT(kContent, "content", R"sql(
  SELECT m.queue_id, 'message of ' || m.size || ' octets has chunks of ' || coalesce(c.size, 0)
  FROM queue_messages m LEFT JOIN (
    SELECT queue_id, sum(size) AS size, count(*) AS chunks, max(seq) AS last,
           sum(size) FILTER (WHERE seq = 0) AS header
    FROM queue_chunks GROUP BY queue_id) c USING (queue_id)
  WHERE c.size IS DISTINCT FROM m.size OR c.header <> m.header_size OR c.chunks <> c.last + 1)sql");

GODWIT_CHECK_STATEMENT(kStray, "stray_chunks", R"sql(
  SELECT c.queue_id, 'chunks belong to no message'
  FROM (SELECT DISTINCT queue_id FROM queue_chunks) c
  WHERE NOT EXISTS (SELECT FROM queue_messages m WHERE m.queue_id = c.queue_id)
    AND NOT EXISTS (SELECT FROM queue_staged s WHERE s.queue_id = c.queue_id))sql");

GODWIT_CHECK_STATEMENT(kRecipients, "recipients", R"sql(
  SELECT coalesce(m.queue_id, r.queue_id), 'message and recipients do not agree'
  FROM queue_messages m
  FULL JOIN (SELECT queue_id, count(*) FILTER (WHERE state = 'pending') AS pending
             FROM queue_recipients GROUP BY queue_id) r USING (queue_id)
  WHERE m.queue_id IS NULL OR coalesce(r.pending, 0) = 0)sql");

// The end of a claim is looked for by time, too.
GODWIT_CHECK_STATEMENT(kSchedule, "schedule", R"sql(
  SELECT m.queue_id, 'nobody would look at it: next_due is ' || m.next_due
  FROM queue_messages m LEFT JOIN LATERAL (
    SELECT min(next_attempt_at) AS due FROM queue_recipients r
    WHERE r.queue_id = m.queue_id AND r.state = 'pending' AND NOT r.hold) r ON true
  WHERE (m.claim_worker IS NULL) <> (m.claim_expires_at IS NULL)
     OR NOT m.hold AND m.claim_worker IS NOT NULL AND m.next_due = 'infinity'
     OR m.claim_worker IS NULL AND m.next_due IS DISTINCT FROM
          CASE WHEN m.hold OR r.due IS NULL THEN 'infinity'
               ELSE greatest(r.due, m.hold_until) END)sql");

GODWIT_CHECK_STATEMENT(kShards, "shards", R"sql(
  SELECT m.queue_id, 'message lies in shard ' || m.shard FROM queue_messages m
  WHERE m.shard <> m.queue_id % 256
     OR NOT EXISTS (SELECT FROM queue_shards s WHERE s.shard = m.shard))sql");

GODWIT_CHECK_STATEMENT(kKeys, "keys", R"sql(
  SELECT m.queue_id, 'its idempotency key is forgotten' FROM queue_messages m
  WHERE NOT EXISTS (SELECT FROM queue_keys k WHERE k.idempotency_key = m.idempotency_key
                      AND k.queue_id = m.queue_id))sql");

struct Check {
  std::string_view name;
  const db::Statement* statement;
};
const Check kChecks[] = {
    {"queue-content", &kContent},       {"queue-stray-chunks", &kStray},
    {"queue-recipients", &kRecipients}, {"queue-schedule", &kSchedule},
    {"queue-shards", &kShards},         {"queue-keys", &kKeys},
};

constexpr int kMaxFindings = 100;

// As in check.cc.
constexpr char kPlanForMuch[] =
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = "
    "on; "
    "SET LOCAL statement_timeout = 0";

}  // namespace

absl::StatusOr<std::vector<QueueFinding>> CheckQueue(db::Connection& connection) {
  using Findings = absl::StatusOr<std::vector<QueueFinding>>;
  auto run_all = [](db::Connection& c) -> Findings {
    GODWIT_RETURN_IF_ERROR(c.ExecuteScript(kPlanForMuch).status());
    std::vector<QueueFinding> findings;
    for (const Check& check : kChecks) {
      GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(*check.statement, Params().Int(kMaxFindings)));
      for (db::Row row : rows) {
        findings.push_back(
            {std::string(check.name), QueueId{row.Int(0)}, std::string(row.Text(1))});
      }
    }
    return findings;
  };
  return db::RunTransaction(connection, run_all, db::Isolation::kSnapshotReadOnly);
}

}  // namespace godwit::store

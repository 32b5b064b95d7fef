#include "libs/store/queue_lease.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "libs/base/status.h"
#include "libs/store/queue_rows.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kBeat("queue_beat", Scope::kQueue, Access::kWrite,
                          "SELECT shard, epoch, share FROM queue_beat($1, $2, $3)");

const db::Statement kRelease("queue_release_shards", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_shards SET worker = NULL, epoch = epoch + 1
  WHERE worker = $1 AND shard = ANY ($2::bigint[]))sql");

const db::Statement kLeave("queue_leave", Scope::kQueue, Access::kWrite,
                           "SELECT queue_leave($1, $2, $3)");

const db::Statement kRenew("queue_renew_claims", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages
  SET claim_expires_at = clock_timestamp() + make_interval(secs => $4),
      next_due = $3 + make_interval(secs => $4)
  WHERE queue_id = ANY ($2) AND claim_worker = $1 RETURNING queue_id)sql");

// One range of the one index of the schedule, whatever the number of shards.
const db::Statement kDue("queue_due", Scope::kQueue, Access::kRead, R"sql(
  SELECT )sql" GODWIT_QUEUE_ENVELOPE R"sql(, size, header_size, next_due, give_up,
         claim_worker IS NOT NULL
  FROM queue_messages
  WHERE (next_due, queue_id) > ($2, $3) AND next_due <= $4 AND shard = ANY ($1::bigint[])
    AND NOT hold AND (claim_worker IS NULL OR claim_expires_at <= clock_timestamp())
  ORDER BY next_due, queue_id LIMIT $5)sql");

const db::Statement kQueued("queue_queued", Scope::kQueue, Access::kRead, R"sql(
  SELECT )sql" GODWIT_QUEUE_ENVELOPE R"sql(, size, header_size, next_due, give_up,
         claim_worker IS NOT NULL
  FROM queue_messages
  WHERE queue_id = ANY ($2) AND next_due <= $3 AND shard = ANY ($1::bigint[])
    AND NOT hold AND (claim_worker IS NULL OR claim_expires_at <= clock_timestamp())
  ORDER BY next_due, queue_id)sql");

const db::Statement kTakeOver("queue_take_over_claims", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages SET claim_worker = NULL, claim_expires_at = NULL
  WHERE queue_id = ANY ($1) AND claim_expires_at <= clock_timestamp() RETURNING queue_id)sql");

const db::Statement kDueRecipients("queue_due_recipients", Scope::kQueue, Access::kRead, R"sql(
  SELECT queue_id, recipient_no, local_part, domain, orcpt, notify, attempts, delayed_dsn_sent
  FROM queue_recipients
  WHERE queue_id = ANY ($1) AND state = 'pending' AND NOT hold AND next_attempt_at <= $2
  ORDER BY queue_id, recipient_no)sql");

const db::Statement kStillDue("queue_still_due", Scope::kQueue, Access::kRead, R"sql(
  SELECT r.recipient_no FROM queue_messages m JOIN queue_recipients r ON r.queue_id = m.queue_id
  WHERE m.queue_id = $1 AND NOT m.hold AND m.give_up IS NULL AND r.state = 'pending' AND NOT r.hold
  ORDER BY r.recipient_no)sql");

const db::Statement kMeasure("queue_measure", Scope::kQueue, Access::kRead, R"sql(
  SELECT count(*), count(*) FILTER (WHERE hold), min(enqueued_at) FILTER (WHERE NOT hold)
  FROM queue_messages WHERE shard = ANY ($1::bigint[]))sql");

using IdSet = absl::flat_hash_set<int64_t>;

absl::StatusOr<IdSet> IdsOf(absl::StatusOr<db::Result> rows) {
  if (!rows.ok()) return rows.status();
  IdSet ids;
  for (db::Row row : *rows) ids.insert(row.Int(0));
  return ids;
}

DueMessage MessageFrom(const db::Row& row) {
  DueMessage message;
  message.id = QueueId{row.Int(0)};
  message.envelope = QueueEnvelopeFrom(row, 1);
  int column = 1 + kQueueEnvelopeColumns;
  message.size = row.Int(column++);
  message.header_size = row.Int(column++);
  message.next_due = row.Time(column++);
  if (const auto text = row.OptionalText(column)) message.give_up = std::string(*text);
  return message;
}
constexpr int kClaimedColumn = 1 + kQueueEnvelopeColumns + 4;

// The claims of `*messages` that were over are made free; what the other side ended meanwhile goes.
absl::Status TakeOver(db::Connection& connection, const std::vector<int64_t>& claimed,
                      std::vector<DueMessage>* messages) {
  if (claimed.empty()) return absl::OkStatus();
  GODWIT_ASSIGN_OR_RETURN(IdSet taken, IdsOf(db::RetryAborted(connection, [&](db::Connection& c) {
                            return c.Execute(kTakeOver, Params().Ints(claimed));
                          })));
  const IdSet wanted(claimed.begin(), claimed.end());
  std::erase_if(*messages, [&](const DueMessage& message) {
    return wanted.contains(ToInt(message.id)) && !taken.contains(ToInt(message.id));
  });
  return absl::OkStatus();
}

absl::Status FillRecipients(db::Connection& connection, absl::Time until,
                            std::vector<DueMessage>* messages) {
  std::vector<int64_t> ids;
  absl::flat_hash_map<int64_t, DueMessage*> by_id;
  for (DueMessage& message : *messages) {
    ids.push_back(ToInt(message.id));
    by_id[ToInt(message.id)] = &message;
  }
  if (ids.empty()) return absl::OkStatus();
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kDueRecipients, Params().Ints(ids).Time(until)));
  for (db::Row row : rows) {
    by_id[row.Int(0)]->recipients.push_back({.number = static_cast<int>(row.Int(1)),
                                             .local_part = std::string(row.Text(2)),
                                             .domain = std::string(row.Text(3)),
                                             .orcpt = std::string(row.Text(4)),
                                             .notify = static_cast<int>(row.Int(5)),
                                             .attempts = static_cast<int>(row.Int(6)),
                                             .delayed_dsn_sent = row.Bool(7)});
  }
  // Another wrote between the two statements.
  std::erase_if(*messages, [](const DueMessage& message) { return message.recipients.empty(); });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<QueueLeases> BeatQueue(db::Connection& connection, WorkerId worker,
                                      std::string_view address, absl::Duration lease) {
  Params params;
  params.Int(ToInt(worker)).Text(address).Double(absl::ToDoubleSeconds(lease));
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<QueueLeases> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kBeat, params));
    QueueLeases leases;
    leases.share = 0;
    for (db::Row row : rows) {
      leases.shards.push_back({static_cast<int>(row.Int(0)), row.Int(1)});
      leases.share = static_cast<int>(row.Int(2));
    }
    return leases;
  });
}

absl::Status ReleaseShards(db::Connection& connection, WorkerId worker,
                           std::span<const int64_t> shards) {
  return connection.Execute(kRelease, Params().Int(ToInt(worker)).Ints(shards)).status();
}

absl::Status LeaveQueue(db::Connection& connection, WorkerId worker,
                        std::span<const int64_t> claims, absl::Time now) {
  return db::RetryAborted(connection, [&](db::Connection& c) {
    return c.Execute(kLeave, Params().Int(ToInt(worker)).Ints(claims).Time(now)).status();
  });
}

absl::StatusOr<std::vector<QueueId>> RenewClaims(db::Connection& connection, WorkerId worker,
                                                 std::span<const int64_t> claims, absl::Time now,
                                                 absl::Duration claim) {
  Params params;
  params.Int(ToInt(worker)).Ints(claims).Time(now).Double(absl::ToDoubleSeconds(claim));
  using Ids = absl::StatusOr<std::vector<QueueId>>;
  return db::RetryAborted(connection, [&](db::Connection& c) -> Ids {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kRenew, params));
    std::vector<QueueId> ids;
    for (db::Row row : rows) ids.push_back(QueueId{row.Int(0)});
    return ids;
  });
}

absl::StatusOr<DuePage> LoadDue(db::Connection& connection, std::span<const int64_t> shards,
                                const DueCursor& from, absl::Time until, int limit,
                                std::span<const int64_t> busy) {
  Params params;
  params.Ints(shards).Time(from.due).Int(ToInt(from.id)).Time(until).Int(limit);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kDue, params));
  DuePage page;
  page.end = from;
  page.more = rows.size() == limit;
  const IdSet ours(busy.begin(), busy.end());
  std::vector<int64_t> claimed;
  for (db::Row row : rows) {
    DueMessage message = MessageFrom(row);
    page.end = {message.next_due, message.id};
    if (ours.contains(row.Int(0))) continue;
    if (row.Bool(kClaimedColumn)) claimed.push_back(row.Int(0));
    page.messages.push_back(std::move(message));
  }
  GODWIT_RETURN_IF_ERROR(TakeOver(connection, claimed, &page.messages));
  GODWIT_RETURN_IF_ERROR(FillRecipients(connection, until, &page.messages));
  return page;
}

absl::StatusOr<std::vector<DueMessage>> LoadQueued(db::Connection& connection,
                                                   std::span<const int64_t> shards,
                                                   std::span<const int64_t> ids, absl::Time until) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kQueued, Params().Ints(shards).Ints(ids).Time(until)));
  std::vector<DueMessage> messages;
  std::vector<int64_t> claimed;
  for (db::Row row : rows) {
    messages.push_back(MessageFrom(row));
    if (row.Bool(kClaimedColumn)) claimed.push_back(row.Int(0));
  }
  GODWIT_RETURN_IF_ERROR(TakeOver(connection, claimed, &messages));
  GODWIT_RETURN_IF_ERROR(FillRecipients(connection, until, &messages));
  return messages;
}

absl::StatusOr<std::vector<int>> StillDue(db::Connection& connection, QueueId id) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kStillDue, Params().Int(ToInt(id))));
  std::vector<int> due;
  for (db::Row row : rows) due.push_back(static_cast<int>(row.Int(0)));
  return due;
}

absl::StatusOr<QueueDepth> MeasureQueue(db::Connection& connection,
                                        std::span<const int64_t> shards) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kMeasure, Params().Ints(shards)));
  return QueueDepth{rows[0].Int(0), rows[0].Int(1), rows[0].OptionalTime(2)};
}

}  // namespace godwit::store

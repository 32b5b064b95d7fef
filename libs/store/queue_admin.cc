#include "libs/store/queue_admin.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/store/queue_rows.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// A recipient r that fits a part of its address and a domain, each of which may be empty.
#define GODWIT_QUEUE_RECIPIENT(part, domain_is)        \
  "(" part " = '' OR position(lower(" part             \
  ") IN lower(r.local_part || '@' || r.domain)) > 0) " \
  "AND (" domain_is " = '' OR r.domain = " domain_is ")"

// A message m. $1 ids, $2 account, $3 sender, $4 part of a recipient, $5 domain, $6 only held.
#define GODWIT_QUEUE_SELECTED                                                                   \
  "(cardinality($1) = 0 OR m.queue_id = ANY ($1)) AND ($2 = 0 OR m.account_id = $2) "           \
  "AND ($3 = '' OR position(lower($3) IN lower(m.reverse_path)) > 0) "                          \
  "AND (NOT $6 OR m.hold OR m.hold_until > m.enqueued_at OR EXISTS ("                           \
  "SELECT FROM queue_recipients h WHERE h.queue_id = m.queue_id AND h.hold)) "                  \
  "AND ($4 || $5 = '' OR EXISTS (SELECT FROM queue_recipients r WHERE r.queue_id = m.queue_id " \
  "AND " GODWIT_QUEUE_RECIPIENT("$4", "$5") "))"

#define GODWIT_QUEUE_STATUS                                                               \
  GODWIT_QUEUE_ENVELOPE                                                                   \
  ", size, hold, hold_reason, next_due, claim_worker IS NOT NULL, "                       \
  "(SELECT count(*) FROM queue_recipients n WHERE n.queue_id = m.queue_id), "             \
  "(SELECT count(*) FROM queue_recipients n WHERE n.queue_id = m.queue_id AND n.state = " \
  "'pending')"

const db::Statement kList("queue_list", Scope::kQueue, Access::kRead,
                          "SELECT " GODWIT_QUEUE_STATUS
                          " FROM queue_messages m "
                          "WHERE (m.enqueued_at, m.queue_id) > ($7, $8) AND " GODWIT_QUEUE_SELECTED
                          " ORDER BY m.enqueued_at, m.queue_id LIMIT $9");

const db::Statement kShow("queue_show", Scope::kQueue, Access::kRead,
                          "SELECT " GODWIT_QUEUE_STATUS
                          " FROM queue_messages m WHERE m.queue_id = $1");

const db::Statement kShowRecipients("queue_show_recipients", Scope::kQueue, Access::kRead, R"sql(
  SELECT recipient_no, local_part || '@' || domain, state, hold, attempts, next_attempt_at,
         last_attempt_at, last_reply, last_site
  FROM queue_recipients WHERE queue_id = $1 ORDER BY recipient_no)sql");

// Every action locks its messages first, in the order of their ids, as queue_record does.
const db::Statement kSelect("queue_select", Scope::kQueue, Access::kWrite,
                            "SELECT m.queue_id FROM queue_messages m WHERE " GODWIT_QUEUE_SELECTED
                            " ORDER BY m.queue_id FOR UPDATE");

// $1 the ids that were selected, $2 and $3 as $4 and $5 above, $4 the new value. Also of what was
// due before: workers look at what has become due, and only now and then at what lies behind them.
const db::Statement kRecipientsDue("queue_recipients_due", Scope::kQueue, Access::kWrite,
                                   "UPDATE queue_recipients r SET next_attempt_at = $4 "
                                   "WHERE r.queue_id = ANY ($1) AND r.state = 'pending' "
                                   "AND " GODWIT_QUEUE_RECIPIENT("$2", "$3"));

const db::Statement kRecipientsHold(
    "queue_recipients_hold", Scope::kQueue, Access::kWrite,
    "UPDATE queue_recipients r SET hold = $4 WHERE r.queue_id = ANY ($1) AND r.state = 'pending' "
    "AND " GODWIT_QUEUE_RECIPIENT("$2", "$3"));

const db::Statement kHold("queue_hold", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages SET hold = true, hold_reason = $2 WHERE queue_id = ANY ($1))sql");

const db::Statement kRelease("queue_release", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages SET hold = false, hold_reason = '', hold_until = NULL
  WHERE queue_id = ANY ($1))sql");

const db::Statement kGiveUp("queue_give_up", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages SET hold = false, hold_reason = '', hold_until = NULL, give_up = $2
  WHERE queue_id = ANY ($1))sql");

// A claim keeps the time at which somebody looks for its end; one that is over is looked at now.
const db::Statement kSchedule("queue_schedule", Scope::kQueue, Access::kWrite, R"sql(
  UPDATE queue_messages
  SET next_due = CASE WHEN claim_worker IS NULL THEN queue_next_due(queue_id, hold, hold_until)
                      ELSE greatest(next_due, $2) END
  WHERE queue_id = ANY ($1))sql");

const db::Statement kRemove("queue_remove", Scope::kQueue, Access::kWrite,
                            "SELECT queue_remove($1)");

const db::Statement kDropRecipients(
    "queue_drop_recipients", Scope::kQueue, Access::kWrite,
    "UPDATE queue_recipients r SET state = 'dropped' WHERE r.queue_id = ANY ($1) "
    "AND r.state = 'pending' AND " GODWIT_QUEUE_RECIPIENT("$2", "$3"));

const db::Statement kEmptied("queue_emptied", Scope::kQueue, Access::kRead, R"sql(
  SELECT m.queue_id FROM queue_messages m WHERE m.queue_id = ANY ($1) AND NOT EXISTS (
    SELECT FROM queue_recipients r WHERE r.queue_id = m.queue_id AND r.state = 'pending'))sql");

using Ids = std::vector<int64_t>;

Ids IdsOf(const db::Result& rows) {
  Ids ids;
  for (db::Row row : rows) ids.push_back(row.Int(0));
  return ids;
}

Params SelectionParams(const QueueSelection& selection) {
  Ids ids;
  for (QueueId id : selection.ids) ids.push_back(ToInt(id));
  Params params;
  params.Ints(ids).Int(ToInt(selection.account)).Text(selection.sender);
  params.Text(selection.recipient).Text(selection.recipient_domain).Bool(selection.only_held);
  return params;
}

bool OnRecipients(const QueueSelection& selection) {
  return !selection.recipient.empty() || !selection.recipient_domain.empty();
}

// Of the statements on recipients; the new value follows.
Params RecipientParams(const Ids& ids, const QueueSelection& selection) {
  Params params;
  params.Ints(ids).Text(selection.recipient).Text(selection.recipient_domain);
  return params;
}

absl::Status SetDue(db::Connection& connection, const Ids& ids, const QueueSelection& selection,
                    absl::Time now) {
  return connection.Execute(kRecipientsDue, RecipientParams(ids, selection).Time(now)).status();
}

absl::Status SetHold(db::Connection& connection, const Ids& ids, const QueueSelection& selection,
                     bool hold) {
  return connection.Execute(kRecipientsHold, RecipientParams(ids, selection).Bool(hold)).status();
}

QueueMessageStatus StatusFrom(const db::Row& row) {
  QueueMessageStatus status;
  status.id = QueueId{row.Int(0)};
  status.envelope = QueueEnvelopeFrom(row, 1);
  int column = 1 + kQueueEnvelopeColumns;
  status.size = row.Int(column++);
  status.hold = row.Bool(column++);
  status.hold_reason = row.Text(column++);
  status.next_due = row.Time(column++);
  status.first_attempt = row.Bool(column++);
  status.recipients_total = static_cast<int>(row.Int(column++));
  status.recipients_pending = static_cast<int>(row.Int(column++));
  return status;
}

// Locks what is selected, has `change` do its work on the ids, and puts the schedule right: claims
// that are over are looked at at `now`.
template <typename Change>
absl::StatusOr<int64_t> Act(db::Connection& connection, const QueueSelection& selection,
                            absl::Time now, Change change) {
  if (selection.empty()) return base::InvalidArgument("nothing is selected");
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kSelect, SelectionParams(selection)));
    const Ids ids = IdsOf(rows);
    if (ids.empty()) return 0;
    GODWIT_RETURN_IF_ERROR(change(c, ids));
    GODWIT_RETURN_IF_ERROR(c.Execute(kSchedule, Params().Ints(ids).Time(now)).status());
    return std::ssize(ids);
  });
}

}  // namespace

absl::StatusOr<std::vector<QueueMessageStatus>> ListQueued(db::Connection& connection,
                                                           const QueueSelection& selection,
                                                           const QueuePosition& after, int limit) {
  Params params = SelectionParams(selection);
  params.Time(after.enqueued).Int(ToInt(after.id)).Int(limit);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, params));
  std::vector<QueueMessageStatus> messages;
  for (db::Row row : rows) messages.push_back(StatusFrom(row));
  return messages;
}

absl::StatusOr<QueueMessageStatus> ShowQueued(db::Connection& connection, QueueId id) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kShow, Params().Int(ToInt(id))));
  if (rows.empty()) return base::NotFound("no such message");
  QueueMessageStatus status = StatusFrom(rows[0]);
  GODWIT_ASSIGN_OR_RETURN(auto recipients,
                          connection.Execute(kShowRecipients, Params().Int(ToInt(id))));
  for (db::Row row : recipients) {
    status.recipients.push_back({.number = static_cast<int>(row.Int(0)),
                                 .address = std::string(row.Text(1)),
                                 .state = std::string(row.Text(2)),
                                 .hold = row.Bool(3),
                                 .attempts = static_cast<int>(row.Int(4)),
                                 .next_attempt = row.Time(5),
                                 .last_attempt = row.OptionalTime(6),
                                 .last_reply = std::string(row.Text(7)),
                                 .last_site = std::string(row.Text(8))});
  }
  return status;
}

absl::StatusOr<int64_t> RetryQueued(db::Connection& connection, const QueueSelection& selection,
                                    absl::Time now) {
  return Act(connection, selection, now,
             [&](db::Connection& c, const Ids& ids) { return SetDue(c, ids, selection, now); });
}

absl::StatusOr<int64_t> HoldQueued(db::Connection& connection, const QueueSelection& selection,
                                   std::string_view reason) {
  return Act(connection, selection, absl::InfinitePast(), [&](db::Connection& c, const Ids& ids) {
    if (OnRecipients(selection)) return SetHold(c, ids, selection, true);
    return c.Execute(kHold, Params().Ints(ids).Text(reason)).status();
  });
}

absl::StatusOr<int64_t> ReleaseQueued(db::Connection& connection, const QueueSelection& selection,
                                      absl::Time now) {
  return Act(connection, selection, now, [&](db::Connection& c, const Ids& ids) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(SetHold(c, ids, selection, false));
    GODWIT_RETURN_IF_ERROR(SetDue(c, ids, selection, now));
    return c.Execute(kRelease, Params().Ints(ids)).status();
  });
}

absl::StatusOr<int64_t> FailQueued(db::Connection& connection, const QueueSelection& selection,
                                   std::string_view text, absl::Time now) {
  if (OnRecipients(selection)) return base::InvalidArgument("only whole messages are given up");
  return Act(connection, selection, now, [&](db::Connection& c, const Ids& ids) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(SetHold(c, ids, selection, false));
    GODWIT_RETURN_IF_ERROR(SetDue(c, ids, selection, now));
    return c.Execute(kGiveUp, Params().Ints(ids).Text(text)).status();
  });
}

absl::StatusOr<int64_t> DropQueued(db::Connection& connection, const QueueSelection& selection) {
  return Act(connection, selection, absl::InfinitePast(),
             [&](db::Connection& c, const Ids& ids) -> absl::Status {
               if (!OnRecipients(selection)) return c.Execute(kRemove, Params().Ints(ids)).status();
               GODWIT_RETURN_IF_ERROR(
                   c.Execute(kDropRecipients, RecipientParams(ids, selection)).status());
               GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kEmptied, Params().Ints(ids)));
               return c.Execute(kRemove, Params().Ints(IdsOf(rows))).status();
             });
}

}  // namespace godwit::store

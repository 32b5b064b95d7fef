#include "libs/store/check.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// Each returns (account_id, detail) of what is wrong. $1 is the bound. What a removed account left
// behind is the sweep's.
#define GODWIT_CHECK_STATEMENT(variable, name, sql)                                     \
  const db::Statement variable("check_" name, Scope::kBatch, Access::kRead,             \
                               "SELECT f.account_id, f.detail FROM (" sql               \
                               ") f(account_id, detail) WHERE NOT EXISTS (SELECT FROM " \
                               "doomed_accounts d WHERE d.account_id = f.account_id) LIMIT $1")

GODWIT_CHECK_STATEMENT(kMailboxCounters, "mailbox_counters", R"sql(
  SELECT m.account_id, 'mailbox ' || m.mailbox_id || ' has total ' || m.total || ' unseen '
    || m.unseen || ' deleted ' || m.deleted || ' deleted_unseen ' || m.deleted_unseen || ' size '
    || m.size || ', its entries ' || coalesce(e.total, 0) || ' ' || coalesce(e.unseen, 0) || ' '
    || coalesce(e.deleted, 0) || ' ' || coalesce(e.deleted_unseen, 0) || ' ' || coalesce(e.size, 0)
  FROM mailboxes m LEFT JOIN (
    SELECT account_id, mailbox_id, count(*) AS total,
           count(*) FILTER (WHERE flags & 1 = 0) AS unseen,
           count(*) FILTER (WHERE flags & 8 <> 0) AS deleted,
           count(*) FILTER (WHERE flags & 9 = 8) AS deleted_unseen, sum(size) AS size
    FROM mailbox_entries GROUP BY account_id, mailbox_id) e USING (account_id, mailbox_id)
  WHERE (m.total, m.unseen, m.deleted, m.deleted_unseen, m.size) IS DISTINCT FROM
        (coalesce(e.total, 0), coalesce(e.unseen, 0), coalesce(e.deleted, 0),
         coalesce(e.deleted_unseen, 0), coalesce(e.size, 0)))sql");

GODWIT_CHECK_STATEMENT(kAccountCounters, "account_counters", R"sql(
  SELECT a.account_id, 'account has ' || a.email_count || ' emails of ' || a.used_bytes
    || ' octets, counted ' || coalesce(e.emails, 0) || ' of ' || coalesce(e.size, 0)
  FROM accounts a LEFT JOIN (
    SELECT account_id, count(*) AS emails, sum(size) AS size FROM emails GROUP BY account_id) e
    USING (account_id)
  WHERE (a.email_count, a.used_bytes) IS DISTINCT FROM (coalesce(e.emails, 0), coalesce(e.size, 0)))sql");

GODWIT_CHECK_STATEMENT(kUids, "uids", R"sql(
  SELECT e.account_id, 'mailbox ' || e.mailbox_id || ': entry ' || e.uid || ' lies outside 1..'
    || coalesce(m.uidnext - 1, 0)
  FROM mailbox_entries e LEFT JOIN mailboxes m USING (account_id, mailbox_id)
  WHERE (m.uidnext IS NULL OR e.uid < 1 OR e.uid >= m.uidnext) AND NOT EXISTS (
    SELECT FROM doomed_mailboxes d
    WHERE d.account_id = e.account_id AND d.mailbox_id = e.mailbox_id))sql");

GODWIT_CHECK_STATEMENT(kEntryModseqs, "entry_modseqs", R"sql(
  SELECT e.account_id, 'mailbox ' || e.mailbox_id || ': entry ' || e.uid || ' has modseq '
    || e.modseq || ' above its mailbox''s ' || m.highest_modseq
  FROM mailbox_entries e JOIN mailboxes m USING (account_id, mailbox_id)
  WHERE e.modseq > m.highest_modseq OR e.modseq < 1 OR e.unseen <> (e.flags & 1 = 0))sql");

GODWIT_CHECK_STATEMENT(kAccountModseqs, "account_modseqs", R"sql(
  SELECT a.account_id, 'modseq ' || a.modseq || ' is below one of its types, mailboxes or changes'
  FROM accounts a
  LEFT JOIN (SELECT account_id, max(greatest(highest_modseq, changed_modseq, created_modseq)) AS top
             FROM mailboxes GROUP BY account_id) m USING (account_id)
  LEFT JOIN (SELECT account_id, max(modseq) AS top, min(modseq) AS low
             FROM change_log GROUP BY account_id) c USING (account_id)
  WHERE a.modseq < greatest(a.mailbox_modseq, a.email_modseq, a.thread_modseq, a.submission_modseq,
                            a.identity_modseq, m.top, c.top, a.change_floor)
     OR c.low <= a.change_floor)sql");

GODWIT_CHECK_STATEMENT(kTree, "mailbox_tree", R"sql(
  SELECT m.account_id, 'mailbox ' || m.mailbox_id || ' has no account or no parent'
  FROM mailboxes m
  WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.account_id = m.account_id)
     OR m.parent_id <> 0 AND NOT EXISTS (SELECT FROM mailboxes p WHERE p.account_id = m.account_id
                                           AND p.mailbox_id = m.parent_id))sql");

GODWIT_CHECK_STATEMENT(kInboxes, "inboxes", R"sql(
  SELECT a.account_id, 'account has no INBOX' FROM accounts a
  WHERE NOT EXISTS (SELECT FROM mailboxes m WHERE m.account_id = a.account_id
                      AND m.role = 'inbox' AND m.parent_id = 0 AND m.name = 'INBOX'))sql");

GODWIT_CHECK_STATEMENT(kOrphans, "orphan_emails", R"sql(
  SELECT e.account_id, 'email ' || e.email_id || ' lies in no mailbox' FROM emails e
  WHERE NOT EXISTS (SELECT FROM mailbox_entries m
                    WHERE m.account_id = e.account_id AND m.email_id = e.email_id))sql");

GODWIT_CHECK_STATEMENT(kDangling, "dangling_entries", R"sql(
  SELECT m.account_id, 'mailbox ' || m.mailbox_id || ': entry ' || m.uid
    || ' and its email do not agree'
  FROM mailbox_entries m LEFT JOIN emails e USING (account_id, email_id)
  WHERE e.email_id IS NULL OR (e.size, e.received_at) IS DISTINCT FROM (m.size, m.received_at))sql");

GODWIT_CHECK_STATEMENT(kBlobs, "blobs", R"sql(
  SELECT e.account_id, 'email ' || e.email_id || ' of ' || e.size || ' octets has chunks of '
    || coalesce(c.size, 0)
  FROM emails e LEFT JOIN (
    SELECT account_id, blob_id, sum(size) AS size, count(*) AS chunks, max(seq) AS last,
           sum(size) FILTER (WHERE seq = 0) AS header
    FROM blob_chunks GROUP BY account_id, blob_id) c USING (account_id, blob_id)
  WHERE c.size IS DISTINCT FROM e.size OR c.header <> e.header_size OR c.chunks <> c.last + 1)sql");

GODWIT_CHECK_STATEMENT(kStrayChunks, "stray_chunks", R"sql(
  SELECT c.account_id, 'blob ' || c.blob_id || ' belongs to no email' FROM (
    SELECT DISTINCT account_id, blob_id FROM blob_chunks) c
  WHERE NOT EXISTS (SELECT FROM emails e WHERE e.account_id = c.account_id AND e.blob_id = c.blob_id)
    AND NOT EXISTS (SELECT FROM staged_blobs s
                    WHERE s.account_id = c.account_id AND s.blob_id = c.blob_id)
    AND NOT EXISTS (SELECT FROM dead_blobs d
                    WHERE d.account_id = c.account_id AND d.blob_id = c.blob_id))sql");

GODWIT_CHECK_STATEMENT(kLivingDead, "dead_blobs", R"sql(
  SELECT d.account_id, 'blob ' || d.blob_id || ' is to be swept and has an email' FROM dead_blobs d
  WHERE EXISTS (SELECT FROM emails e WHERE e.account_id = d.account_id AND e.blob_id = d.blob_id))sql");

GODWIT_CHECK_STATEMENT(kThreads, "threads", R"sql(
  SELECT coalesce(t.account_id, e.account_id),
         'thread ' || coalesce(t.thread_id, e.thread_id) || ' and its emails do not agree'
  FROM threads t FULL JOIN (SELECT DISTINCT account_id, thread_id FROM emails) e
    ON e.account_id = t.account_id AND e.thread_id = t.thread_id
  WHERE t.thread_id IS NULL OR e.thread_id IS NULL)sql");

GODWIT_CHECK_STATEMENT(kIds, "ids", R"sql(
  SELECT a.account_id, 'next id ' || a.next_id || ' was given already' FROM accounts a
  WHERE a.next_id <= greatest(
    (SELECT max(email_id) FROM emails e WHERE e.account_id = a.account_id),
    (SELECT max(mailbox_id) FROM mailboxes m WHERE m.account_id = a.account_id))
    OR a.next_uidvalidity <= (SELECT max(uidvalidity) FROM mailboxes m
                              WHERE m.account_id = a.account_id))sql");

GODWIT_CHECK_STATEMENT(kKeywords, "keywords", R"sql(
  SELECT e.account_id, 'mailbox ' || e.mailbox_id || ': entry ' || e.uid || ' has an unknown keyword'
  FROM mailbox_entries e
  WHERE e.keywords <> '{}' AND EXISTS (
    SELECT FROM unnest(e.keywords) u WHERE NOT EXISTS (
      SELECT FROM keywords k WHERE k.account_id = e.account_id AND k.keyword_id = u)))sql");

GODWIT_CHECK_STATEMENT(kDoomed, "doomed", R"sql(
  SELECT d.account_id, 'mailbox ' || d.mailbox_id || ' is doomed and there, or has no account'
  FROM doomed_mailboxes d
  WHERE EXISTS (SELECT FROM mailboxes m
                WHERE m.account_id = d.account_id AND m.mailbox_id = d.mailbox_id)
     OR NOT EXISTS (SELECT FROM accounts a WHERE a.account_id = d.account_id)
  UNION ALL SELECT -1, 'account ' || d.account_id || ' is doomed and there'
  FROM doomed_accounts d JOIN accounts USING (account_id))sql");

GODWIT_CHECK_STATEMENT(kDirectory, "directory", R"sql(
  SELECT d.account_id, d.local_part || '@' || d.domain || ' leads to no account' FROM addresses d
  WHERE d.account_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM accounts a WHERE a.account_id = d.account_id))sql");

struct Check {
  std::string_view name;
  const db::Statement* statement;
};
const Check kChecks[] = {
    {"mailbox-counters", &kMailboxCounters},
    {"account-counters", &kAccountCounters},
    {"uids", &kUids},
    {"entry-modseqs", &kEntryModseqs},
    {"account-modseqs", &kAccountModseqs},
    {"mailbox-tree", &kTree},
    {"inboxes", &kInboxes},
    {"orphan-emails", &kOrphans},
    {"dangling-entries", &kDangling},
    {"blobs", &kBlobs},
    {"stray-chunks", &kStrayChunks},
    {"dead-blobs", &kLivingDead},
    {"threads", &kThreads},
    {"ids", &kIds},
    {"keywords", &kKeywords},
    {"doomed", &kDoomed},
    {"directory", &kDirectory},
};

constexpr int kMaxFindings = 100;

// It goes over whole tables and takes its time.
constexpr char kPlanForMuch[] =
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = "
    "on; "
    "SET LOCAL statement_timeout = 0";

}  // namespace

absl::StatusOr<std::vector<Finding>> CheckStore(db::Connection& connection) {
  using Findings = absl::StatusOr<std::vector<Finding>>;
  auto run_all = [](db::Connection& c) -> Findings {
    GODWIT_RETURN_IF_ERROR(c.ExecuteScript(kPlanForMuch).status());
    std::vector<Finding> findings;
    for (const Check& check : kChecks) {
      GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(*check.statement, Params().Int(kMaxFindings)));
      for (db::Row row : rows) {
        findings.push_back(
            {std::string(check.name), AccountId{row.Int(0)}, std::string(row.Text(1))});
      }
    }
    return findings;
  };
  return db::RunTransaction(connection, run_all, db::Isolation::kSnapshotReadOnly);
}

}  // namespace godwit::store

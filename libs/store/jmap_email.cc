#include "libs/store/jmap_email.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/store/mailbox.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kStates("jmap_states", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT modseq, mailbox_modseq, email_modseq, thread_modseq, submission_modseq, identity_modseq,
         change_floor
  FROM accounts WHERE account_id = $1)sql");

// Entries of a mailbox that is being deleted have no mailbox: hence the joins below.
//
// LATERAL with OFFSET 0: each id by its index, whatever the planner thinks of the array.
#define GODWIT_EMAILS_OF_IDS                   \
  "FROM unnest($2) u(id) CROSS JOIN LATERAL (" \
  "  SELECT i.* FROM emails i WHERE i.account_id = $1 AND i.email_id = u.id OFFSET 0) m "

const db::Statement kEmails("jmap_emails", Scope::kOneAccount, Access::kRead,
                            "SELECT m.email_id, m.thread_id, m.blob_id, m.header_size, m.size, "
                            "m.prefix_size, m.received_at, m.has_attachment, m.preview, "
                            "CASE WHEN $3 THEN m.summary ELSE ''::bytea END " GODWIT_EMAILS_OF_IDS
                            "ORDER BY m.email_id");

const db::Statement kEntries("jmap_entries", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT e.email_id, e.mailbox_id, e.uid, e.flags, e.keywords
  FROM unnest($2) u(id) CROSS JOIN LATERAL (
    SELECT i.* FROM mailbox_entries i
    JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = i.mailbox_id
    WHERE i.account_id = $1 AND i.email_id = u.id OFFSET 0) e
  ORDER BY e.email_id, e.mailbox_id)sql");

const db::Statement kKeywords("jmap_keywords", Scope::kOneAccount, Access::kRead,
                              "SELECT keyword_id, name FROM keywords WHERE account_id = $1 "
                              "ORDER BY keyword_id");

const db::Statement kSearchRows(
    "jmap_search_rows", Scope::kOneAccount, Access::kRead,
    "SELECT m.email_id, m.thread_id, m.blob_id, m.header_size, m.size, "
    "m.from_text, m.to_text, m.cc_text, m.bcc_text, m.subject, "
    "m.subject_base, m.sent_at, m.has_attachment, "
    "CASE WHEN $3 THEN m.summary ELSE ''::bytea END " GODWIT_EMAILS_OF_IDS "ORDER BY m.email_id");

const db::Statement kThreads("jmap_threads", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT u.id, m.email_id
  FROM unnest($2) u(id) CROSS JOIN LATERAL (
    SELECT i.email_id, i.received_at FROM emails i
    WHERE i.account_id = $1 AND i.thread_id = u.id AND EXISTS (
      SELECT FROM mailbox_entries e
      JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = e.mailbox_id
      WHERE e.account_id = $1 AND e.email_id = i.email_id AND e.flags & 8 = 0) OFFSET 0) m
  ORDER BY u.id, m.received_at, m.email_id)sql");

const db::Statement kThreadsOf("jmap_threads_of", Scope::kOneAccount, Access::kRead,
                               "SELECT m.email_id, m.thread_id " GODWIT_EMAILS_OF_IDS
                               "ORDER BY m.email_id");

const db::Statement kCountThreads("jmap_count_threads", Scope::kOneAccount, Access::kRead, R"sql(
  WITH v AS (
    SELECT e.mailbox_id, m.thread_id, e.unseen FROM mailbox_entries e
    JOIN emails m ON m.account_id = $1 AND m.email_id = e.email_id
    JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = e.mailbox_id
    WHERE e.account_id = $1 AND e.flags & 8 = 0),
  unread AS (SELECT DISTINCT thread_id FROM v WHERE unseen)
  SELECT v.mailbox_id, count(DISTINCT v.thread_id),
         count(DISTINCT v.thread_id) FILTER (WHERE u.thread_id IS NOT NULL)
  FROM v LEFT JOIN unread u ON u.thread_id = v.thread_id GROUP BY v.mailbox_id)sql");

// The page first, then the other entries of its emails.
#define GODWIT_SCANNED                                                                           \
  "SELECT p.email_id, p.received_at, p.size, o.any_flags, o.all_flags, o.keywords, o.mailboxes " \
  "FROM page p CROSS JOIN LATERAL ("                                                             \
  "  SELECT bit_or(i.flags) AS any_flags, bit_and(i.flags) AS all_flags,"                        \
  "         coalesce(string_agg(array_to_string(i.keywords, ','), ',')"                          \
  "                  FILTER (WHERE i.keywords <> '{}'), '') AS keywords,"                        \
  "         array_agg(i.mailbox_id) AS mailboxes"                                                \
  "  FROM mailbox_entries i"                                                                     \
  "  JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = i.mailbox_id"                      \
  "  WHERE i.account_id = $1 AND i.email_id = p.email_id"                                        \
  "    AND i.flags & 8 = 0 OFFSET 0) o "                                                         \
  "ORDER BY p.received_at DESC, p.email_id DESC"

// Pages come from where they begin in an index (migration 0021), whatever lies before them; the
// first comparison with $3 is what lets the planner take it.
const db::Statement kScanMailbox("jmap_scan_mailbox", Scope::kOneAccount, Access::kRead, R"sql(
  WITH page AS (
    SELECT e.email_id, e.received_at, e.size FROM mailbox_entries e
    WHERE e.account_id = $1 AND e.mailbox_id = $2 AND e.flags & 8 = 0
      AND e.received_at <= $3 AND (e.received_at, e.email_id) < ($3, $4)
      AND (SELECT 1 FROM mailboxes b WHERE b.account_id = $1 AND b.mailbox_id = $2) IS NOT NULL
    ORDER BY e.received_at DESC, e.email_id DESC LIMIT $5) )sql" GODWIT_SCANNED);

const db::Statement kScanAll("jmap_scan_all", Scope::kOneAccount, Access::kRead, R"sql(
  WITH page AS (
    SELECT m.email_id, m.received_at, m.size FROM emails m
    WHERE m.account_id = $1 AND $2 = 0
      AND m.received_at <= $3 AND (m.received_at, m.email_id) < ($3, $4)
      AND (SELECT 1 FROM mailbox_entries e
           JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = e.mailbox_id
           WHERE e.account_id = $1 AND e.email_id = m.email_id AND e.flags & 8 = 0
           LIMIT 1) IS NOT NULL
    ORDER BY m.received_at DESC, m.email_id DESC LIMIT $5) )sql" GODWIT_SCANNED);

std::vector<int64_t> ToInts(std::span<const EmailId> ids) {
  std::vector<int64_t> ints;
  ints.reserve(ids.size());
  for (const EmailId id : ids) ints.push_back(ToInt(id));
  return ints;
}

Params IdsParams(AccountId account, std::span<const EmailId> ids) {
  Params params;
  params.Int(ToInt(account)).Ints(ToInts(ids));
  return params;
}

std::vector<KeywordId> KeywordIds(const std::vector<int64_t>& ids) {
  return {ids.begin(), ids.end()};
}

JmapEmail EmailFrom(const db::Row& row) {
  JmapEmail email;
  email.id = EmailId{row.Int(0)};
  email.thread = ThreadId{row.Int(1)};
  email.blob = {BlobId{row.Int(2)}, row.Int(3), row.Int(4)};
  email.prefix_size = row.Int(5);
  email.received = row.Time(6);
  email.has_attachment = row.Bool(7);
  email.preview = row.Text(8);
  email.summary = row.Bytes(9);
  return email;
}

JmapSearchRow SearchRowFrom(const db::Row& row) {
  JmapSearchRow found;
  found.id = EmailId{row.Int(0)};
  found.thread = ThreadId{row.Int(1)};
  found.blob = {BlobId{row.Int(2)}, row.Int(3), row.Int(4)};
  found.from = row.Text(5);
  found.to = row.Text(6);
  found.cc = row.Text(7);
  found.bcc = row.Text(8);
  found.subject = row.Text(9);
  found.subject_base = row.Text(10);
  found.sent = row.OptionalTime(11);
  found.has_attachment = row.Bool(12);
  found.summary = row.Bytes(13);
  return found;
}

// Both lists are in order of email id.
void AddEntries(const db::Result& rows, std::vector<JmapEmail>* emails) {
  auto email = emails->begin();
  for (db::Row row : rows) {
    const EmailId id{row.Int(0)};
    while (email != emails->end() && email->id < id) ++email;
    if (email == emails->end()) return;
    if (email->id != id) continue;
    JmapEntry entry;
    entry.mailbox = MailboxId{row.Int(1)};
    entry.uid = static_cast<Uid>(row.Int(2));
    entry.flags = {static_cast<FlagMask>(row.Int(3)), KeywordIds(row.Ints(4))};
    email->entries.push_back(std::move(entry));
  }
}

bool Invisible(const JmapEmail& email) {
  return std::none_of(email.entries.begin(), email.entries.end(),
                      [](const JmapEntry& entry) { return entry.visible(); });
}

// "3,1,3": keyword ids of several entries.
std::vector<KeywordId> KeywordsFrom(std::string_view text) {
  std::vector<KeywordId> ids;
  if (text.empty()) return ids;
  for (std::string_view number : base::Split(text, ',')) {
    ids.push_back(static_cast<KeywordId>(base::ParseDecimal(number).value_or(0)));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

FlagMask Combine(FlagMask any, FlagMask all) { return (any & ~FlagMask{kSeen}) | (all & kSeen); }

}  // namespace

absl::StatusOr<JmapStates> GetJmapStates(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kStates, Params().Int(ToInt(account))));
  if (rows.empty()) return base::NotFound("no such account");
  const db::Row row = rows[0];
  return JmapStates{row.Int(0), row.Int(1), row.Int(2), row.Int(3),
                    row.Int(4), row.Int(5), row.Int(6)};
}

FlagMask JmapEmail::flags() const {
  FlagMask any = 0;
  FlagMask all = ~FlagMask{0};
  for (const JmapEntry& entry : entries) {
    if (!entry.visible()) continue;
    any |= entry.flags.mask;
    all &= entry.flags.mask;
  }
  return Combine(any, all);
}

std::vector<KeywordId> JmapEmail::keywords() const {
  std::vector<KeywordId> ids;
  for (const JmapEntry& entry : entries) {
    if (!entry.visible()) continue;
    ids.insert(ids.end(), entry.flags.keywords.begin(), entry.flags.keywords.end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::vector<MailboxId> JmapEmail::mailboxes() const {
  std::vector<MailboxId> ids;
  for (const JmapEntry& entry : entries) {
    if (entry.visible()) ids.push_back(entry.mailbox);
  }
  return ids;
}

absl::StatusOr<JmapEmails> GetJmapEmails(db::Connection& connection, AccountId account,
                                         std::span<const EmailId> ids, bool with_summary) {
  const Params key = Params().Int(ToInt(account));
  Params emails = IdsParams(account, ids);
  emails.Bool(with_summary);
  return db::RunTransaction(
      connection,
      [&](db::Connection& c) -> absl::StatusOr<JmapEmails> {
        JmapEmails result;
        GODWIT_ASSIGN_OR_RETURN(auto states, GetJmapStates(c, account));
        result.state = states.email;
        GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kEmails, emails));
        for (db::Row row : rows) result.emails.push_back(EmailFrom(row));
        GODWIT_ASSIGN_OR_RETURN(auto entries, c.Execute(kEntries, IdsParams(account, ids)));
        AddEntries(entries, &result.emails);
        std::erase_if(result.emails, Invisible);
        GODWIT_ASSIGN_OR_RETURN(auto names, c.Execute(kKeywords, key));
        for (db::Row row : names) {
          result.keywords.push_back({static_cast<KeywordId>(row.Int(0)), std::string(row.Text(1))});
        }
        return result;
      },
      db::Isolation::kSnapshotReadOnly);
}

absl::StatusOr<std::vector<JmapSearchRow>> GetJmapSearchRows(db::Connection& connection,
                                                             AccountId account,
                                                             std::span<const EmailId> ids,
                                                             bool with_summary) {
  Params params = IdsParams(account, ids);
  params.Bool(with_summary);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kSearchRows, params));
  std::vector<JmapSearchRow> found;
  for (db::Row row : rows) found.push_back(SearchRowFrom(row));
  return found;
}

absl::StatusOr<JmapThreads> GetJmapThreads(db::Connection& connection, AccountId account,
                                           std::span<const ThreadId> ids) {
  std::vector<int64_t> ints;
  for (const ThreadId id : ids) ints.push_back(ToInt(id));
  Params params;
  params.Int(ToInt(account)).Ints(ints);
  return db::RunTransaction(
      connection,
      [&](db::Connection& c) -> absl::StatusOr<JmapThreads> {
        JmapThreads result;
        GODWIT_ASSIGN_OR_RETURN(auto states, GetJmapStates(c, account));
        result.state = states.thread;
        GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kThreads, params));
        for (db::Row row : rows) {
          const ThreadId id{row.Int(0)};
          if (result.threads.empty() || result.threads.back().id != id) {
            result.threads.push_back({id, {}});
          }
          result.threads.back().emails.push_back(EmailId{row.Int(1)});
        }
        return result;
      },
      db::Isolation::kSnapshotReadOnly);
}

absl::StatusOr<std::vector<std::pair<EmailId, ThreadId>>> ThreadsOfEmails(
    db::Connection& connection, AccountId account, std::span<const EmailId> ids) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kThreadsOf, IdsParams(account, ids)));
  std::vector<std::pair<EmailId, ThreadId>> pairs;
  for (db::Row row : rows) pairs.emplace_back(EmailId{row.Int(0)}, ThreadId{row.Int(1)});
  return pairs;
}

absl::StatusOr<std::vector<MailboxThreads>> CountMailboxThreads(db::Connection& connection,
                                                                AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kCountThreads, Params().Int(ToInt(account))));
  std::vector<MailboxThreads> counts;
  for (db::Row row : rows) counts.push_back({MailboxId{row.Int(0)}, row.Int(1), row.Int(2)});
  return counts;
}

absl::StatusOr<std::vector<JmapScanRow>> ScanJmapEmails(db::Connection& connection,
                                                        AccountId account, const JmapScan& scan) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(scan.mailbox)).Time(scan.before).Int(ToInt(scan.before_id));
  params.Int(scan.limit);
  const bool all = scan.mailbox == MailboxId::kNone;
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(all ? kScanAll : kScanMailbox, params));
  std::vector<JmapScanRow> found;
  found.reserve(static_cast<size_t>(rows.size()));
  for (db::Row row : rows) {
    JmapScanRow one;
    one.id = EmailId{row.Int(0)};
    one.received = row.Time(1);
    one.size = row.Int(2);
    one.flags.mask = Combine(static_cast<FlagMask>(row.Int(3)), static_cast<FlagMask>(row.Int(4)));
    one.flags.keywords = KeywordsFrom(row.Text(5));
    for (const int64_t id : row.Ints(6)) one.mailboxes.push_back(MailboxId{id});
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace godwit::store

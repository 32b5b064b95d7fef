#include "libs/store/entries.h"

#include <algorithm>

#include "libs/base/status.h"
#include "libs/store/rows.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

#define GODWIT_ENTRY_COLUMNS \
  "e.uid, e.email_id, e.flags, e.keywords, e.modseq, e.received_at, e.size "
#define GODWIT_SUMMARY_COLUMNS "m.thread_id, m.blob_id, m.header_size, m.prefix_size, m.summary "
#define GODWIT_SEARCH_COLUMNS                                                                \
  "m.message_id, m.subject, m.subject_base, m.from_text, m.to_text, m.cc_text, m.bcc_text, " \
  "m.sent_at, m.preview, m.has_attachment "
// LATERAL with OFFSET 0 keeps the order: each range, then its entries by index. The planner knows
// nothing about the parameters and would read the whole mailbox, trying each entry on each range.
#define GODWIT_ENTRIES_IN_RANGES                                                       \
  "FROM unnest($3, $4) r(lo, hi) CROSS JOIN LATERAL ("                                 \
  "  SELECT i.* FROM mailbox_entries i WHERE i.account_id = $1 AND i.mailbox_id = $2 " \
  "  AND i.uid BETWEEN r.lo AND r.hi OFFSET 0) e "
#define GODWIT_THEIR_EMAILS                                               \
  "CROSS JOIN LATERAL (SELECT i.* FROM emails i WHERE i.account_id = $1 " \
  "AND i.email_id = e.email_id OFFSET 0) m "
#define GODWIT_IN_ORDER "ORDER BY e.uid LIMIT $5"

const db::Statement kFetch("entries_fetch", Scope::kOneAccount, Access::kRead,
                           "SELECT " GODWIT_ENTRY_COLUMNS GODWIT_ENTRIES_IN_RANGES GODWIT_IN_ORDER);
const db::Statement kFetchSummary("entries_fetch_summary", Scope::kOneAccount, Access::kRead,
                                  "SELECT " GODWIT_ENTRY_COLUMNS
                                  "," GODWIT_SUMMARY_COLUMNS GODWIT_ENTRIES_IN_RANGES
                                      GODWIT_THEIR_EMAILS GODWIT_IN_ORDER);
const db::Statement kFetchSearch("entries_fetch_search", Scope::kOneAccount, Access::kRead,
                                 "SELECT " GODWIT_ENTRY_COLUMNS
                                 "," GODWIT_SEARCH_COLUMNS GODWIT_ENTRIES_IN_RANGES
                                     GODWIT_THEIR_EMAILS GODWIT_IN_ORDER);
const db::Statement kFetchAll("entries_fetch_all", Scope::kOneAccount, Access::kRead,
                              "SELECT " GODWIT_ENTRY_COLUMNS "," GODWIT_SUMMARY_COLUMNS
                              "," GODWIT_SEARCH_COLUMNS GODWIT_ENTRIES_IN_RANGES GODWIT_THEIR_EMAILS
                                  GODWIT_IN_ORDER);

const db::Statement kFilter("entries_filter", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT array_agg(g.first ORDER BY g.first), array_agg(g.last ORDER BY g.first)
  FROM (SELECT min(r.uid) AS first, max(r.uid) AS last
        FROM (SELECT e.uid, e.uid - row_number() OVER (ORDER BY e.uid) AS run
              FROM unnest($3, $4) r(lo, hi) CROSS JOIN LATERAL (
                SELECT i.uid, i.flags, i.keywords, i.modseq FROM mailbox_entries i
                WHERE i.account_id = $1 AND i.mailbox_id = $2 AND i.uid BETWEEN r.lo AND r.hi
                OFFSET 0) e
              WHERE e.flags & $5 = $5 AND e.flags & $6 = 0 AND e.keywords @> $7::integer[]
                AND NOT e.keywords && $8::integer[] AND e.modseq >= $9) r
        GROUP BY r.run) g)sql");

// One statement, hence one snapshot: where the account, the mailbox and the log stand, the UIDs
// that vanished, and the UIDs the log names as changed.
const db::Statement kChanges("entries_changes", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT a.modseq, a.change_floor, m.highest_modseq, m.uidnext, v.lo, v.hi
  FROM accounts a
  LEFT JOIN mailboxes m ON m.account_id = a.account_id AND m.mailbox_id = $2
  CROSS JOIN LATERAL (
    SELECT array_agg(lower(u.r) ORDER BY u.r) AS lo, array_agg(upper(u.r) - 1 ORDER BY u.r) AS hi
    FROM (SELECT unnest(range_agg(c.uids)) AS r FROM change_log c
          WHERE c.account_id = $1 AND c.modseq > $3 AND c.mailbox_id = $2 AND c.kind = 3) u) v
  WHERE a.account_id = $1)sql");

const db::Statement kChangedEntries("entries_changed", Scope::kOneAccount, Access::kRead,
                                    "SELECT " GODWIT_ENTRY_COLUMNS R"sql(
  FROM (SELECT unnest(range_agg(c.uids)) AS r FROM change_log c
        WHERE c.account_id = $1 AND c.modseq > $3 AND c.mailbox_id = $2 AND c.kind IN (1, 2)) u
  CROSS JOIN LATERAL (
    SELECT i.* FROM mailbox_entries i WHERE i.account_id = $1 AND i.mailbox_id = $2
      AND i.uid >= lower(u.r) AND i.uid < upper(u.r) OFFSET 0) e
  WHERE e.modseq > $3 ORDER BY e.uid LIMIT $4)sql");

const db::Statement kModseq("entries_modseq", Scope::kOneAccount, Access::kRead,
                            "SELECT modseq FROM accounts WHERE account_id = $1");

const db::Statement kStoreFlags("entries_store_flags", Scope::kOneAccount, Access::kWrite, R"sql(
  SELECT uid, email_id, flags, keywords, modseq, received_at, size, watchers
  FROM store_flags($1, $2, $3, $4, $5, $6, $7, $8, $9, $10))sql");

const db::Statement kKeywords("entries_keywords", Scope::kOneAccount, Access::kRead,
                              "SELECT keyword_id, name FROM keywords WHERE account_id = $1 "
                              "ORDER BY keyword_id");

const db::Statement kCopy("entries_copy", Scope::kOneAccount, Access::kWrite,
                          "SELECT modseq, uidvalidity, source, destination, watchers "
                          "FROM copy_entries($1, $2, $3, $4, $5, $6, $7)");

const db::Statement kExpunge("entries_expunge", Scope::kOneAccount, Access::kWrite,
                             "SELECT modseq, uids, watchers "
                             "FROM expunge_entries($1, $2, $3, $4, $5, $6)");

constexpr int kEntryColumns = 7;
constexpr int kSummaryColumns = 5;

Entry EntryFrom(const db::Row& row) {
  Entry entry;
  entry.uid = static_cast<Uid>(row.Int(0));
  entry.email = EmailId{row.Int(1)};
  entry.flags.mask = static_cast<FlagMask>(row.Int(2));
  for (int64_t keyword : row.Ints(3)) {
    entry.flags.keywords.push_back(static_cast<KeywordId>(keyword));
  }
  entry.modseq = row.Int(4);
  entry.received = row.Time(5);
  entry.size = row.Int(6);
  return entry;
}

void FillSummary(const db::Row& row, int column, Entry* entry) {
  entry->thread = ThreadId{row.Int(column)};
  entry->blob = {BlobId{row.Int(column + 1)}, row.Int(column + 2), entry->size};
  entry->prefix_size = row.Int(column + 3);
  entry->summary = row.Bytes(column + 4);
}

void FillSearch(const db::Row& row, int column, Entry* entry) {
  entry->message_id = row.Text(column);
  entry->subject = row.Text(column + 1);
  entry->subject_base = row.Text(column + 2);
  entry->from = row.Text(column + 3);
  entry->to = row.Text(column + 4);
  entry->cc = row.Text(column + 5);
  entry->bcc = row.Text(column + 6);
  entry->sent = row.OptionalTime(column + 7);
  entry->preview = row.Text(column + 8);
  entry->has_attachment = row.Bool(column + 9);
}

const db::Statement& FetchStatement(FetchColumns columns) {
  if (columns.summary) return columns.search ? kFetchAll : kFetchSummary;
  return columns.search ? kFetchSearch : kFetch;
}

// The beginning of every statement on a set of entries: $1 to $4.
Params EntriesParams(AccountId account, MailboxId mailbox, UidRanges uids) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(mailbox));
  AppendRanges(&params, Normalize(std::move(uids)));
  return params;
}

std::vector<int64_t> ToInts(const std::vector<KeywordId>& ids) { return {ids.begin(), ids.end()}; }

absl::Status ValidateKeywords(const std::vector<std::string>& keywords) {
  if (keywords.size() > static_cast<size_t>(kMaxKeywordsPerChange)) {
    return base::OutOfRange("too many keywords");
  }
  for (const std::string& keyword : keywords) {
    if (keyword.empty() || keyword.size() > static_cast<size_t>(kMaxKeywordLength)) {
      return base::InvalidArgument("bad keyword");
    }
  }
  return absl::OkStatus();
}

FlagsResult FlagsResultFrom(const db::Result& rows, const FlagsChange& flags) {
  FlagsResult result;
  std::vector<Uid> modified;
  for (db::Row row : rows) {
    Entry entry = EntryFrom(row);
    if (entry.uid == 0) {
      result.change = ChangeFrom(row, 4, 7);
      continue;
    }
    // RFC 7162 §3.1.3: refused are those that had changed since.
    if (flags.unchanged_since && entry.modseq > *flags.unchanged_since &&
        entry.modseq != result.change.modseq) {
      modified.push_back(entry.uid);
    }
    result.entries.push_back(std::move(entry));
  }
  result.modified = FromUids(std::move(modified));
  return result;
}

absl::StatusOr<CopyResult> RunCopy(db::Connection& connection, const Params& params) {
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<CopyResult> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kCopy, params));
    const db::Row row = rows[0];
    CopyResult result;
    result.change = ChangeFrom(row, 0, 4);
    result.uidvalidity = static_cast<uint32_t>(row.Int(1));
    result.source = UidsFrom(row, 2);
    result.destination = UidsFrom(row, 3);
    return result;
  });
}

}  // namespace

absl::StatusOr<FetchedEntries> FetchEntries(db::Connection& connection, AccountId account,
                                            MailboxId mailbox, UidRanges uids, FetchColumns columns,
                                            int limit) {
  Params params = EntriesParams(account, mailbox, std::move(uids));
  params.Int(int64_t{limit} + 1);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(FetchStatement(columns), params));
  FetchedEntries fetched;
  fetched.complete = rows.size() <= limit;
  const int search_column = kEntryColumns + (columns.summary ? kSummaryColumns : 0);
  for (int i = 0; i < std::min(rows.size(), limit); ++i) {
    Entry entry = EntryFrom(rows[i]);
    if (columns.summary) FillSummary(rows[i], kEntryColumns, &entry);
    if (columns.search) FillSearch(rows[i], search_column, &entry);
    fetched.entries.push_back(std::move(entry));
  }
  return fetched;
}

absl::StatusOr<UidRanges> FilterEntries(db::Connection& connection, AccountId account,
                                        MailboxId mailbox, UidRanges uids,
                                        const EntryFilter& filter) {
  Params params = EntriesParams(account, mailbox, std::move(uids));
  params.Int(filter.have).Int(filter.lack).Ints(ToInts(filter.keywords));
  params.Ints(ToInts(filter.not_keywords)).Int(filter.min_modseq);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFilter, params));
  return RangesFrom(rows[0], 0, 1);
}

absl::StatusOr<Changes> ChangesSince(db::Connection& connection, AccountId account,
                                     MailboxId mailbox, Modseq since, int limit) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(mailbox)).Int(since);
  Params limited = params;
  limited.Int(int64_t{limit} + 1);
  const std::vector<db::Connection::Call> calls = {{&kChanges, params},
                                                   {&kChangedEntries, limited}};
  GODWIT_ASSIGN_OR_RETURN(auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  if (results[0].empty()) return base::NotFound("no such account");
  const db::Row row = results[0][0];
  Changes changes;
  changes.modseq = row.Int(0);
  changes.mailbox_gone = row.IsNull(2);
  changes.resync = changes.mailbox_gone || since < row.Int(1) || results[1].size() > limit;
  if (!changes.mailbox_gone) {
    changes.highest_modseq = row.Int(2);
    changes.uidnext = static_cast<Uid>(row.Int(3));
  }
  if (changes.resync) return changes;
  changes.vanished = RangesFrom(row, 4, 5);
  for (db::Row entry : results[1]) changes.changed.push_back(EntryFrom(entry));
  return changes;
}

absl::StatusOr<Modseq> GetModseq(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kModseq, Params().Int(ToInt(account))));
  if (rows.empty()) return base::NotFound("no such account");
  return rows[0].Int(0);
}

absl::StatusOr<FlagsResult> StoreFlags(db::Connection& connection, AccountId account,
                                       MailboxId mailbox, UidRanges uids, const FlagsChange& flags,
                                       absl::Time now) {
  GODWIT_RETURN_IF_ERROR(ValidateKeywords(flags.keywords));
  Params params = EntriesParams(account, mailbox, std::move(uids));
  params.Int(static_cast<int64_t>(flags.mode)).Int(flags.flags);
  params.Texts(std::span<const std::string>(flags.keywords));
  params.OptionalInt(flags.unchanged_since).Int(kMaxKeywordsPerAccount).Time(now);
  GODWIT_ASSIGN_OR_RETURN(auto rows, db::RetryAborted(connection, [&](db::Connection& c) {
                            return c.Execute(kStoreFlags, params);
                          }));
  FlagsResult result = FlagsResultFrom(rows, flags);
  if (!flags.keywords.empty()) {
    GODWIT_ASSIGN_OR_RETURN(auto names,
                            connection.Execute(kKeywords, Params().Int(ToInt(account))));
    for (db::Row row : names) {
      result.keywords.push_back({static_cast<KeywordId>(row.Int(0)), std::string(row.Text(1))});
    }
  }
  return result;
}

absl::StatusOr<CopyResult> CopyEntries(db::Connection& connection, AccountId account,
                                       MailboxId from, UidRanges uids, MailboxId to,
                                       absl::Time now) {
  Params params = EntriesParams(account, from, std::move(uids));
  params.Int(ToInt(to)).Bool(false).Time(now);
  return RunCopy(connection, params);
}

absl::StatusOr<CopyResult> MoveEntries(db::Connection& connection, AccountId account,
                                       MailboxId from, UidRanges uids, MailboxId to,
                                       absl::Time now) {
  Params params = EntriesParams(account, from, std::move(uids));
  params.Int(ToInt(to)).Bool(true).Time(now);
  return RunCopy(connection, params);
}

absl::StatusOr<ExpungeResult> ExpungeEntries(db::Connection& connection, AccountId account,
                                             MailboxId mailbox, UidRanges uids, absl::Time now,
                                             bool any) {
  Params params = EntriesParams(account, mailbox, std::move(uids));
  params.Bool(any).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<ExpungeResult> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kExpunge, params));
    return ExpungeResult{ChangeFrom(rows[0], 0, 2), FromUids(UidsFrom(rows[0], 1))};
  });
}

}  // namespace godwit::store

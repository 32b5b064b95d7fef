#include "libs/store/mailbox.h"

#include <algorithm>
#include <array>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/store/rows.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

#define GODWIT_MAILBOX_COLUMNS                                                          \
  "m.mailbox_id, m.parent_id, m.name, m.role, m.uidvalidity, m.uidnext, m.total, "      \
  "m.unseen, m.deleted, m.deleted_unseen, m.size, m.highest_modseq, m.created_modseq, " \
  "m.changed_modseq "

const db::Statement kModseqs("mailbox_modseqs", Scope::kOneAccount, Access::kRead,
                             "SELECT mailbox_modseq, modseq FROM accounts WHERE account_id = $1");

// The first statement of a change: what is read after it can not change any more.
const db::Statement kLock("mailbox_lock", Scope::kOneAccount, Access::kWrite,
                          "SELECT mailbox_modseq, modseq FROM accounts WHERE account_id = $1 "
                          "FOR NO KEY UPDATE");

const db::Statement kMailboxes("mailbox_list", Scope::kOneAccount, Access::kRead,
                               "SELECT " GODWIT_MAILBOX_COLUMNS
                               "FROM mailboxes m WHERE m.account_id = $1");

const db::Statement kSubscriptions("mailbox_subscriptions", Scope::kOneAccount, Access::kRead,
                                   "SELECT path FROM subscriptions WHERE account_id = $1 "
                                   "ORDER BY path COLLATE \"C\"");

const db::Statement kFind("mailbox_find", Scope::kOneAccount, Access::kRead,
                          "SELECT " GODWIT_MAILBOX_COLUMNS
                          ", EXISTS (SELECT FROM subscriptions s "
                          "          WHERE s.account_id = $1 AND s.path = $3) "
                          "FROM mailboxes m "
                          "WHERE m.account_id = $1 AND m.mailbox_id = mailbox_at($1, $2)");

// UIDs as ranges: within a run without gaps, uid minus its rank is the same.
const db::Statement kOpen("mailbox_open", Scope::kOneAccount, Access::kRead,
                          "SELECT " GODWIT_MAILBOX_COLUMNS R"sql(,
         a.modseq, u.first, u.last
  FROM mailboxes m
  JOIN accounts a ON a.account_id = m.account_id
  CROSS JOIN LATERAL (
    SELECT array_agg(g.first ORDER BY g.first) AS first, array_agg(g.last ORDER BY g.first) AS last
    FROM (SELECT min(r.uid) AS first, max(r.uid) AS last
          FROM (SELECT e.uid, e.uid - row_number() OVER (ORDER BY e.uid) AS run
                FROM mailbox_entries e WHERE e.account_id = $1 AND e.mailbox_id = $2) r
          GROUP BY r.run) g) u
  WHERE m.account_id = $1 AND m.mailbox_id = $2)sql");

const db::Statement kKeywords("mailbox_keywords", Scope::kOneAccount, Access::kRead,
                              "SELECT keyword_id, name FROM keywords WHERE account_id = $1 "
                              "ORDER BY keyword_id");

const db::Statement kCreate("mailbox_create", Scope::kOneAccount, Access::kWrite,
                            "SELECT modseq, mailbox_id, uidvalidity, watchers "
                            "FROM create_mailbox($1, $2, $3, $4, $5)");
const db::Statement kRename("mailbox_rename", Scope::kOneAccount, Access::kWrite,
                            "SELECT modseq, mailbox_id, uidvalidity, watchers "
                            "FROM rename_mailbox($1, $2, $3, $4, $5, $6, $7)");
const db::Statement kDelete("mailbox_delete", Scope::kOneAccount, Access::kWrite,
                            "SELECT modseq, watchers, doomed FROM delete_mailbox($1, $2, $3, $4)");
const db::Statement kPurge("mailbox_purge", Scope::kOneAccount, Access::kWrite,
                           "SELECT modseq, watchers, removed FROM purge_mailbox($1, $2, $3, $4)");
const db::Statement kSubscribe("mailbox_subscribe", Scope::kOneAccount, Access::kWrite,
                               "SELECT modseq, watchers "
                               "FROM set_subscribed($1, $2, $3, $4, $5, $6)");

constexpr int kColumns = 14;  // of GODWIT_MAILBOX_COLUMNS

Mailbox MailboxFrom(const db::Row& row) {
  Mailbox mailbox;
  mailbox.id = MailboxId{row.Int(0)};
  mailbox.parent = MailboxId{row.Int(1)};
  mailbox.name = row.Text(2);
  mailbox.role = RoleFromName(row.Text(3));
  mailbox.uidvalidity = static_cast<uint32_t>(row.Int(4));
  mailbox.uidnext = static_cast<Uid>(row.Int(5));
  mailbox.total = row.Int(6);
  mailbox.unseen = row.Int(7);
  mailbox.deleted = row.Int(8);
  mailbox.deleted_unseen = row.Int(9);
  mailbox.size = row.Int(10);
  mailbox.highest_modseq = row.Int(11);
  mailbox.created_modseq = row.Int(12);
  mailbox.changed_modseq = row.Int(13);
  return mailbox;
}

struct RoleEntry {
  Role role;
  std::string_view name;
};
constexpr std::array<RoleEntry, 7> kRoles = {{{Role::kNone, ""},
                                              {Role::kInbox, "inbox"},
                                              {Role::kDrafts, "drafts"},
                                              {Role::kSent, "sent"},
                                              {Role::kArchive, "archive"},
                                              {Role::kJunk, "junk"},
                                              {Role::kTrash, "trash"}}};

// Each path from its parents'. The tree has no cycles: a mailbox never moves below itself.
void FillPaths(std::vector<Mailbox>* mailboxes) {
  absl::flat_hash_map<int64_t, Mailbox*> by_id;
  for (Mailbox& mailbox : *mailboxes) by_id[ToInt(mailbox.id)] = &mailbox;
  for (Mailbox& mailbox : *mailboxes) {
    mailbox.path = mailbox.name;
    for (auto it = by_id.find(ToInt(mailbox.parent)); it != by_id.end();
         it = by_id.find(ToInt(it->second->parent))) {
      mailbox.path = it->second->name + "/" + mailbox.path;
    }
  }
}

std::vector<Keyword> KeywordsFrom(const db::Result& rows) {
  std::vector<Keyword> keywords;
  for (db::Row row : rows) {
    keywords.push_back({static_cast<KeywordId>(row.Int(0)), std::string(row.Text(1))});
  }
  return keywords;
}

// Results of the account's modseqs, its mailboxes and its subscriptions.
absl::StatusOr<MailboxList> ListFrom(const std::vector<db::Result>& results) {
  if (results[0].empty()) return base::NotFound("no such account");
  MailboxList list;
  list.mailbox_modseq = results[0][0].Int(0);
  list.modseq = results[0][0].Int(1);
  for (db::Row row : results[1]) list.mailboxes.push_back(MailboxFrom(row));
  for (db::Row row : results[2]) list.subscriptions.emplace_back(row.Text(0));

  FillPaths(&list.mailboxes);
  const absl::flat_hash_set<std::string> subscribed(list.subscriptions.begin(),
                                                    list.subscriptions.end());
  for (Mailbox& mailbox : list.mailboxes) mailbox.subscribed = subscribed.contains(mailbox.path);
  std::sort(list.mailboxes.begin(), list.mailboxes.end(), [](const Mailbox& a, const Mailbox& b) {
    const bool a_inbox = a.role == Role::kInbox;
    const bool b_inbox = b.role == Role::kInbox;
    return a_inbox != b_inbox ? a_inbox : a.path < b.path;
  });
  return list;
}

MailboxChange MailboxChangeFrom(const db::Row& row) {
  return {ChangeFrom(row, 0, 3), MailboxId{row.Int(1)}, static_cast<uint32_t>(row.Int(2))};
}

bool IsInbox(const std::vector<std::string>& names) {
  return names.size() == 1 && names.front() == "INBOX";
}

// RFC 9051 §5.1: no C0 and C1 controls, DEL, line and paragraph separators. `name` is UTF-8.
bool HasControl(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    const auto octet = static_cast<unsigned char>(name[i]);
    if (octet < 32 || octet == 127) return true;
    if (octet == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0) return true;
  }
  return name.find("\u2028") != std::string_view::npos ||
         name.find("\u2029") != std::string_view::npos;
}

}  // namespace

std::string_view RoleName(Role role) {
  for (const RoleEntry& entry : kRoles) {
    if (entry.role == role) return entry.name;
  }
  return "";
}

Role RoleFromName(std::string_view name) {
  for (const RoleEntry& entry : kRoles) {
    if (entry.name == name) return entry.role;
  }
  return Role::kNone;
}

absl::StatusOr<std::vector<std::string>> SplitMailboxPath(std::string_view path) {
  if (!base::IsUtf8(path)) return base::InvalidArgument("a mailbox name is UTF-8");
  if (path.size() > kMaxMailboxPath) return base::InvalidArgument("mailbox path too long");
  std::vector<std::string> names;
  for (std::string_view name : base::Split(path, '/')) {
    if (name.empty()) return base::InvalidArgument("a mailbox name has no empty component");
    if (name.size() > kMaxMailboxName) return base::InvalidArgument("mailbox name too long");
    if (HasControl(name)) return base::InvalidArgument("a mailbox name has no control characters");
    names.emplace_back(name);
  }
  if (names.size() > kMaxMailboxDepth) return base::InvalidArgument("mailbox too deep");
  // RFC 9051 §5.1: INBOX in any case is INBOX, also as the beginning of its children's names.
  if (base::EqualsIgnoreCase(names[0], "INBOX")) names[0] = "INBOX";
  return names;
}

absl::StatusOr<MailboxList> ListMailboxes(db::Connection& connection, AccountId account) {
  const Params by_account = std::move(Params().Int(ToInt(account)));
  const std::vector<db::Connection::Call> calls = {
      {&kModseqs, by_account}, {&kMailboxes, by_account}, {&kSubscriptions, by_account}};
  GODWIT_ASSIGN_OR_RETURN(auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  return ListFrom(results);
}

absl::StatusOr<MailboxList> LockMailboxes(db::Connection& connection, AccountId account) {
  GODWIT_CHECK(connection.in_transaction());
  const Params by_account = std::move(Params().Int(ToInt(account)));
  std::vector<db::Result> results;
  for (const db::Statement* statement : {&kLock, &kMailboxes, &kSubscriptions}) {
    GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(*statement, by_account));
    results.push_back(std::move(rows));
  }
  return ListFrom(results);
}

absl::StatusOr<Mailbox> FindMailbox(db::Connection& connection, AccountId account,
                                    std::string_view path) {
  auto names = SplitMailboxPath(path);
  if (!names.ok()) return base::NotFound("no such mailbox");
  const std::string canonical = base::Join(*names, "/");
  Params params;
  params.Int(ToInt(account)).Texts(std::span<const std::string>(*names)).Text(canonical);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFind, params));
  if (rows.empty()) return base::NotFound("no such mailbox");
  Mailbox mailbox = MailboxFrom(rows[0]);
  mailbox.path = canonical;
  mailbox.subscribed = rows[0].Bool(kColumns);
  return mailbox;
}

absl::StatusOr<OpenedMailbox> OpenMailbox(db::Connection& connection, AccountId account,
                                          MailboxId mailbox) {
  const std::vector<db::Connection::Call> calls = {
      {&kOpen, std::move(Params().Int(ToInt(account)).Int(ToInt(mailbox)))},
      {&kKeywords, std::move(Params().Int(ToInt(account)))}};
  GODWIT_ASSIGN_OR_RETURN(auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  if (results[0].empty()) return base::NotFound("no such mailbox");
  const db::Row row = results[0][0];
  OpenedMailbox opened;
  opened.mailbox = MailboxFrom(row);
  opened.modseq = row.Int(kColumns);
  opened.uids = RangesFrom(row, kColumns + 1, kColumns + 2);
  opened.keywords = KeywordsFrom(results[1]);
  return opened;
}

absl::StatusOr<std::vector<Keyword>> ListKeywords(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kKeywords, Params().Int(ToInt(account))));
  return KeywordsFrom(rows);
}

absl::StatusOr<MailboxChange> CreateMailbox(db::Connection& connection, AccountId account,
                                            std::string_view path, Role role, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto names, SplitMailboxPath(path));
  Params params;
  params.Int(ToInt(account)).Texts(std::span<const std::string>(names)).Text(RoleName(role));
  params.Int(kMaxMailboxes).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<MailboxChange> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kCreate, params));
    return MailboxChangeFrom(rows[0]);
  });
}

absl::StatusOr<MailboxChange> RenameMailbox(db::Connection& connection, AccountId account,
                                            std::string_view from, std::string_view to,
                                            absl::Time now) {
  auto from_names = SplitMailboxPath(from);
  if (!from_names.ok()) return base::NotFound("no such mailbox");
  GODWIT_ASSIGN_OR_RETURN(auto to_names, SplitMailboxPath(to));
  if (IsInbox(*from_names)) return base::FailedPrecondition("INBOX is renamed in steps");
  Params params;
  params.Int(ToInt(account)).Texts(std::span<const std::string>(*from_names));
  params.Texts(std::span<const std::string>(to_names)).Int(kMaxMailboxes);
  params.Int(kMaxMailboxDepth).Int(kMaxMailboxPath).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<MailboxChange> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kRename, params));
    return MailboxChangeFrom(rows[0]);
  });
}

absl::StatusOr<InboxRename> BeginInboxRename(db::Connection& connection, AccountId account,
                                             std::string_view to, absl::Time now) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<InboxRename> {
    InboxRename rename;
    GODWIT_ASSIGN_OR_RETURN(rename.made, CreateMailbox(c, account, to, Role::kNone, now));
    GODWIT_ASSIGN_OR_RETURN(auto inbox, FindMailbox(c, account, "INBOX"));
    rename.inbox = inbox.id;
    if (inbox.uidnext > 1) rename.uids = {{1, inbox.uidnext - 1}};
    return rename;
  });
}

absl::StatusOr<MailboxDeletion> DeleteMailbox(db::Connection& connection, AccountId account,
                                              std::string_view path, absl::Time now, int limit) {
  auto names = SplitMailboxPath(path);
  if (!names.ok()) return base::NotFound("no such mailbox");
  Params params;
  params.Int(ToInt(account)).Texts(std::span<const std::string>(*names)).Int(limit).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<MailboxDeletion> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kDelete, params));
    return MailboxDeletion{ChangeFrom(rows[0], 0, 1), MailboxId{rows[0].Int(2)}};
  });
}

absl::StatusOr<Purged> PurgeMailbox(db::Connection& connection, AccountId account, MailboxId doomed,
                                    absl::Time now, int limit) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(doomed)).Int(limit).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<Purged> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kPurge, params));
    return Purged{ChangeFrom(rows[0], 0, 1), rows[0].Int(2), rows[0].Int(2) < limit};
  });
}

absl::StatusOr<Change> SetSubscribed(db::Connection& connection, AccountId account,
                                     std::string_view path, bool subscribed, absl::Time now) {
  GODWIT_ASSIGN_OR_RETURN(auto names, SplitMailboxPath(path));
  Params params;
  params.Int(ToInt(account)).Text(base::Join(names, "/"));
  params.Texts(std::span<const std::string>(names)).Bool(subscribed);
  params.Int(kMaxSubscriptions).Time(now);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<Change> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kSubscribe, params));
    return ChangeFrom(rows[0], 0, 1);
  });
}

}  // namespace godwit::store

#include "libs/store/jmap_update.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "libs/base/status.h"
#include "libs/store/entries.h"
#include "libs/store/jmap_email.h"
#include "libs/store/mailbox.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// The first statement of a change: what is read after it can not change any more.
const db::Statement kLock("jmap_lock", Scope::kOneAccount, Access::kWrite,
                          "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE");

const db::Statement kEntries("jmap_update_entries", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT e.email_id, e.mailbox_id, e.uid, e.flags, e.keywords
  FROM unnest($2) u(id) CROSS JOIN LATERAL (
    SELECT i.* FROM mailbox_entries i
    JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = i.mailbox_id
    WHERE i.account_id = $1 AND i.email_id = u.id OFFSET 0) e
  ORDER BY e.email_id, e.mailbox_id)sql");

const db::Statement kMailboxes("jmap_update_mailboxes", Scope::kOneAccount, Access::kRead,
                               "SELECT mailbox_id FROM mailboxes "
                               "WHERE account_id = $1 AND mailbox_id = ANY ($2)");

using Entries = std::map<EmailId, std::vector<JmapEntry>>;

// What is read under the lock.
struct Known {
  Entries entries;
  std::set<MailboxId> mailboxes;              // those that are wanted and exist
  std::map<KeywordId, std::string> keywords;  // where mailboxes are wanted
};

absl::StatusOr<Entries> LockAndRead(db::Connection& connection, AccountId account,
                                    const std::vector<int64_t>& emails) {
  GODWIT_ASSIGN_OR_RETURN(auto locked, connection.Execute(kLock, Params().Int(ToInt(account))));
  if (locked.empty()) return base::NotFound("no such account");
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kEntries, Params().Int(ToInt(account)).Ints(emails)));
  Entries entries;
  for (db::Row row : rows) {
    JmapEntry entry;
    entry.mailbox = MailboxId{row.Int(1)};
    entry.uid = static_cast<Uid>(row.Int(2));
    entry.flags.mask = static_cast<FlagMask>(row.Int(3));
    for (const int64_t id : row.Ints(4)) entry.flags.keywords.push_back(static_cast<KeywordId>(id));
    entries[EmailId{row.Int(0)}].push_back(std::move(entry));
  }
  return entries;
}

bool IsVisible(const std::vector<JmapEntry>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const JmapEntry& entry) { return entry.visible(); });
}

bool Has(const std::vector<MailboxId>& list, MailboxId id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

// What is to be done, each kind once a mailbox.
struct Plan {
  using FlagsKey = std::tuple<MailboxId, FlagsMode, FlagMask, std::vector<std::string>>;
  std::map<FlagsKey, std::vector<Uid>> shown;  // before the others
  std::map<FlagsKey, std::vector<Uid>> flags;
  std::map<std::pair<MailboxId, MailboxId>, std::vector<Uid>> copies;
  std::map<std::pair<MailboxId, MailboxId>, std::vector<Uid>> moves;
  std::map<MailboxId, std::vector<Uid>> expunges;
};

void PlanKeywords(const JmapUpdate& update, const std::vector<JmapEntry>& entries, Plan* plan) {
  const bool add = update.replace_keywords || update.add_flags != 0 || !update.add_keywords.empty();
  const bool remove = update.remove_flags != 0 || !update.remove_keywords.empty();
  const FlagsMode mode = update.replace_keywords ? FlagsMode::kReplace : FlagsMode::kAdd;
  for (const JmapEntry& entry : entries) {
    if (!entry.visible()) continue;
    if (add) {
      plan->flags[{entry.mailbox, mode, update.add_flags, update.add_keywords}].push_back(
          entry.uid);
    }
    if (remove) {
      plan->flags[{entry.mailbox, FlagsMode::kRemove, update.remove_flags, update.remove_keywords}]
          .push_back(entry.uid);
    }
  }
}

// An entry that lies in the wanted mailbox already, marked for expunging: a copy would become
// another email. It is shown again, as if it had been copied from `source`.
void ShowAgain(const JmapUpdate& update, const JmapEntry& source, const Known& known,
               JmapEntry* hidden, Plan* plan) {
  hidden->flags = source.flags;
  if (update.replace_keywords) return;  // which writes it as well
  std::vector<std::string> names;
  for (const KeywordId id : source.flags.keywords) {
    const auto name = known.keywords.find(id);
    if (name != known.keywords.end()) names.push_back(name->second);
  }
  plan->shown[{hidden->mailbox, FlagsMode::kReplace, source.flags.mask, std::move(names)}]
      .push_back(hidden->uid);
}

absl::Status PlanMailboxes(const JmapUpdate& update, const Known& known,
                           std::vector<JmapEntry>& entries, Plan* plan) {
  std::vector<const JmapEntry*> staying;
  std::vector<const JmapEntry*> leaving;
  for (const JmapEntry& entry : entries) {
    if (!entry.visible()) continue;
    const bool leaves = update.replace_mailboxes ? !Has(update.add_mailboxes, entry.mailbox)
                                                 : Has(update.remove_mailboxes, entry.mailbox);
    (leaves ? leaving : staying).push_back(&entry);
  }
  std::vector<MailboxId> wanted;
  for (const MailboxId id : update.add_mailboxes) {
    const bool there = std::any_of(staying.begin(), staying.end(),
                                   [&](const JmapEntry* entry) { return entry->mailbox == id; });
    if (!there && !known.mailboxes.contains(id)) return base::InvalidArgument("no such mailbox");
    if (!there && !Has(wanted, id)) wanted.push_back(id);
  }
  // RFC 8621 §4.1.1: an email lies in one mailbox at least.
  if (staying.empty() && wanted.empty()) {
    return base::FailedPrecondition("the email would lie in no mailbox");
  }
  const JmapEntry* source = staying.empty() ? leaving.front() : staying.front();
  for (const MailboxId to : wanted) {
    const auto hidden = std::find_if(entries.begin(), entries.end(), [&](const JmapEntry& entry) {
      return entry.mailbox == to && !entry.visible();
    });
    if (hidden != entries.end()) {
      ShowAgain(update, *source, known, &*hidden, plan);
    } else if (to == wanted.back() && !leaving.empty()) {
      const JmapEntry* moved = leaving.back();
      leaving.pop_back();
      plan->moves[{moved->mailbox, to}].push_back(moved->uid);
    } else {
      plan->copies[{source->mailbox, to}].push_back(source->uid);
    }
  }
  for (const JmapEntry* entry : leaving) plan->expunges[entry->mailbox].push_back(entry->uid);
  return absl::OkStatus();
}

void Note(const Change& change, Change* last) {
  if (change.modseq != 0) *last = change;
}

absl::StatusOr<Change> CarryFlags(db::Connection& c, AccountId account,
                                  const std::map<Plan::FlagsKey, std::vector<Uid>>& flags,
                                  absl::Time now) {
  Change last;
  for (const auto& [key, uids] : flags) {
    const auto& [mailbox, mode, mask, keywords] = key;
    FlagsChange change;
    change.mode = mode;
    change.flags = mask;
    change.keywords = keywords;
    GODWIT_ASSIGN_OR_RETURN(auto done,
                            StoreFlags(c, account, mailbox, FromUids(uids), change, now));
    Note(done.change, &last);
  }
  return last;
}

// Flags first, so that copies carry them; removals last, so that nothing is an orphan in between.
absl::StatusOr<Change> Carry(db::Connection& c, AccountId account, const Plan& plan,
                             absl::Time now) {
  Change last;
  for (const auto* flags : {&plan.shown, &plan.flags}) {
    GODWIT_ASSIGN_OR_RETURN(auto change, CarryFlags(c, account, *flags, now));
    Note(change, &last);
  }
  for (const auto& [way, uids] : plan.copies) {
    GODWIT_ASSIGN_OR_RETURN(auto done,
                            CopyEntries(c, account, way.first, FromUids(uids), way.second, now));
    Note(done.change, &last);
  }
  for (const auto& [way, uids] : plan.moves) {
    GODWIT_ASSIGN_OR_RETURN(auto done,
                            MoveEntries(c, account, way.first, FromUids(uids), way.second, now));
    Note(done.change, &last);
  }
  for (const auto& [mailbox, uids] : plan.expunges) {
    GODWIT_ASSIGN_OR_RETURN(auto done,
                            ExpungeEntries(c, account, mailbox, FromUids(uids), now, true));
    Note(done.change, &last);
  }
  return last;
}

absl::Status PlanUpdate(const JmapUpdate& update, const Known& known, Plan* plan) {
  const auto found = known.entries.find(update.email);
  if (found == known.entries.end() || !IsVisible(found->second)) {
    return base::NotFound("no such email");
  }
  std::vector<JmapEntry> entries = found->second;
  const bool mailboxes =
      update.replace_mailboxes || !update.add_mailboxes.empty() || !update.remove_mailboxes.empty();
  if (mailboxes) GODWIT_RETURN_IF_ERROR(PlanMailboxes(update, known, entries, plan));
  PlanKeywords(update, entries, plan);
  return absl::OkStatus();
}

absl::Status PlanDestroy(EmailId email, const Known& known, Plan* plan) {
  const auto found = known.entries.find(email);
  if (found == known.entries.end() || !IsVisible(found->second)) {
    return base::NotFound("no such email");
  }
  for (const JmapEntry& entry : found->second) plan->expunges[entry.mailbox].push_back(entry.uid);
  return absl::OkStatus();
}

EmailId EmailOf(const JmapUpdate& update) { return update.email; }
EmailId EmailOf(EmailId email) { return email; }
absl::Status PlanOne(const JmapUpdate& update, const Known& known, Plan* plan) {
  return PlanUpdate(update, known, plan);
}
absl::Status PlanOne(EmailId email, const Known& known, Plan* plan) {
  return PlanDestroy(email, known, plan);
}

void AddWanted(const JmapUpdate& update, std::vector<int64_t>* mailboxes) {
  for (const MailboxId id : update.add_mailboxes) mailboxes->push_back(ToInt(id));
}
void AddWanted(EmailId /*email*/, std::vector<int64_t>* /*mailboxes*/) {}

template <typename Item>
absl::StatusOr<Known> Look(db::Connection& c, AccountId account, std::span<const Item> items) {
  std::vector<int64_t> emails;
  std::vector<int64_t> mailboxes;
  for (const Item& item : items) {
    emails.push_back(ToInt(EmailOf(item)));
    AddWanted(item, &mailboxes);
  }
  Known known;
  GODWIT_ASSIGN_OR_RETURN(known.entries, LockAndRead(c, account, emails));
  if (mailboxes.empty()) return known;
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          c.Execute(kMailboxes, Params().Int(ToInt(account)).Ints(mailboxes)));
  for (db::Row row : rows) known.mailboxes.insert(MailboxId{row.Int(0)});
  GODWIT_ASSIGN_OR_RETURN(auto keywords, ListKeywords(c, account));
  for (Keyword& each : keywords) known.keywords[each.id] = std::move(each.name);
  return known;
}

// One transaction; those that can not be planned are left out of it.
template <typename Item>
absl::StatusOr<JmapUpdated> RunTogether(db::Connection& connection, AccountId account,
                                        std::span<const Item> items, absl::Time now) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::StatusOr<JmapUpdated> {
    GODWIT_ASSIGN_OR_RETURN(const Known known, Look(c, account, items));
    JmapUpdated updated;
    Plan plan;
    for (const Item& item : items) {
      updated.results.push_back(PlanOne(item, known, &plan));
    }
    GODWIT_ASSIGN_OR_RETURN(updated.change, Carry(c, account, plan, now));
    return updated;
  });
}

// Concerns what was asked for, not the database.
bool IsOwnFault(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kResourceExhausted: return true;
    default: return false;
  }
}

template <typename Item>
absl::StatusOr<JmapUpdated> Run(db::Connection& connection, AccountId account,
                                std::span<const Item> items, absl::Time now) {
  auto together = RunTogether(connection, account, items, now);
  if (together.ok() || !IsOwnFault(together.status())) return together;
  JmapUpdated updated;
  for (const Item& item : items) {
    auto one = RunTogether(connection, account, std::span<const Item>(&item, 1), now);
    if (!one.ok() && !IsOwnFault(one.status())) return one;
    updated.results.push_back(one.ok() ? one->results.front() : one.status());
    if (one.ok()) Note(one->change, &updated.change);
  }
  return updated;
}

}  // namespace

absl::StatusOr<JmapUpdated> UpdateJmapEmails(db::Connection& connection, AccountId account,
                                             std::span<const JmapUpdate> updates, absl::Time now) {
  return Run(connection, account, updates, now);
}

absl::StatusOr<JmapUpdated> DestroyJmapEmails(db::Connection& connection, AccountId account,
                                              std::span<const EmailId> emails, absl::Time now) {
  return Run(connection, account, emails, now);
}

}  // namespace godwit::store

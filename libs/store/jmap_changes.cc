#include "libs/store/jmap_changes.h"

#include <algorithm>
#include <set>

#include "libs/base/status.h"
#include "libs/store/jmap_email.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

// Rows of the log that are looked at in one call.
constexpr int kMaxLogRows = 5000;
constexpr int64_t kKindMailboxChanged = 5;

const db::Statement kMailboxLog("jmap_log_mailbox", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT modseq, kind, ARRAY[mailbox_id] FROM change_log
  WHERE account_id = $1 AND modseq > $2 ORDER BY modseq, part LIMIT $3)sql");
const db::Statement kEmailLog("jmap_log_email", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT modseq, kind, email_ids FROM change_log
  WHERE account_id = $1 AND modseq > $2 AND email_ids IS NOT NULL
  ORDER BY modseq, part LIMIT $3)sql");
const db::Statement kThreadLog("jmap_log_thread", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT modseq, kind, thread_ids FROM change_log
  WHERE account_id = $1 AND modseq > $2 AND thread_ids IS NOT NULL
  ORDER BY modseq, part LIMIT $3)sql");

// (id, created, changed): created is NULL for what is not there, or not visible.
const db::Statement kMailboxNow("jmap_now_mailbox", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT u.id, m.created_modseq, coalesce(m.changed_modseq, 0) FROM unnest($2) u(id)
  LEFT JOIN mailboxes m ON m.account_id = $1 AND m.mailbox_id = u.id)sql");
const db::Statement kEmailNow("jmap_now_email", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT u.id, m.created_modseq, 9223372036854775807::bigint FROM unnest($2) u(id)
  LEFT JOIN LATERAL (
    SELECT i.created_modseq FROM emails i WHERE i.account_id = $1 AND i.email_id = u.id AND EXISTS (
      SELECT FROM mailbox_entries e
      JOIN mailboxes b ON b.account_id = $1 AND b.mailbox_id = e.mailbox_id
      WHERE e.account_id = $1 AND e.email_id = u.id AND e.flags & 8 = 0) OFFSET 0) m ON true)sql");
const db::Statement kThreadNow("jmap_now_thread", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT u.id, t.created_modseq, coalesce(t.changed_modseq, 0) FROM unnest($2) u(id)
  LEFT JOIN threads t ON t.account_id = $1 AND t.thread_id = u.id)sql");

struct Sources {
  const db::Statement* log;
  const db::Statement* now;
  Modseq JmapStates::*state;
};

Sources SourcesOf(JmapType type) {
  switch (type) {
    case JmapType::kMailbox: return {&kMailboxLog, &kMailboxNow, &JmapStates::mailbox};
    case JmapType::kEmail: return {&kEmailLog, &kEmailNow, &JmapStates::email};
    case JmapType::kThread: break;
  }
  return {&kThreadLog, &kThreadNow, &JmapStates::thread};
}

// The ids of whole modseqs, as many as fit.
struct Page {
  std::set<int64_t> ids;
  std::set<int64_t> structural;  // mailboxes that were renamed, moved or subscribed
  Modseq last = 0;               // 0: not even the first modseq fitted
  bool complete = true;
};

// Adds the ids of [begin, end), which is one modseq; takes them back when there are more than fit.
bool AddModseq(const db::Result& rows, int begin, int end, size_t max, Page* page) {
  std::vector<int64_t> fresh;
  for (int row = begin; row < end; ++row) {
    for (const int64_t id : rows[row].Ints(2)) {
      if (page->ids.insert(id).second) fresh.push_back(id);
    }
    if (page->ids.size() > max) {
      for (const int64_t id : fresh) page->ids.erase(id);
      return false;
    }
  }
  for (int row = begin; row < end; ++row) {
    if (rows[row].Int(1) != kKindMailboxChanged) continue;
    for (const int64_t id : rows[row].Ints(2)) page->structural.insert(id);
  }
  page->last = rows[begin].Int(0);
  return true;
}

Page TakePage(const db::Result& rows, size_t max) {
  Page page;
  for (int row = 0; row < rows.size();) {
    int end = row;
    while (end < rows.size() && rows[end].Int(0) == rows[row].Int(0)) ++end;
    // The last modseq may go on behind the rows that were read.
    const bool cut = end == rows.size() && rows.size() == kMaxLogRows;
    if (cut || !AddModseq(rows, row, end, max, &page)) {
      page.complete = false;
      return page;
    }
    row = end;
  }
  return page;
}

void Sort(const db::Result& now, Modseq since, const Page& page, JmapChanges* changes) {
  changes->only_counts = true;
  for (db::Row row : now) {
    const int64_t id = row.Int(0);
    if (row.IsNull(1)) {
      changes->destroyed.push_back(id);
    } else if (row.Int(1) > since) {
      changes->created.push_back(id);
    } else if (row.Int(2) > since) {
      changes->updated.push_back(id);
      if (page.structural.contains(id)) changes->only_counts = false;
    }
  }
  if (changes->updated.empty()) changes->only_counts = false;
  for (auto* list : {&changes->created, &changes->updated, &changes->destroyed}) {
    std::sort(list->begin(), list->end());
  }
}

}  // namespace

absl::StatusOr<std::optional<JmapChanges>> JmapChangesSince(db::Connection& connection,
                                                            AccountId account, JmapType type,
                                                            Modseq since, size_t max) {
  using Result = absl::StatusOr<std::optional<JmapChanges>>;
  const Sources sources = SourcesOf(type);
  return db::RunTransaction(
      connection,
      [&](db::Connection& c) -> Result {
        GODWIT_ASSIGN_OR_RETURN(const JmapStates states, GetJmapStates(c, account));
        if (since < states.floor || since > states.modseq) return std::optional<JmapChanges>();
        Params params;
        params.Int(ToInt(account)).Int(since).Int(kMaxLogRows);
        GODWIT_ASSIGN_OR_RETURN(auto log, c.Execute(*sources.log, params));
        const Page page = TakePage(log, max);
        if (!page.complete && page.last == 0) return std::optional<JmapChanges>();
        JmapChanges changes;
        changes.has_more = !page.complete;
        changes.state = page.complete ? std::max(since, states.*sources.state) : page.last;
        const std::vector<int64_t> ids(page.ids.begin(), page.ids.end());
        GODWIT_ASSIGN_OR_RETURN(auto now,
                                c.Execute(*sources.now, Params().Int(ToInt(account)).Ints(ids)));
        Sort(now, since, page, &changes);
        return std::optional<JmapChanges>(std::move(changes));
      },
      db::Isolation::kSnapshotReadOnly);
}

}  // namespace godwit::store

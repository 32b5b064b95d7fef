// What others changed in the selected mailbox, told at the right moments (RFC 9051 §5.2, §7.4,
// §7.5).

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

constexpr uint64_t kReopenPage = 1000;

}  // namespace

void Session::Announce(const store::Change& change) {
  if (change.modseq == 0) return;
  env_->registry->Changed(account_->id, change.modseq, handle_.get());
  std::vector<std::string> elsewhere = change.watchers;
  std::erase(elsewhere, env_->presence->watcher());
  if (!elsewhere.empty() && env_->hints != nullptr) {
    env_->hints->Send(store::ToInt(account_->id), change.modseq, elsewhere);
  }
}

base::Task<void> Session::CatchUp(bool expunges, bool force) {
  absl::Status status = co_await Sync(expunges, force || missed_syncs_ > 0);
  if (status.ok()) {
    missed_syncs_ = 0;
    co_return;
  }
  // No hint comes a second time: an idling session asks again by itself (ReadTimeout).
  ++missed_syncs_;
  obs::Log(obs::Level::kWarning, "sync failed", {{"trace", trace_}, {"error", status}});
}

base::Task<absl::Status> Session::Sync(bool expunges, bool force) {
  const store::Modseq latest = account_->latest;
  if (!force && latest <= selected_->modseq) co_return absl::OkStatus();
  absl::StatusOr<store::Changes> changes = co_await env_->database->Run(
      [account = account_->id, mailbox = selected_->mailbox, since = selected_->modseq](
          db::Connection& c) { return store::ChangesSince(c, account, mailbox, since); });
  if (!changes.ok()) co_return changes.status();
  account_->Correct(latest, changes->modseq);
  // The log of another mailbox was cut short: nothing happened in ours.
  const bool quiet = !changes->mailbox_gone && selected_->modseq >= changes->highest_modseq;
  if (quiet) changes->resync = false;
  if (changes->mailbox_gone) {
    Bye("failure", "The selected mailbox was deleted");
    co_return absl::OkStatus();
  }
  imap::UidSet& uids = selected_->uids.get();
  const imap::UidSet vanished = ToUidSet(changes->vanished).Intersect(uids);
  // Sequence numbers must stay: all of it is told after another command.
  if (!expunges && (changes->resync || !vanished.empty())) co_return absl::OkStatus();
  if (changes->resync) co_return co_await SyncReopen();
  absl::Status learnt = co_await LearnKeywords(&changes->changed);
  if (!learnt.ok()) co_return learnt;
  TellVanished(vanished);
  const size_t before = uids.size();
  const uint32_t known = uids.max();
  for (const store::Entry& entry : changes->changed) {
    if (entry.uid > known) uids.Add(entry.uid);
  }
  TellExists(before);
  for (const store::Entry& entry : changes->changed) {
    if (entry.uid <= known && uids.Contains(entry.uid)) TellFlags(entry);
    co_await FlushIfLong();
  }
  selected_->modseq = changes->modseq;
  co_return absl::OkStatus();
}

// The change log does not tell everything: compares what is there with what the client knows.
base::Task<absl::Status> Session::SyncReopen() {
  const store::AccountId account = account_->id;
  const store::MailboxId mailbox = selected_->mailbox;
  absl::StatusOr<store::OpenedMailbox> opened = co_await env_->database->Run(
      [account, mailbox](db::Connection& c) { return store::OpenMailbox(c, account, mailbox); });
  if (!opened.ok()) co_return opened.status();
  imap::UidSet& uids = selected_->uids.get();
  const imap::UidSet now = ToUidSet(opened->uids);
  imap::UidSet vanished = uids;
  vanished.RemoveAll(now);
  TellVanished(vanished);
  store::UidRanges known = ToRanges(uids);
  const size_t before = uids.size();
  uids = now;
  TellExists(before);
  selected_->keywords = std::move(opened->keywords);
  absl::Status told = co_await TellChanged(std::move(known), selected_->modseq);
  if (told.ok()) selected_->modseq = opened->modseq;
  co_return told;
}

// The flags of those of `uids` that changed after `since`, page by page.
base::Task<absl::Status> Session::TellChanged(store::UidRanges uids, store::Modseq since) {
  store::EntryFilter filter;
  filter.min_modseq = since + 1;
  while (!uids.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&uids, kReopenPage);
    auto entries = co_await env_->database->Run(
        [account = account_->id, mailbox = selected_->mailbox, page,
         filter](db::Connection& c) -> absl::StatusOr<store::FetchedEntries> {
          auto changed = store::FilterEntries(c, account, mailbox, page, filter);
          if (!changed.ok()) return changed.status();
          return store::FetchEntries(c, account, mailbox, *changed, {});
        });
    if (!entries.ok()) co_return entries.status();
    absl::Status learnt = co_await LearnKeywords(&entries->entries);
    if (!learnt.ok()) co_return learnt;
    for (const store::Entry& entry : entries->entries) TellFlags(entry);
    co_await FlushIfLong();
  }
  co_return absl::OkStatus();
}

// The names of all keywords that the entries carry are known afterwards.
base::Task<absl::Status> Session::LearnKeywords(const std::vector<store::Entry>* entries) {
  std::vector<std::string> names;
  const bool known = std::all_of(entries->begin(), entries->end(), [&](const store::Entry& entry) {
    return selected_->NameKeywords(entry.flags, &names);
  });
  if (known) co_return absl::OkStatus();
  absl::StatusOr<std::vector<store::Keyword>> keywords = co_await env_->database->Run(
      [account = account_->id](db::Connection& c) { return store::ListKeywords(c, account); });
  if (!keywords.ok()) co_return keywords.status();
  selected_->keywords = *std::move(keywords);
  co_return absl::OkStatus();
}

void Session::TellVanished(const imap::UidSet& vanished) {
  if (vanished.empty()) return;
  imap::UidSet& uids = selected_->uids.get();
  if (qresync_) {
    // RFC 7162 §3.2.10.
    out_ += "* VANISHED " + vanished.ToString() + "\r\n";
  } else {
    // From the end, so that no number changes before it is told.
    const auto positions = uids.RankAll(vanished).ranges();
    for (auto range = positions.rbegin(); range != positions.rend(); ++range) {
      for (uint32_t n = range->last; n >= range->first; --n) {
        out_ += "* " + std::to_string(n) + " EXPUNGE\r\n";
      }
    }
  }
  uids.RemoveAll(vanished);
  selected_->saved.get().RemoveAll(vanished);
}

void Session::TellExists(size_t before) {
  const size_t now = selected_->uids.get().size();
  if (now == before) return;
  out_ += "* " + std::to_string(now) + " EXISTS\r\n";
  if (!rev2_) out_ += "* 0 RECENT\r\n";
}

void Session::AppendFlags(const store::Entry& entry) {
  std::vector<std::string> keywords;
  selected_->NameKeywords(entry.flags, &keywords);
  out_ += "FLAGS (" + imap::FormatFlags(entry.flags.mask, keywords) + ")";
}

void Session::TellFlags(const store::Entry& entry) {
  out_ += "* " + std::to_string(selected_->uids.get().Rank(entry.uid)) + " FETCH (UID " +
          std::to_string(entry.uid) + " ";
  AppendFlags(entry);
  if (condstore_) out_ += " MODSEQ (" + std::to_string(entry.modseq) + ")";
  out_ += ")\r\n";
}

}  // namespace godwit::imap_gateway

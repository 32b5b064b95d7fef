// SELECT, EXAMINE (with CONDSTORE and QRESYNC, RFC 7162), CLOSE, UNSELECT (RFC 9051 §6.3.1, §6.4).

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// FLAGS names no more keywords than this; a client may still use the others.
constexpr size_t kMaxToldKeywords = 100;

absl::StatusOr<store::OpenedMailbox> FindAndOpen(db::Connection& connection,
                                                 store::AccountId account,
                                                 const std::string& path) {
  auto mailbox = store::FindMailbox(connection, account, path);
  if (!mailbox.ok()) return mailbox.status();
  return store::OpenMailbox(connection, account, mailbox->id);
}

}  // namespace

base::Task<Reply> Session::Select(imap::SelectArguments select, bool read_only) {
  // RFC 9051 §6.3.2: whatever comes of it, the mailbox selected before is not any more.
  CloseSelected(true);
  if (select.qresync && !qresync_) co_return Reply::Bad("QRESYNC is not enabled");
  condstore_ |= select.condstore || select.qresync.has_value();
  auto name = MailboxName(select.mailbox);
  if (!name.ok()) co_return Reply::No(imap::code::kNonExistent, "No such mailbox");
  store::OpenedMailbox opened;
  absl::Status status = co_await OpenSelected(*name, read_only, &opened);
  if (!status.ok()) co_return Failed(status, "SELECT");
  TellSelected(opened);
  opened = store::OpenedMailbox();
  if (select.qresync && select.qresync->uid_validity == selected_->uid_validity) {
    co_await TellQresync(*std::move(select.qresync));
  }
  co_return Reply{"OK", std::string(read_only ? imap::code::kReadOnly : imap::code::kReadWrite),
                  read_only ? "Examine completed" : "Select completed"};
}

base::Task<absl::Status> Session::OpenSelected(std::string path, bool read_only,
                                               store::OpenedMailbox* opened) {
  // First watched, then read: what changes in between is hinted.
  absl::Status watched = co_await env_->presence->Watch(account_);
  // FailedPrecondition: our registration is gone; the next beat makes a new one and watches all
  // accounts again. The mailbox can be opened meanwhile.
  if (!watched.ok() && watched.code() != absl::StatusCode::kFailedPrecondition) co_return watched;
  absl::StatusOr<store::OpenedMailbox> found = co_await env_->database->Run(
      [account = account_->id, path](db::Connection& c) { return FindAndOpen(c, account, path); });
  if (!found.ok()) co_return found.status();
  *opened = *std::move(found);
  selected_ = std::make_unique<Selected>();
  selected_->mailbox = opened->mailbox.id;
  selected_->path = std::move(path);
  selected_->uid_validity = opened->mailbox.uidvalidity;
  selected_->read_only = read_only;
  selected_->modseq = opened->modseq;
  selected_->uids.get() = ToUidSet(opened->uids);
  selected_->keywords = std::move(opened->keywords);
  co_return absl::OkStatus();
}

void Session::TellSelected(const store::OpenedMailbox& opened) {
  std::vector<std::string> keywords;
  for (const store::Keyword& keyword : selected_->keywords) {
    if (keywords.size() < kMaxToldKeywords) keywords.push_back(keyword.name);
  }
  const std::string flags = imap::FormatFlags(imap::kAllSystemFlags, keywords);
  out_ += "* FLAGS (" + flags + ")\r\n";
  // RFC 9051 §6.3.2: "\*": new keywords may be made.
  const std::string permanent = selected_->read_only ? "" : flags + " \\*";
  imap::AppendUntagged(&out_, "OK", "PERMANENTFLAGS (" + permanent + ")", "Flags permitted");
  out_ += "* " + std::to_string(selected_->uids.get().size()) + " EXISTS\r\n";
  if (!rev2_) out_ += "* 0 RECENT\r\n";
  imap::AppendUntagged(&out_, "OK", "UIDVALIDITY " + std::to_string(selected_->uid_validity),
                       "UIDs valid");
  imap::AppendUntagged(&out_, "OK", "UIDNEXT " + std::to_string(opened.mailbox.uidnext),
                       "Predicted next UID");
  imap::AppendUntagged(&out_, "OK",
                       "HIGHESTMODSEQ " + std::to_string(opened.mailbox.highest_modseq), "Highest");
  imap::AppendUntagged(
      &out_, "OK", "MAILBOXID (F" + std::to_string(store::ToInt(selected_->mailbox)) + ")", "Ok");
  if (!rev2_) return;
  out_ += "* LIST () \"/\" ";
  imap::AppendAstring(&out_, imap::EncodeMailboxName(selected_->path, name_encoding()),
                      text_mode());
  out_ += "\r\n";
}

// What happened since `since`. Where the change log does not reach back (`resync`), everything
// below the highest UID is said to have vanished (what is there is taken out by TellEarlier), and
// the modseqs of what is there tell what changed.
base::Task<absl::StatusOr<store::Changes>> Session::ChangesForClient(store::Modseq since) {
  absl::StatusOr<store::Changes> changes = co_await env_->database->Run(
      [account = account_->id, mailbox = selected_->mailbox, since](db::Connection& c) {
        return store::ChangesSince(c, account, mailbox, since);
      });
  if (!changes.ok() || !changes->resync) co_return changes;
  // The log was cut short, but nothing happened here since then.
  changes->resync = since < changes->highest_modseq;
  const uint32_t max = selected_->uids.get().max();
  if (changes->resync && max > 0) changes->vanished = {{1, max}};
  co_return changes;
}

void Session::TellEarlier(const store::Changes& changes,
                          const std::optional<imap::SequenceSet>& known_uids) {
  imap::UidSet vanished = ToUidSet(changes.vanished);
  if (known_uids) vanished = vanished.Intersect(known_uids->Resolve(UINT32_MAX));
  vanished.RemoveAll(selected_->uids.get());
  if (!vanished.empty()) out_ += "* VANISHED (EARLIER) " + vanished.ToString() + "\r\n";
}

// RFC 7162 §3.2.5.1: what vanished and what changed since the client was last here.
base::Task<void> Session::TellQresync(imap::QresyncArguments qresync) {
  const auto since = static_cast<store::Modseq>(std::min<uint64_t>(qresync.modseq, INT64_MAX - 1));
  absl::StatusOr<store::Changes> changes = co_await ChangesForClient(since);
  if (!changes.ok()) co_return;
  TellEarlier(*changes, qresync.known_uids);
  if (changes->resync) {
    absl::Status told = co_await TellChanged(ToRanges(selected_->uids.get()), since);
    if (!told.ok()) obs::Log(obs::Level::kWarning, "QRESYNC failed", {{"error", told}});
    co_return;
  }
  absl::Status learnt = co_await LearnKeywords(&changes->changed);
  if (!learnt.ok()) co_return;
  for (const store::Entry& entry : changes->changed) {
    if (selected_->uids.get().Contains(entry.uid)) TellFlags(entry);
    co_await FlushIfLong();
  }
}

// RFC 7162 §3.2.6: UID FETCH ... (CHANGEDSINCE n VANISHED).
base::Task<void> Session::TellVanishedSince(imap::QresyncArguments since) {
  const auto modseq = static_cast<store::Modseq>(std::min<uint64_t>(since.modseq, INT64_MAX - 1));
  absl::StatusOr<store::Changes> changes = co_await ChangesForClient(modseq);
  if (changes.ok()) TellEarlier(*changes, since.known_uids);
}

void Session::CloseSelected(bool tell) {
  if (selected_ == nullptr) return;
  selected_.reset();
  // RFC 9051 §7.1: responses above belong to the old mailbox, those below to the new one.
  if (tell && (rev2_ || qresync_)) {
    imap::AppendUntagged(&out_, "OK", imap::code::kClosed, "Previous mailbox closed");
  }
}

base::Task<Reply> Session::Close() {
  if (!selected_->read_only) {
    // RFC 9051 §6.4.1: \Deleted messages go, without being told.
    absl::Status removed = co_await RemoveDeleted(ToRanges(selected_->uids.get()));
    if (!removed.ok()) co_return Failed(removed, "CLOSE");
  }
  CloseSelected(false);
  co_return Reply::Ok("Close completed");
}

Reply Session::Unselect() {
  CloseSelected(false);
  return Reply::Ok("Unselect completed");
}

}  // namespace godwit::imap_gateway

// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE (RFC 9051 §6.3).

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/copy.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// RFC 6154 §2. kNone for one that we do not keep.
store::Role RoleOfSpecialUse(std::string_view use) {
  if (use.empty()) return store::Role::kNone;
  const store::Role role = store::RoleFromName(base::Lower(use.substr(1)));
  return role == store::Role::kInbox ? store::Role::kNone : role;
}

std::string_view NameOf(imap::StatusItem item) {
  switch (item) {
    case imap::StatusItem::kMessages: return "MESSAGES";
    case imap::StatusItem::kRecent: return "RECENT";
    case imap::StatusItem::kUidNext: return "UIDNEXT";
    case imap::StatusItem::kUidValidity: return "UIDVALIDITY";
    case imap::StatusItem::kUnseen: return "UNSEEN";
    case imap::StatusItem::kDeleted: return "DELETED";
    case imap::StatusItem::kSize: return "SIZE";
    case imap::StatusItem::kHighestModSeq: return "HIGHESTMODSEQ";
    case imap::StatusItem::kMailboxId: return "MAILBOXID";
  }
  return "";
}

std::string ValueOf(imap::StatusItem item, const store::Mailbox& mailbox) {
  switch (item) {
    case imap::StatusItem::kMessages: return std::to_string(mailbox.total);
    // RFC 9051 §2.3.2 removed \Recent; nothing is ever recent here.
    case imap::StatusItem::kRecent: return "0";
    case imap::StatusItem::kUidNext: return std::to_string(mailbox.uidnext);
    case imap::StatusItem::kUidValidity: return std::to_string(mailbox.uidvalidity);
    case imap::StatusItem::kUnseen: return std::to_string(mailbox.unseen);
    case imap::StatusItem::kDeleted: return std::to_string(mailbox.deleted);
    case imap::StatusItem::kSize: return std::to_string(mailbox.size);
    case imap::StatusItem::kHighestModSeq: return std::to_string(mailbox.highest_modseq);
    case imap::StatusItem::kMailboxId: return "(F" + std::to_string(store::ToInt(mailbox.id)) + ")";
  }
  return "";
}

// RFC 9051 §6.3.4: a separator at the end says that names below will be made; here any name may
// have some.
void StripSeparator(std::string* name) {
  if (name->size() > 1 && name->back() == imap::kHierarchySeparator) name->pop_back();
}

}  // namespace

absl::StatusOr<std::string> Session::MailboxName(std::string_view wire) const {
  return imap::DecodeMailboxName(wire, name_encoding());
}

base::Task<Reply> Session::Create(imap::CreateArguments create) {
  auto name = MailboxName(create.mailbox);
  if (!name.ok()) co_return Reply::No(imap::code::kCannot, "Bad mailbox name");
  StripSeparator(&*name);
  if (!imap::CheckNewMailboxName(*name).ok()) {
    co_return Reply::No(imap::code::kCannot, "Mailbox can not have this name");
  }
  store::Role role = store::Role::kNone;
  for (const std::string& use : create.special_use) {
    // RFC 6154 §3: one that can not be given fails the command.
    const bool second = role != store::Role::kNone;
    role = RoleOfSpecialUse(use);
    if (second || role == store::Role::kNone) {
      co_return Reply::No(imap::code::kUseAttr, "Special use is not possible");
    }
  }
  absl::StatusOr<store::MailboxChange> made = co_await env_->database->Run(
      [account = account_->id, path = *name, role, now = env_->clock->Now()](db::Connection& c) {
        return store::CreateMailbox(c, account, path, role, now);
      });
  if (made.status().code() == absl::StatusCode::kInvalidArgument) {
    co_return Reply::No(imap::code::kCannot, "Mailbox can not have this name");
  }
  if (made.status().code() == absl::StatusCode::kOutOfRange) {
    co_return Reply::No(imap::code::kLimit, "Too many mailboxes");
  }
  if (!made.ok()) co_return Failed(made.status(), "CREATE");
  Announce(made->change);
  // RFC 8474 §4.2.
  co_return Reply{"OK", "MAILBOXID (F" + std::to_string(store::ToInt(made->mailbox)) + ")",
                  "Create completed"};
}

base::Task<Reply> Session::Delete(std::string wire) {
  auto name = MailboxName(wire);
  if (!name.ok()) co_return Reply::No(imap::code::kNonExistent, "No such mailbox");
  if (*name == imap::kInbox) co_return Reply::No(imap::code::kCannot, "INBOX can not be deleted");
  absl::StatusOr<store::MailboxDeletion> gone = co_await env_->database->Run(
      [account = account_->id, path = *name, now = env_->clock->Now()](db::Connection& c) {
        return store::DeleteMailbox(c, account, path, now);
      });
  if (gone.status().code() == absl::StatusCode::kFailedPrecondition) {
    co_return Reply::No(imap::code::kHasChildren, "Mailbox has children");
  }
  if (!gone.ok()) co_return Failed(gone.status(), "DELETE");
  // RFC 9051 §6.3.5: our own selected mailbox is closed with it, but not when it stays.
  if (selected_ != nullptr && selected_->path == *name) CloseSelected(true);
  Announce(gone->change);
  if (gone->doomed != store::MailboxId::kNone) co_await Purge(gone->doomed);
  co_return Reply::Ok("Delete completed");
}

// The rest of a large mailbox that is deleted. Nobody sees it any more: where this fails, the sweep
// goes on with it.
base::Task<void> Session::Purge(store::MailboxId doomed) {
  store::Purged purged;
  while (!purged.done && !closing_) {
    absl::StatusOr<store::Purged> next = co_await env_->database->Run(
        [account = account_->id, doomed, now = env_->clock->Now()](db::Connection& c) {
          return store::PurgeMailbox(c, account, doomed, now);
        });
    if (!next.ok()) {
      obs::Log(obs::Level::kWarning, "DELETE left to the sweep",
               {{"trace", trace_}, {"error", next.status()}});
      break;
    }
    if (next->change.modseq == 0) next->change = std::move(purged.change);
    purged = *std::move(next);
  }
  Announce(purged.change);
}

base::Task<Reply> Session::Rename(imap::RenameArguments rename) {
  auto from = MailboxName(rename.from);
  auto to = MailboxName(rename.to);
  if (!from.ok()) co_return Reply::No(imap::code::kNonExistent, "No such mailbox");
  if (!to.ok()) co_return Reply::No(imap::code::kCannot, "Bad mailbox name");
  StripSeparator(&*to);
  if (!imap::CheckNewMailboxName(*to).ok()) {
    co_return Reply::No(imap::code::kCannot, "Mailbox can not have this name");
  }
  if (*from == imap::kInbox) co_return co_await RenameInbox(*std::move(to));
  absl::StatusOr<store::MailboxChange> change = co_await env_->database->Run(
      [account = account_->id, from = *from, to = *to, now = env_->clock->Now()](
          db::Connection& c) { return store::RenameMailbox(c, account, from, to, now); });
  if (!change.ok()) co_return RenameFailed(change.status());
  Announce(change->change);
  // The mailbox that we have open keeps its id; its name may be below the renamed one.
  if (selected_ != nullptr) {
    const bool same = selected_->path == *from;
    if (same || imap::IsBelow(selected_->path, *from)) {
      selected_->path.replace(0, from->size(), *to);
    }
  }
  co_return Reply::Ok("Rename completed");
}

// RFC 9051 §6.3.6: the messages of INBOX move to a new mailbox. Page by page, as MOVE: after a
// failure some are here and some there.
base::Task<Reply> Session::RenameInbox(std::string to) {
  absl::StatusOr<store::InboxRename> rename = co_await env_->database->Run(
      [account = account_->id, to = std::move(to), now = env_->clock->Now()](db::Connection& c) {
        return store::BeginInboxRename(c, account, to, now);
      });
  if (!rename.ok()) co_return RenameFailed(rename.status());
  Announce(rename->made.change);
  CopyRun run = {rename->inbox, rename->made.mailbox, /*move=*/true, rename->uids, {}, {}};
  absl::Status moved = co_await CopyPages(&run);
  if (!moved.ok()) co_return Failed(moved, "RENAME");
  co_return Reply::Ok("Rename completed");
}

Reply Session::RenameFailed(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
      return Reply::No(imap::code::kCannot, "Mailbox can not get this name");
    case absl::StatusCode::kOutOfRange: return Reply::No(imap::code::kLimit, "Too many mailboxes");
    default: return Failed(status, "RENAME");
  }
}

base::Task<Reply> Session::Subscribe(std::string wire, bool subscribe) {
  auto name = MailboxName(wire);
  if (!name.ok()) co_return Reply::No(imap::code::kCannot, "Bad mailbox name");
  StripSeparator(&*name);
  absl::StatusOr<store::Change> change = co_await env_->database->Run(
      [account = account_->id, path = *name, subscribe, now = env_->clock->Now()](
          db::Connection& c) { return store::SetSubscribed(c, account, path, subscribe, now); });
  if (change.status().code() == absl::StatusCode::kInvalidArgument) {
    co_return Reply::No(imap::code::kCannot, "Bad mailbox name");
  }
  if (change.status().code() == absl::StatusCode::kOutOfRange) {
    co_return Reply::No(imap::code::kLimit, "Too many subscriptions");
  }
  if (!change.ok()) co_return Failed(change.status(), "SUBSCRIBE");
  Announce(*change);
  co_return Reply::Ok("Done");
}

std::string Session::StatusLine(const store::Mailbox& mailbox,
                                const std::vector<imap::StatusItem>& items) const {
  std::string line = "* STATUS ";
  imap::AppendAstring(&line, imap::EncodeMailboxName(mailbox.path, name_encoding()), text_mode());
  line += " (";
  for (const imap::StatusItem item : items) {
    if (line.back() != '(') line += ' ';
    line += NameOf(item);
    line += ' ' + ValueOf(item, mailbox);
  }
  return line + ")\r\n";
}

base::Task<Reply> Session::Status(imap::StatusArguments status) {
  auto name = MailboxName(status.mailbox);
  if (!name.ok()) co_return Reply::No(imap::code::kNonExistent, "No such mailbox");
  absl::StatusOr<store::Mailbox> mailbox =
      co_await env_->database->Run([account = account_->id, path = *name](db::Connection& c) {
        return store::FindMailbox(c, account, path);
      });
  if (!mailbox.ok()) co_return Failed(mailbox.status(), "STATUS");
  for (const imap::StatusItem item : status.items) {
    // RFC 7162 §3.1: asking for a modseq enables CONDSTORE.
    if (item == imap::StatusItem::kHighestModSeq) condstore_ = true;
  }
  out_ += StatusLine(*mailbox, status.items);
  co_return Reply::Ok("Status completed");
}

Reply Session::Namespace() {
  out_ += "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n";
  return Reply::Ok("Namespace completed");
}

}  // namespace godwit::imap_gateway

#pragma once

// Mailboxes: the tree, the counters, opening one, and the door through which they change.
//
// A mailbox has a parent and a name; the path "A/B" that IMAP shows is made of names joined by "/".
// INBOX is a child of the root, can not be removed, and its name ignores case (RFC 9051 §5.1).
// What names and paths may be is said here (SplitMailboxPath) and nowhere else.
// Counters are kept with every change, never counted. Functions that change something lock the
// account first, raise its modseq, write the change log and return the watchers (ids.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/flags.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::store {

// Special use (RFC 6154, RFC 8621 §2); one mailbox a role and account.
enum class Role { kNone, kInbox, kDrafts, kSent, kArchive, kJunk, kTrash };
// "" for kNone, otherwise "inbox", "drafts", ...: JMAP's names.
std::string_view RoleName(Role role);
// kNone for an unknown name.
Role RoleFromName(std::string_view name);

struct Mailbox {
  MailboxId id = MailboxId::kNone;
  MailboxId parent = MailboxId::kNone;
  std::string name;  // last component
  std::string path;  // names joined by "/", filled by ListMailboxes
  Role role = Role::kNone;
  bool subscribed = false;
  uint32_t uidvalidity = 0;
  Uid uidnext = 1;
  int64_t total = 0;           // entries, \Deleted ones included, as IMAP counts
  int64_t unseen = 0;          // without \Seen
  int64_t deleted = 0;         // with \Deleted
  int64_t deleted_unseen = 0;  // with \Deleted, without \Seen: JMAP's unread = unseen - this
  int64_t size = 0;            // octets of all entries
  Modseq highest_modseq = 1;   // of its entries, their removal included
  Modseq created_modseq = 1;
  Modseq changed_modseq = 1;  // name, parent, role, subscription or counters
};

struct MailboxList {
  std::vector<Mailbox> mailboxes;  // in order of path, INBOX first
  // Subscribed paths, also those without a mailbox (RFC 9051 §6.3.9).
  std::vector<std::string> subscriptions;
  // State of all this: raised by any change to a mailbox or a counter.
  Modseq mailbox_modseq = 1;
  Modseq modseq = 1;
};

// Bounds; more is OutOfRange.
inline constexpr int kMaxMailboxes = 10000;  // of an account
inline constexpr int kMaxSubscriptions = 10000;
// Of names; more is InvalidArgument. Octets, but kMaxMailboxDepth.
inline constexpr size_t kMaxMailboxName = 255;
inline constexpr size_t kMaxMailboxPath = 1000;  // names and "/" between them
inline constexpr size_t kMaxMailboxDepth = 20;

// All from one snapshot.
absl::StatusOr<MailboxList> ListMailboxes(db::Connection& connection, AccountId account);
// The same in the caller's transaction, with the account locked: what is read here is so until the
// end of it. For changes that are judged first.
absl::StatusOr<MailboxList> LockMailboxes(db::Connection& connection, AccountId account);

// One mailbox by path (INBOX in any case); NotFound. `path` and `subscribed` are filled.
absl::StatusOr<Mailbox> FindMailbox(db::Connection& connection, AccountId account,
                                    std::string_view path);

struct OpenedMailbox {
  Mailbox mailbox;                // path is not filled
  UidRanges uids;                 // of all entries
  std::vector<Keyword> keywords;  // of the account, in order of id
  Modseq modseq = 1;              // of the account, for ChangesSince
};

// SELECT and EXAMINE: all of it from one snapshot. NotFound when the mailbox is gone.
absl::StatusOr<OpenedMailbox> OpenMailbox(db::Connection& connection, AccountId account,
                                          MailboxId mailbox);

// The keywords of an account, in order of id: what FETCH needs to name them.
absl::StatusOr<std::vector<Keyword>> ListKeywords(db::Connection& connection, AccountId account);

struct MailboxChange {
  Change change;
  MailboxId mailbox = MailboxId::kNone;
  uint32_t uidvalidity = 0;
};

// RFC 9051 §6.3.4: makes the mailbox, and the ones above it that are missing. AlreadyExists;
// InvalidArgument for a bad name (SplitMailboxPath); AlreadyExists also when the role is taken.
absl::StatusOr<MailboxChange> CreateMailbox(db::Connection& connection, AccountId account,
                                            std::string_view path, Role role, absl::Time now);

// RFC 9051 §6.3.6: children move along; superior names are made. FailedPrecondition for a move into
// its own child, and for INBOX; InvalidArgument also when a child would be too deep or its path too
// long.
absl::StatusOr<MailboxChange> RenameMailbox(db::Connection& connection, AccountId account,
                                            std::string_view from, std::string_view to,
                                            absl::Time now);

// Renaming INBOX is special: INBOX and its children stay, its messages move to a new mailbox. This
// makes the mailbox; the caller moves what `uids` names from `inbox` to it, page by page
// (MoveEntries). What is delivered from now on stays in INBOX.
struct InboxRename {
  MailboxChange made;
  MailboxId inbox = MailboxId::kNone;
  UidRanges uids;
};
absl::StatusOr<InboxRename> BeginInboxRename(db::Connection& connection, AccountId account,
                                             std::string_view to, absl::Time now);

// Removes it with all entries; emails that lie nowhere else are destroyed. FailedPrecondition for
// INBOX and while it has children.
//
// The mailbox is gone with this call, and up to kDeletePage of its entries. Where it had more,
// `doomed` says so: the caller goes on with PurgeMailbox until it is done; what it leaves, the
// sweep (SweepDeleted) removes. Until then these emails count in the quota.
inline constexpr int kDeletePage = 1000;
struct MailboxDeletion {
  Change change;
  MailboxId doomed = MailboxId::kNone;
};
absl::StatusOr<MailboxDeletion> DeleteMailbox(db::Connection& connection, AccountId account,
                                              std::string_view path, absl::Time now,
                                              int limit = kDeletePage);

// The next `limit` entries of a doomed mailbox.
struct Purged {
  Change change;
  int64_t entries = 0;
  bool done = false;
};
absl::StatusOr<Purged> PurgeMailbox(db::Connection& connection, AccountId account, MailboxId doomed,
                                    absl::Time now, int limit = kDeletePage);

// By name; the mailbox need not exist (RFC 9051 §6.3.7). Change is empty when it was so before.
absl::StatusOr<Change> SetSubscribed(db::Connection& connection, AccountId account,
                                     std::string_view path, bool subscribed, absl::Time now);

// InvalidArgument with the reason when `path` can not be a mailbox's (not UTF-8, an empty
// component, a control character, one of the bounds above); otherwise its components, "inbox"
// turned into "INBOX" when it is the first.
absl::StatusOr<std::vector<std::string>> SplitMailboxPath(std::string_view path);

}  // namespace godwit::store

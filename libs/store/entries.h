#pragma once

// Entries: emails as they lie in a mailbox. Reading them, and the door through which they change.
//
// Every change locks the account, raises its modseq, keeps the counters, writes the change log and
// returns the new modseq with the watchers. Sets of UIDs may name UIDs that do not exist; they are
// ignored. A call touches at most as many entries as the set holds: daemons page large sets with
// TakeFront, kPage at a time, so that no transaction is long.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/blob.h"
#include "libs/store/flags.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::store {

inline constexpr int kPage = 1000;

struct Entry {
  Uid uid = 0;
  EmailId email = EmailId::kNone;
  Flags flags;
  Modseq modseq = 0;
  absl::Time received;  // INTERNALDATE
  int64_t size = 0;     // RFC822.SIZE

  // Filled with FetchColumns::summary.
  ThreadId thread = ThreadId::kNone;
  BlobRef blob;
  int64_t prefix_size = 0;  // of the header prefix, before the positions in `summary`
  std::string summary;

  // Filled with FetchColumns::search.
  std::string message_id;
  std::string subject;
  std::string subject_base;
  std::string from;
  std::string to;
  std::string cc;
  std::string bcc;
  std::optional<absl::Time> sent;
  std::string preview;
  bool has_attachment = false;
};

// UID, EMAILID, FLAGS, MODSEQ, INTERNALDATE and RFC822.SIZE always come: they are the entry's own
// row. Each of these joins the email.
struct FetchColumns {
  bool summary = false;
  bool search = false;
};

struct FetchedEntries {
  std::vector<Entry> entries;  // ascending
  bool complete = true;        // false: more of the set is there above the last UID
};

// At most `limit` entries of the set, lowest UIDs first.
absl::StatusOr<FetchedEntries> FetchEntries(db::Connection& connection, AccountId account,
                                            MailboxId mailbox, UidRanges uids, FetchColumns columns,
                                            int limit = kPage);

// What SEARCH can answer from the entries themselves, without sending them here: UIDs in the set
// with all of `have` and none of `lack`, all of the keywords and none of the others, and a modseq
// of at least `min_modseq`.
struct EntryFilter {
  FlagMask have = 0;
  FlagMask lack = 0;
  std::vector<KeywordId> keywords{};
  std::vector<KeywordId> not_keywords{};
  Modseq min_modseq = 0;
};
absl::StatusOr<UidRanges> FilterEntries(db::Connection& connection, AccountId account,
                                        MailboxId mailbox, UidRanges uids,
                                        const EntryFilter& filter);

struct Changes {
  Modseq modseq = 0;          // of the account: pass it the next time
  Modseq highest_modseq = 0;  // of the mailbox
  Uid uidnext = 0;
  // The change log does not reach back so far, or the mailbox is gone (`mailbox_gone`): open it
  // anew. The rest is empty then.
  bool resync = false;
  bool mailbox_gone = false;
  std::vector<Entry> changed;  // new or changed entries, ascending, without joined columns
  UidRanges vanished;
};

// What happened in the mailbox after `since`, from one snapshot. With more than `limit` changed
// entries it says resync.
absl::StatusOr<Changes> ChangesSince(db::Connection& connection, AccountId account,
                                     MailboxId mailbox, Modseq since, int limit = 20000);

// The account's modseq alone: the slow poll.
absl::StatusOr<Modseq> GetModseq(db::Connection& connection, AccountId account);

enum class FlagsMode { kAdd, kRemove, kReplace };

struct FlagsChange {
  FlagsMode mode = FlagsMode::kAdd;
  FlagMask flags = 0;
  std::vector<std::string> keywords{};  // names; made when they are new
  // RFC 7162 §3.1.3: entries with a higher modseq are left alone and named in `modified`.
  std::optional<Modseq> unchanged_since{};
};

struct FlagsResult {
  Change change;
  // Every entry of the set after the change, ascending (those of `modified` too), without joined
  // columns; those whose modseq is change.modseq were changed by this call.
  std::vector<Entry> entries;
  UidRanges modified;
  // The account's keywords, when the change named any: new ones may have been made.
  std::vector<Keyword> keywords;
};

absl::StatusOr<FlagsResult> StoreFlags(db::Connection& connection, AccountId account,
                                       MailboxId mailbox, UidRanges uids, const FlagsChange& flags,
                                       absl::Time now);

struct CopyResult {
  Change change;
  uint32_t uidvalidity = 0;  // of the destination
  // RFC 4315 COPYUID: pairs in ascending order of the source.
  std::vector<Uid> source;
  std::vector<Uid> destination;
};

// Copies entries, with flags and keywords; the email stays the same (EMAILID), no octet is copied.
// Where the destination holds the email already, a new email with the same content is made.
// NotFound when a mailbox is gone; ResourceExhausted over quota (only new emails count).
absl::StatusOr<CopyResult> CopyEntries(db::Connection& connection, AccountId account,
                                       MailboxId from, UidRanges uids, MailboxId to,
                                       absl::Time now);

// RFC 6851: the same, and the source entries are gone. `from == to` gives new UIDs.
absl::StatusOr<CopyResult> MoveEntries(db::Connection& connection, AccountId account,
                                       MailboxId from, UidRanges uids, MailboxId to,
                                       absl::Time now);

struct ExpungeResult {
  Change change;
  UidRanges vanished;
};

// Removes the entries of the set that have \Deleted, or all of the set with `any`. Emails that lie
// in no mailbox any more are destroyed; their octets go with SweepBlobs.
absl::StatusOr<ExpungeResult> ExpungeEntries(db::Connection& connection, AccountId account,
                                             MailboxId mailbox, UidRanges uids, absl::Time now,
                                             bool any = false);

}  // namespace godwit::store

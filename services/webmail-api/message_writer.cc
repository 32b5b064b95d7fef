#include "services/webmail-api/message_writer.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/store/jmap_update.h"

namespace godwit::webmail_api {
namespace {

// How long a staged body waits for its delivery before it is swept.
constexpr absl::Duration kStagedLifetime = absl::Hours(2);

}  // namespace

std::string MessageWriter::FixLineEnds(std::string_view bytes) {
  std::string fixed;
  fixed.reserve(bytes.size() + bytes.size() / 32);
  for (const char c : bytes) {
    if (c == '\n' && last_ != '\r') fixed += '\r';
    fixed += c;
    last_ = c;
  }
  return fixed;
}

base::Task<absl::Status> MessageWriter::Feed(std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) {
    co_return base::InvalidArgument("a message has no NUL");
  }
  message_.Feed(FixLineEnds(bytes));
  if (message_.header_too_large()) co_return base::InvalidArgument("the header is too large");
  if (message_.size() > env_->settings.message_size) {
    co_return base::ResourceExhausted("the message is too large");
  }
  while (message_.has_full_chunk()) {
    absl::Status staged = co_await Stage(message_.TakeChunk());
    if (!staged.ok()) co_return staged;
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> MessageWriter::Stage(std::string chunk) {
  absl::StatusOr<store::StagedBlob> staged = co_await env_->database->Run(
      [account = account_, before = staged_, chunk = std::move(chunk), random = env_->random,
       expires = env_->clock->Now() +
                 kStagedLifetime](db::Connection& c) -> absl::StatusOr<store::StagedBlob> {
        auto blob = before ? absl::StatusOr<store::StagedBlob>(*before)
                           : store::StageBlob(c, account, random, expires);
        if (!blob.ok()) return blob.status();
        GODWIT_RETURN_IF_ERROR(store::StageChunk(c, &*blob, chunk, expires));
        return blob;
      });
  if (!staged.ok()) co_return staged.status();
  staged_ = *staged;
  co_return absl::OkStatus();
}

base::Task<absl::StatusOr<store::Delivered>> MessageWriter::Commit(Placement placement) {
  if (staged_) {
    std::string rest = message_.TakeRest();
    absl::Status staged;
    if (!rest.empty()) staged = co_await Stage(std::move(rest));
    if (!staged.ok()) co_return staged;
  }
  std::string header = message_.header();
  // A message that is all header gets the empty line that ends it.
  if (!message_.header_complete()) {
    if (!header.empty() && !header.ends_with("\r\n")) header += "\r\n";
    header += "\r\n";
  }
  store::Delivery delivery = message_.Finish(std::move(header));
  delivery.staged = staged_;
  delivery.now = env_->clock->Now();
  delivery.received = placement.received.value_or(*delivery.now);
  store::DeliveryTarget target;
  target.account = account_;
  target.mailbox = placement.mailboxes.front();
  target.flags = placement.flags;
  target.keywords = std::move(placement.keywords);
  delivery.targets.push_back(std::move(target));
  absl::StatusOr<store::DeliveryResult> result =
      co_await env_->deliverer->Deliver(std::move(delivery));
  // With Unknown the body may be in use; its expiry is what decides.
  if (result.ok() || result.status().code() == absl::StatusCode::kUnknown) staged_.reset();
  if (!result.ok()) co_return result.status();
  store::Delivered delivered = result->front();
  Announce(env_, account_, delivered.change);
  placement.mailboxes.erase(placement.mailboxes.begin());
  absl::Status added = co_await AddMailboxes(&delivered, std::move(placement.mailboxes));
  if (added.ok()) co_return delivered;
  // All of it or nothing: the client would correct the mailboxes and have it twice.
  absl::Status undone = co_await Remove(delivered.email);
  // It lies in the first mailbox, which is less wrong than an error.
  if (!undone.ok()) co_return delivered;
  if (absl::IsInvalidArgument(added)) co_return base::NotFound(base::Message(added));
  co_return added;
}

base::Task<absl::Status> MessageWriter::Remove(store::EmailId email) {
  absl::StatusOr<store::JmapUpdated> removed = co_await env_->database->Run(
      [account = account_, email, now = env_->clock->Now()](db::Connection& c) {
        return store::DestroyJmapEmails(c, account, std::span(&email, 1), now);
      });
  if (!removed.ok()) co_return removed.status();
  Announce(env_, account_, removed->change);
  co_return removed->results.front();
}

base::Task<absl::Status> MessageWriter::AddMailboxes(const store::Delivered* delivered,
                                                     std::vector<store::MailboxId> mailboxes) {
  if (mailboxes.empty()) co_return absl::OkStatus();
  store::JmapUpdate update;
  update.email = delivered->email;
  update.add_mailboxes = std::move(mailboxes);
  absl::StatusOr<store::JmapUpdated> updated = co_await env_->database->Run(
      [account = account_, update, now = env_->clock->Now()](db::Connection& c) {
        return store::UpdateJmapEmails(c, account, std::span(&update, 1), now);
      });
  if (!updated.ok()) co_return updated.status();
  Announce(env_, account_, updated->change);
  co_return updated->results.front();
}

base::Task<void> MessageWriter::End() {
  if (!staged_) co_return;
  absl::Status dropped = co_await env_->database->Run(
      [staged = *std::exchange(staged_, std::nullopt)](db::Connection& c) {
        return store::DropStagedBlob(c, staged);
      });
  dropped.IgnoreError();  // the sweep finds it
}

}  // namespace godwit::webmail_api

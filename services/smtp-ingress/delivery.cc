#include "services/smtp-ingress/delivery.h"

#include <utility>

#include "libs/base/status.h"
#include "services/smtp-ingress/stored_header.h"

namespace godwit::smtp_ingress {

MessageDelivery::MessageDelivery(Services* services, store::AccountId owner, smtp::BodyType body,
                                 std::optional<int64_t> whole_for)
    : services_(services),
      owner_(owner),
      whole_(whole_for.has_value()),
      memory_(whole_ ? &services->whole_memory->budget : services->memory,
              whole_ ? &services->whole_memory->by_client : nullptr, whole_for.value_or(0)) {
  if (body == smtp::BodyType::kBinaryMime) lines_.emplace(services->settings.smtp.data.line);
}

base::Task<absl::Status> MessageDelivery::Feed(std::string_view bytes) {
  std::string lines;
  if (lines_) {
    lines_->Feed(bytes, &lines);
    bytes = lines;
  }
  absl::Status taken = co_await Take(bytes);
  co_return taken;
}

base::Task<absl::Status> MessageDelivery::End() {
  std::string lines;
  if (lines_) lines_->Finish(&lines);
  absl::Status taken = co_await Take(lines);
  co_return taken;
}

std::optional<smtp::Reply> MessageDelivery::refused() const {
  return lines_ ? lines_->refused() : std::nullopt;
}

base::Task<absl::Status> MessageDelivery::Take(std::string_view bytes) {
  if (message_.header_too_large()) co_return absl::OkStatus();
  message_.Feed(bytes);
  memory_.Set(message_.memory());
  absl::Status staged;
  if (!whole_) staged = co_await StageFullChunks();
  co_return staged;
}

base::Task<absl::Status> MessageDelivery::StageFullChunks() {
  while (message_.has_full_chunk()) {
    std::string chunk = message_.TakeChunk();
    memory_.Set(message_.memory() + chunk.size());
    absl::Status staged = co_await Stage(std::move(chunk));
    memory_.Set(message_.memory());
    if (!staged.ok()) co_return staged;
  }
  co_return absl::OkStatus();
}

void MessageDelivery::Clear() {
  message_ = ingest::IncomingMessage();
  lines_.reset();
  memory_.Set(0);
}

base::Task<absl::Status> MessageDelivery::Stage(std::string chunk) {
  // Long enough for the slowest client; what nobody delivers is swept after that.
  const absl::Time expires =
      services_->clock->Now() + services_->settings.data_total + absl::Hours(1);
  auto job = [staged = staged_, chunk = std::move(chunk), owner = owner_,
              random = services_->random,
              expires](db::Connection& connection) -> absl::StatusOr<store::StagedBlob> {
    store::StagedBlob blob;
    if (staged) {
      blob = *staged;
    } else {
      GODWIT_ASSIGN_OR_RETURN(blob, store::StageBlob(connection, owner, random, expires));
    }
    GODWIT_RETURN_IF_ERROR(store::StageChunk(connection, &blob, chunk, expires));
    return blob;
  };
  absl::StatusOr<store::StagedBlob> blob = co_await services_->pool->Run(std::move(job));
  if (!blob.ok()) co_return blob.status();
  staged_ = *blob;
  co_return absl::OkStatus();
}

base::Task<absl::StatusOr<store::DeliveryResult>> MessageDelivery::Commit(
    std::string header, smtp::Address reverse_path, std::vector<Copy> copies, bool junk) {
  absl::Status full = co_await StageFullChunks();
  if (!full.ok()) co_return full;
  if (staged_) {
    std::string rest = message_.TakeRest();
    absl::Status staged;
    if (!rest.empty()) staged = co_await Stage(std::move(rest));
    if (!staged.ok()) co_return staged;
  }
  // The header is there twice, as it came and as it is stored.
  memory_.Set(message_.memory() + header.size());
  store::Delivery delivery = message_.Finish(std::move(header));
  delivery.staged = staged_;
  delivery.received = services_->clock->Now();
  delivery.now = delivery.received;
  // The quota was looked at when the recipient was accepted; what is in flight may pass.
  delivery.enforce_quota = false;
  for (const Copy& copy : copies) {
    store::DeliveryTarget target;
    target.account = copy.account;
    target.role = junk ? store::Role::kJunk : store::Role::kInbox;
    target.header_prefix = MakeCopyPrefix(reverse_path, copy.recipient);
    delivery.targets.push_back(std::move(target));
  }
  absl::StatusOr<store::DeliveryResult> result =
      co_await services_->deliverer->Deliver(std::move(delivery));
  // With Unknown the blob may be in use; its expiry is what decides.
  if (result.ok() || result.status().code() == absl::StatusCode::kUnknown) staged_.reset();
  co_return result;
}

base::Task<void> MessageDelivery::Drop() {
  if (!staged_) co_return;
  auto job = [staged = *std::exchange(staged_, std::nullopt)](db::Connection& connection) {
    return store::DropStagedBlob(connection, staged);
  };
  absl::Status dropped = co_await services_->pool->Run(std::move(job));
  (void)dropped;  // the sweep does it later
}

}  // namespace godwit::smtp_ingress

#include "services/delivery-queue/intake.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/mime/parser.h"
#include "libs/obs/log.h"
#include "libs/smtp/path.h"
#include "libs/store/blob.h"
#include "libs/store/directory.h"

namespace godwit::delivery_queue {
namespace {

using store::QueueOrigin;

constexpr absl::Duration kVerdictValid = absl::Seconds(2);
constexpr size_t kMaxVerdicts = 20000;
// A body that stays behind is swept after this long without a new piece.
constexpr absl::Duration kStagedFor = absl::Hours(1);
constexpr size_t kMinKey = 8;
constexpr size_t kMaxKey = 64;

bool MayClaim(std::string_view caller, QueueOrigin origin) {
  switch (origin) {
    case QueueOrigin::kSubmission: return caller == "submission" || caller == "webmail-api";
    case QueueOrigin::kForward:
    case QueueOrigin::kRelay:
    case QueueOrigin::kLocal: return caller == "smtp-ingress";
    case QueueOrigin::kReport: return caller == "auth-verifier" || caller == "tls-policy";
    // Of a delivery (RFC 3461); those of the queue itself do not come this way.
    case QueueOrigin::kDsn: return caller == "smtp-ingress";
  }
  return false;
}

// The domain in A-labels, or an address literal as it is; nullopt when it is neither.
std::optional<smtp::Address> ReadAddress(std::string_view text) {
  std::optional<smtp::Address> address = smtp::ParseMailbox(text, smtp::kWidePath);
  if (!address || address->domain.empty() || address->domain.front() == '[') return address;
  const auto domain = idna::ToAscii(address->domain);
  if (!domain) return std::nullopt;
  address->domain = *domain;
  return address;
}

// Whatever the database says is no verdict about the message or its sender: a missing grant must
// not bounce everybody's mail.
absl::Status DatabaseFailed(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kResourceExhausted: return status;
    default: return base::Unavailable("database: " + base::ToString(status));
  }
}

// Why the account or the domain may not send; "" when both may. `account` and `domain` as in
// MaySend.
absl::StatusOr<std::string> FindObjection(db::Connection& c, int64_t account,
                                          const std::string& domain) {
  if (account != 0) {
    GODWIT_ASSIGN_OR_RETURN(const auto found,
                            store::LookupSendingAccount(c, store::AccountId{account}));
    if (found == store::SendingAccount::kUnknown) return std::string("no such account");
    if (found == store::SendingAccount::kDisabled) return std::string("the account is disabled");
  }
  if (domain.empty()) return std::string();
  GODWIT_ASSIGN_OR_RETURN(const bool ours, store::IsLocalDomain(c, domain));
  return std::string(ours ? "" : "the sender's domain is not ours");
}

bool HasEightBit(std::string_view octets) { return !base::IsAscii(octets); }

bool IsHeaderBlock(std::string_view header) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  return header == "\r\n" ||
         (header.size() >= kEnd.size() && header.substr(header.size() - kEnd.size()) == kEnd);
}

}  // namespace

IntakeShared::IntakeShared(const Parts& parts)
    : parts_(parts),
      enqueuer_(parts.pool, {},
                [options = parts.worker->enqueue_options()](
                    db::Connection& c, std::span<const store::NewQueueMessage* const> messages) {
                  return store::EnqueueGroup(c, messages, options);
                }) {}

base::Task<absl::Status> IntakeShared::MaySend(int64_t account, std::string domain) {
  const std::string key = std::to_string(account) + ' ' + domain;
  const absl::Duration now = parts_.clock->Monotonic();
  {
    std::lock_guard lock(mutex_);
    const auto known = known_.find(key);
    if (known != known_.end() && known->second.until > now) co_return known->second.verdict;
  }
  absl::StatusOr<std::string> objection = co_await parts_.pool->Run(
      [account, domain](db::Connection& c) { return FindObjection(c, account, domain); });
  if (!objection.ok()) co_return DatabaseFailed(objection.status());
  absl::Status verdict;
  if (!objection->empty()) verdict = base::PermissionDenied(*objection);
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxVerdicts) known_.clear();
  known_[key] = {verdict, now + kVerdictValid};
  co_return verdict;
}

base::Task<absl::Status> Intake::Begin(Submission submission) {
  GODWIT_CO_RETURN_IF_ERROR(TakeSubmission(submission));
  const store::QueueEnvelope& envelope = message_.envelope;
  const QueueOrigin origin = envelope.origin;
  // What is sent on keeps its sender, who is anybody's; the others are of ours, or of nobody.
  std::string domain;
  if ((origin == QueueOrigin::kSubmission || origin == QueueOrigin::kReport) &&
      !envelope.reverse_path.empty()) {
    domain = smtp::ParseMailbox(envelope.reverse_path, smtp::kWidePath)->domain;
  }
  const bool by_account = origin == QueueOrigin::kSubmission;
  absl::Status may =
      co_await shared_->MaySend(by_account ? store::ToInt(envelope.account) : 0, domain);
  co_return may;
}

absl::Status Intake::TakeSubmission(const Submission& submission) {
  message_.envelope = submission.envelope;
  store::QueueEnvelope& envelope = message_.envelope;
  if (!MayClaim(submission.caller, envelope.origin)) {
    return base::PermissionDenied("this origin is not the caller's");
  }
  if (submission.key.size() < kMinKey || submission.key.size() > kMaxKey) {
    return base::InvalidArgument("an idempotency key has 8 to 64 octets");
  }
  if (envelope.origin == QueueOrigin::kSubmission && envelope.account == store::AccountId::kNone) {
    return base::InvalidArgument("a submission is an account's");
  }
  // RFC 3461 §6.1: a notification comes from <> and goes to one.
  const bool notice = envelope.origin == QueueOrigin::kDsn;
  if (notice && (!envelope.reverse_path.empty() || submission.recipients.size() != 1)) {
    return base::InvalidArgument("a notification has no reverse-path and one recipient");
  }
  if (!envelope.reverse_path.empty()) {
    const auto address = ReadAddress(envelope.reverse_path);
    if (!address) return base::InvalidArgument("the reverse-path is no address");
    envelope.reverse_path = address->ToString();
  }
  if (submission.recipients.empty()) return base::InvalidArgument("no recipient");
  if (submission.recipients.size() > settings().recipients) {
    return base::OutOfRange("too many recipients");
  }
  for (const Submission::Recipient& recipient : submission.recipients) {
    GODWIT_RETURN_IF_ERROR(AddRecipient(recipient));
  }
  expected_ = submission.size;
  if (expected_ > settings().message_size) return base::OutOfRange("message too large");
  // Callers choose their keys; none can meet another's.
  message_.idempotency_key = submission.caller + ":" + submission.key;
  message_.id = store::NewQueueId(shared_->parts().random);
  // Who sends none is followed by the queue's own id.
  if (envelope.trace_id.empty())
    envelope.trace_id = "q" + std::to_string(store::ToInt(message_.id));
  envelope.enqueued_at = shared_->parts().clock->Now();
  const absl::Time begin =
      std::max(envelope.enqueued_at, envelope.hold_until.value_or(envelope.enqueued_at));
  envelope.expires_at = begin + settings().give_up;
  return absl::OkStatus();
}

absl::Status Intake::AddRecipient(const Submission::Recipient& recipient) {
  const auto address = ReadAddress(recipient.address);
  if (!address || address->domain.empty())
    return base::InvalidArgument("a recipient is no address");
  if (recipient.notify < 0 || recipient.notify > 15) return base::InvalidArgument("notify");
  // Twice the same recipient is one copy.
  for (const store::NewQueueRecipient& other : message_.recipients) {
    if (other.local_part == address->local_part && other.domain == address->domain) {
      return absl::OkStatus();
    }
  }
  message_.recipients.push_back({.local_part = address->local_part,
                                 .domain = address->domain,
                                 .orcpt = recipient.orcpt,
                                 .notify = recipient.notify});
  return absl::OkStatus();
}

uint64_t Intake::size() const {
  const auto staged = message_.staged ? static_cast<uint64_t>(message_.staged->size) : 0;
  return message_.header.size() + message_.body.size() + staged;
}

absl::Status Intake::CheckSize(size_t more) const {
  if (size() + more > settings().message_size) return base::OutOfRange("message too large");
  return absl::OkStatus();
}

// RFC 5321 §2.3.8: what has a bare CR or LF can be given to nobody, nor come back in a notice.
absl::Status Intake::CheckLineEnds(std::string_view bytes) {
  for (char c : bytes) {
    if (after_cr_ != (c == '\n')) return base::InvalidArgument("a bare CR or LF");
    after_cr_ = c == '\r';
  }
  return absl::OkStatus();
}

absl::Status Intake::TakeHeader(std::string_view bytes) {
  if (body_begun_) return base::InvalidArgument("the header comes before the body");
  GODWIT_RETURN_IF_ERROR(CheckLineEnds(bytes));
  if (message_.header.size() + bytes.size() > store::kMaxHeaderSize) {
    return base::OutOfRange("header too large");
  }
  GODWIT_RETURN_IF_ERROR(CheckSize(bytes.size()));
  message_.header += bytes;
  return absl::OkStatus();
}

base::Task<absl::Status> Intake::TakeBody(std::string bytes) {
  body_begun_ = true;
  GODWIT_CO_RETURN_IF_ERROR(CheckSize(bytes.size()));
  GODWIT_CO_RETURN_IF_ERROR(CheckLineEnds(bytes));
  message_.envelope.body_8bit |= HasEightBit(bytes);
  message_.body += bytes;
  // Up to a chunk stays in memory; more goes to the database as it comes.
  while (message_.body.size() > store::kChunkSize) {
    const std::string chunk = message_.body.substr(0, store::kChunkSize);
    absl::Status staged = co_await Stage(chunk);
    if (!staged.ok()) co_return staged;
    message_.body.erase(0, store::kChunkSize);
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> Intake::Stage(std::string_view octets) {
  const absl::Time expires = shared_->parts().clock->Now() + kStagedFor;
  const bool first = !message_.staged.has_value();
  auto job = [id = message_.id, first, staged = message_.staged.value_or(store::StagedQueueBody()),
              chunk = std::string(octets),
              expires](db::Connection& c) mutable -> absl::StatusOr<store::StagedQueueBody> {
    if (first) {
      GODWIT_ASSIGN_OR_RETURN(staged, store::StageQueueBody(c, id, expires));
    }
    GODWIT_RETURN_IF_ERROR(store::StageQueueChunk(c, id, &staged, chunk, expires));
    return staged;
  };
  absl::StatusOr<store::StagedQueueBody> staged =
      co_await shared_->parts().pool->Run(std::move(job));
  if (!staged.ok()) co_return DatabaseFailed(staged.status());
  message_.staged = *staged;
  co_return absl::OkStatus();
}

base::Task<absl::StatusOr<store::EnqueueResult>> Intake::Commit() {
  if (!IsHeaderBlock(message_.header)) {
    co_return base::InvalidArgument("the header ends with an empty line");
  }
  if (after_cr_) co_return base::InvalidArgument("a bare CR or LF");
  if (expected_ != 0 && expected_ != size()) {
    co_return base::InvalidArgument("another size than was announced");
  }
  if (message_.envelope.origin == QueueOrigin::kDsn) co_await Sign();
  message_.envelope.body_8bit |= HasEightBit(message_.header);
  if (message_.staged && !message_.body.empty()) {
    absl::Status staged = co_await Stage(message_.body);
    if (!staged.ok()) co_return staged;
    message_.body.clear();
  }
  Worker* const worker = shared_->parts().worker;
  message_.claim = worker->HasRoom() && !message_.envelope.hold_until;
  const absl::Duration before = shared_->parts().clock->Monotonic();
  const size_t weight = message_.header.size() + message_.body.size();
  absl::StatusOr<store::EnqueueResult> result =
      co_await shared_->enqueuer()->Run(&message_, weight);
  if (!result.ok()) co_return DatabaseFailed(result.status());
  if (result->code == store::EnqueueCode::kExpired) {
    message_.staged.reset();
    co_return base::Unavailable("the staged body was swept");
  }
  if (result->code == store::EnqueueCode::kDuplicate) {
    co_await Abandon();
    co_return *result;
  }
  shared_->parts().metrics->enqueue_seconds.Observe(
      absl::ToDoubleSeconds(shared_->parts().clock->Monotonic() - before));
  if (message_.claim) worker->TakeFirst(std::move(message_), before);
  co_return *result;
}

// A notification of smtp-ingress is signed as our own are, and leaves as they do without a
// signature where there is none to be had.
base::Task<void> Intake::Sign() {
  Signer* const signer = shared_->parts().signer;
  if (signer == nullptr || message_.staged) co_return;
  const mime::AddressList from = mime::ParseMessage(message_.header).envelope.from;
  if (from.size() != 1) co_return;
  absl::StatusOr<std::string> fields = co_await signer->Sign(
      message_.header + message_.body, from[0].Spec(), message_.envelope.trace_id);
  if (fields.ok()) {
    message_.header.insert(0, *fields);
  } else {
    obs::Log(obs::Level::kWarning, "notice not signed",
             {{"trace", message_.envelope.trace_id}, {"status", fields.status()}});
  }
}

base::Task<void> Intake::Abandon() {
  if (!message_.staged) co_return;
  message_.staged.reset();
  // What fails here the sweep does later.
  (void)co_await shared_->parts().pool->Run(
      [id = message_.id](db::Connection& c) { return store::DropStagedQueueBody(c, id); });
}

}  // namespace godwit::delivery_queue

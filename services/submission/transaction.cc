#include "services/submission/transaction.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/mime/header.h"
#include "libs/mime/parser.h"
#include "libs/obs/log.h"
#include "libs/outgoing/envelope.h"
#include "libs/smtp/trace.h"
#include "libs/store/directory.h"

namespace godwit::submission {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

// As much as a receiver of ours would take (libs/ingest) and auth-verifier signs by default, with
// room for what is added; and half of what one request may carry.
constexpr size_t kMaxHeader = 511 * 1024;

bool IsLiteral(std::string_view domain) { return domain.starts_with('['); }

// With the domain as A-labels, which every server understands; nothing when it can be no domain.
std::optional<smtp::Address> Normalize(smtp::Address address) {
  if (IsLiteral(address.domain)) return address;
  std::optional<std::string> domain = idna::ToAscii(address.domain);
  if (!domain) return std::nullopt;
  address.domain = *std::move(domain);
  return address;
}

// The form of the store: unquoted.
std::string Plain(const smtp::Address& address) {
  return address.local_part + "@" + address.domain;
}

}  // namespace

Transaction::Transaction(Services* services, smtpd::ClientFacts client, login::Accepted user,
                         smtp::CheckMailFrom mail, std::string id)
    : services_(services),
      client_(std::move(client)),
      user_(std::move(user)),
      mail_(std::move(mail)),
      id_(std::move(id)),
      memory_(services->memory, services->memory_by_account, store::ToInt(user_.login.account)) {
  if (mail_.parameters.body == smtp::BodyType::kBinaryMime) {
    lines_.emplace(services_->settings.smtp.data.line);
  }
}

smtp::Reply Transaction::Failure(std::string_view at, const absl::Status& status, ReplyKind kind) {
  services_->metrics->failures.At({at}).Add();
  obs::Log(obs::Level::kWarning, "message not sent",
           {{"trace", id_}, {"at", at}, {"status", status}});
  return MakeReply(kind);
}

smtp::Reply Transaction::Limited(std::string_view what) {
  services_->metrics->limited.At({what}).Add();
  obs::Log(obs::Level::kWarning, "account over its limit",
           {{"trace", id_}, {"account", account()}, {"what", what}});
  return MakeReply(ReplyKind::kLimitReached);
}

// MAIL's AUTH= says who is meant to have submitted the message first (RFC 4954 §5). We believe no
// user that: it is as if AUTH=<> stood there.
base::Task<smtp::Reply> Transaction::Begin() {
  if (auto reply = CheckHold()) co_return Answer(*std::move(reply));
  if (!services_->limits->HasMessage(account())) co_return Answer(Limited("messages"));
  std::vector<std::string> senders;
  if (!mail_.reverse_path.is_null()) {
    std::optional<smtp::Address> sender = Normalize(mail_.reverse_path);
    if (!sender) co_return Answer(MakeReply(ReplyKind::kSenderNotYours));
    reverse_path_ = sender->ToString();
    senders.push_back(Plain(*sender));
  } else if (!services_->settings.null_reverse_path) {
    co_return Answer(MakeReply(ReplyKind::kSenderNotYours, "The sender must not be empty"));
  }
  std::optional<smtp::Reply> refused = co_await CheckSenders(std::move(senders));
  if (refused) co_return Answer(*std::move(refused));
  co_return MakeReply(ReplyKind::kSenderOk);
}

// RFC 4865 §4: what exceeds the limits that EHLO told is refused.
std::optional<smtp::Reply> Transaction::CheckHold() const {
  const smtp::MailParameters& parameters = mail_.parameters;
  const absl::Duration longest = services_->settings.future_release;
  const bool too_long = parameters.hold_for.value_or(absl::ZeroDuration()) > longest;
  const bool too_late =
      parameters.hold_until.value_or(absl::InfinitePast()) > services_->clock->Now() + longest;
  if (!too_long && !too_late) return std::nullopt;
  return MakeReply(ReplyKind::kBadArguments, "A message is not held for so long");
}

// Nothing when the login still holds and the user has a right to every address.
base::Task<std::optional<smtp::Reply>> Transaction::CheckSenders(
    std::vector<std::string> addresses) {
  struct Found {
    bool ended = false;
    std::vector<store::SenderRight> rights;
  };
  auto job = [addresses, login = user_.login](db::Connection& c) -> absl::StatusOr<Found> {
    Found found;
    GODWIT_ASSIGN_OR_RETURN(auto ended, store::EndedLogins(c, {login}));
    found.ended = !ended.empty();
    for (const std::string& address : addresses) {
      GODWIT_ASSIGN_OR_RETURN(auto right, store::FindSenderRight(c, login.account, address));
      found.rights.push_back(right);
    }
    return found;
  };
  absl::StatusOr<Found> found = co_await services_->pool->Run(std::move(job));
  if (!found.ok()) {
    co_return Failure("lookup", found.status(), ReplyKind::kTemporaryFailure);
  }
  // The session of somebody who may not log in any more ends here.
  if (found->ended) co_return MakeReply(ReplyKind::kTooManyErrors, "Log in again");
  for (size_t i = 0; i < addresses.size(); ++i) {
    smtp::Reply reply = JudgeSender(addresses[i], found->rights[i]);
    if (!reply.positive()) co_return reply;
  }
  co_return std::nullopt;
}

smtp::Reply Transaction::JudgeSender(const std::string& address, store::SenderRight right) const {
  switch (services_->settings.senders.Judge(right)) {
    case outgoing::SenderVerdict::kMay: return MakeReply(ReplyKind::kOk);
    case outgoing::SenderVerdict::kNotNow:
      return MakeReply(ReplyKind::kTemporaryFailure, "The sender's domain is disabled");
    case outgoing::SenderVerdict::kMayNot: break;
  }
  return MakeReply(ReplyKind::kSenderNotYours, "Not an address of yours: " + address);
}

base::Task<smtp::Reply> Transaction::AddRecipient(smtp::CheckRcpt rcpt) {
  smtp::Address address = std::move(rcpt.forward_path);
  // RFC 5321 §4.1.1.3: <postmaster> alone; for a user that is the one of the own domain.
  if (address.domain.empty()) address.domain = user_.address.substr(user_.address.rfind('@') + 1);
  std::optional<smtp::Address> normal = Normalize(std::move(address));
  smtp::Reply reply = MakeReply(ReplyKind::kBadDestination);
  if (normal) reply = co_await JudgeRecipient(*normal);
  services_->metrics->recipients.At({smtpd::ResultOf(reply)}).Add();
  if (!reply.positive()) co_return Answer(std::move(reply));
  // Once is enough: the first one's parameters count.
  outgoing::Recipient recipient = outgoing::MakeRecipient(*normal, rcpt.parameters);
  const bool again =
      std::any_of(recipients_.begin(), recipients_.end(),
                  [&](const outgoing::Recipient& r) { return r.address == recipient.address; });
  if (!again) recipients_.push_back(std::move(recipient));
  co_return reply;
}

base::Task<smtp::Reply> Transaction::JudgeRecipient(const smtp::Address& address) {
  const auto wanted = static_cast<int64_t>(recipients_.size()) + 1;
  if (!services_->limits->HasRecipients(account(), wanted)) co_return Limited("recipients");
  if (IsLiteral(address.domain)) {
    co_return MakeReply(services_->settings.address_literals ? ReplyKind::kRecipientOk
                                                             : ReplyKind::kBadDestination);
  }
  // RFC 6409 §4.2: domains are fully qualified.
  if (address.domain.find('.') == std::string::npos) {
    co_return MakeReply(ReplyKind::kBadDestination, "The domain is not fully qualified");
  }
  auto job = [local_part = address.local_part, domain = address.domain](db::Connection& c) {
    return store::LookupRecipient(c, local_part, domain);
  };
  absl::StatusOr<store::Recipient> found = co_await services_->pool->Run(std::move(job));
  if (!found.ok()) co_return Failure("lookup", found.status(), ReplyKind::kTemporaryFailure);
  // A slip of the pen is better told now than by a bounce.
  const bool unknown = found->kind == store::RecipientKind::kUnknownUser;
  co_return MakeReply(unknown ? ReplyKind::kUnknownUser : ReplyKind::kRecipientOk);
}

base::Task<smtp::Reply> Transaction::BeginData() {
  if (memory_.NearlyFull()) {
    co_return Answer(MakeReply(ReplyKind::kInsufficientStorage));
  }
  co_return MakeReply(ReplyKind::kStartMailInput);
}

// The client is not cut: it would only begin again at once. It is told at the end of its data.
void Transaction::Append(std::string_view bytes) {
  if (gave_way_) return;
  if (lines_) {
    lines_->Feed(bytes, &message_);
  } else {
    message_ += bytes;
  }
  memory_.Set(message_.capacity());
  if (!memory_.Over()) return;
  gave_way_ = true;
  message_ = {};
  memory_.Set(0);
}

base::Task<void> Transaction::Flush() { co_return; }

base::Task<void> Transaction::Abandon() { co_return; }

base::Task<smtp::Reply> Transaction::EndData(smtp::EndData end) {
  const uint64_t size = end.size;
  smtp::Reply reply = co_await Finish(std::move(end));
  if (reply.positive()) services_->metrics->message_bytes.Observe(static_cast<double>(size));
  services_->metrics->messages.At({smtpd::ResultOf(reply)}).Add();
  LogMessage(reply, size);
  co_return Answer(std::move(reply));
}

base::Task<smtp::Reply> Transaction::Finish(smtp::EndData end) {
  if (end.refused) co_return *std::move(end.refused);
  if (gave_way_) co_return MakeReply(ReplyKind::kInsufficientStorage);
  if (lines_) {
    lines_->Finish(&message_);
    if (auto refused = lines_->refused()) co_return *std::move(refused);
  }
  const size_t header_size = mime::SplitHeader(message_).size;
  if (header_size > kMaxHeader) {
    co_return MakeReply(ReplyKind::kSizeExceeded, "Message header too large");
  }
  const std::string_view header = std::string_view(message_).substr(0, header_size);
  const std::string_view body = std::string_view(message_).substr(header_size);
  // RFC 5322 §2.3: no NUL in a message.
  if (body.find('\0') != body.npos) co_return MakeReply(ReplyKind::kBadHeader, "NUL in the text");

  auto read = outgoing::ReadHeader(header, mail_.parameters.smtputf8);
  if (auto* refused = std::get_if<smtp::Reply>(&read)) co_return std::move(*refused);
  auto facts = std::get<outgoing::HeaderFacts>(std::move(read));
  // RFC 5321 §6.3: loops are found by counting Received fields.
  if (facts.received > services_->settings.max_received_fields) {
    co_return MakeReply(ReplyKind::kRoutingLoop);
  }
  std::optional<smtp::Reply> refused = co_await CheckSenders(facts.authors);
  if (refused) co_return *std::move(refused);

  const auto recipients = static_cast<int64_t>(recipients_.size());
  const auto used_up = services_->limits->Take(account(), recipients);
  if (used_up) co_return Limited(*used_up);
  smtp::Reply reply = co_await Send(header, body, std::move(facts));
  if (!reply.positive()) services_->limits->GiveBack(account(), recipients);
  co_return reply;
}

// RFC 6531 §3.1 asks next hops for the extension only where something needs it; many programs say
// SMTPUTF8 with every message. 8-bit text needs 8BITMIME only (RFC 6152), 8-bit fields of its parts
// do (RFC 6531 §3.2).
bool Transaction::NeedsSmtpUtf8(std::string_view body, const outgoing::HeaderFacts& facts) const {
  if (!facts.ascii || !base::IsAscii(reverse_path_)) return true;
  const bool ascii_path = std::all_of(
      recipients_.begin(), recipients_.end(),
      [](const outgoing::Recipient& recipient) { return base::IsAscii(recipient.address); });
  if (!ascii_path) return true;
  return !base::IsAscii(body) && mime::ParseMessage(message_).needs_smtputf8;
}

outgoing::Message Transaction::MakeMessage(std::string_view header, std::string_view body,
                                           const outgoing::HeaderFacts& facts) const {
  const smtp::MailParameters& parameters = mail_.parameters;
  const absl::Time now = services_->clock->Now();
  outgoing::Message message;
  message.account = account();
  message.user = user_.address;
  message.client_address = client_.address.ToString();
  message.from_address = facts.from;
  message.reverse_path = reverse_path_;
  message.recipients = recipients_;
  message.ret = outgoing::MakeReturn(parameters.ret);
  message.envid = parameters.envid.value_or("");
  message.smtputf8 = parameters.smtputf8 && NeedsSmtpUtf8(body, facts);
  message.body_8bit = !facts.ascii || !base::IsAscii(body);
  message.requiretls = parameters.requiretls;
  message.hold_until = parameters.hold_until;
  if (parameters.hold_for) message.hold_until = now + *parameters.hold_for;
  message.idempotency_key = id_;
  message.header = outgoing::CompleteHeader(header, facts, now, services_->random->Token(26));
  message.body_size = body.size();
  return message;
}

base::Task<smtp::Reply> Transaction::Send(std::string_view header, std::string_view body,
                                          outgoing::HeaderFacts facts) {
  outgoing::Message message = MakeMessage(header, body, facts);
  const absl::Duration begin = services_->clock->Monotonic();
  absl::StatusOr<std::string> signature =
      co_await services_->sender->Sign(&message, outgoing::BodyInMemory(body), id_);
  services_->metrics->sign_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!signature.ok()) {
    const absl::StatusCode code = signature.status().code();
    smtp::Reply reply = Failure("sign", signature.status(), ReplyKind::kNotSigned);
    if (code == absl::StatusCode::kPermissionDenied) {
      reply = MakeReply(ReplyKind::kSenderNotYours, "You may not sign for " + facts.from);
    } else if (code == absl::StatusCode::kInvalidArgument) {
      reply = MakeReply(ReplyKind::kBadHeader);
    } else if (code == absl::StatusCode::kOutOfRange) {
      reply = MakeReply(ReplyKind::kSizeExceeded, "Message header too large");
    }
    co_return reply;
  }
  message.header.insert(0, MakeReceived() + *signature);
  smtp::Reply reply = co_await Hand(std::move(message), body);
  co_return reply;
}

base::Task<smtp::Reply> Transaction::Hand(outgoing::Message message, std::string_view body) {
  const absl::Duration begin = services_->clock->Monotonic();
  absl::StatusOr<int64_t> queue_id =
      co_await services_->sender->Enqueue(&message, outgoing::BodyInMemory(body), id_);
  services_->metrics->enqueue_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (queue_id.ok()) {
    queue_id_ = *queue_id;
    co_return MakeReply(ReplyKind::kAccepted, "Message queued as " + std::to_string(queue_id_));
  }
  smtp::Reply reply = Failure("enqueue", queue_id.status(), ReplyKind::kTemporaryFailure);
  switch (queue_id.status().code()) {
    // RFC 3463 §3.7: X.6.0 other or undefined media error.
    case absl::StatusCode::kInvalidArgument:
      co_return smtp::Reply{554, "5.6.0", {"The message can not be queued"}};
    case absl::StatusCode::kOutOfRange:
      co_return MakeReply(ReplyKind::kSizeExceeded, "More than the queue takes of one message");
    case absl::StatusCode::kPermissionDenied: co_return MakeReply(ReplyKind::kRejected);
    case absl::StatusCode::kResourceExhausted: co_return MakeReply(ReplyKind::kInsufficientStorage);
    default: co_return reply;
  }
}

std::string Transaction::MakeReceived() const {
  smtp::ReceivedField received;
  received.greeting_name = client_.greeting_name;
  received.client = client_.address;
  received.hide_client = services_->settings.hide_client;
  received.by = services_->settings.hostname;
  received.with = client_.with;
  received.with.utf8 = mail_.parameters.smtputf8;
  received.require_tls = mail_.parameters.requiretls;
  received.id = id_;
  received.tls = client_.tls;
  // No "for": of one recipient, too, nobody but the queue knows whether it was blind (RFC 5321
  // §7.2).
  received.time = services_->clock->Now();
  return smtp::WriteReceived(received);
}

void Transaction::LogMessage(const smtp::Reply& reply, uint64_t size) const {
  obs::Log(obs::Level::kInfo, "message",
           {{"trace", id_},
            {"account", account()},
            {"client", client_.address.ToString()},
            {"tls", client_.tls},
            {"from", reverse_path_},
            {"to", recipients_.front().address},
            {"recipients", recipients_.size()},
            {"bytes", size},
            {"queue_id", queue_id_},
            {"outcome", smtpd::ResultOf(reply)},
            {"code", reply.code}});
}

}  // namespace godwit::submission

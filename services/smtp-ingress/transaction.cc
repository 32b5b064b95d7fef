#include "services/smtp-ingress/transaction.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/outgoing/envelope.h"
#include "libs/store/delivery.h"
#include "libs/store/directory.h"
#include "services/smtp-ingress/sender_domain.h"

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

bool IsOwnMessage(const std::optional<smtp::Origin>& origin) {
  return origin &&
         (origin->kind == smtp::OriginKind::kDsn || origin->kind == smtp::OriginKind::kReport);
}

}  // namespace

Transaction::Transaction(Services* services, smtpd::ClientFacts client, bool internal,
                         smtp::CheckMailFrom mail, std::string id)
    : services_(services),
      client_(std::move(client)),
      internal_(internal),
      mail_(std::move(mail)),
      id_(std::move(id)),
      pending_memory_(services->memory) {}

base::Task<smtp::Reply> Transaction::Begin() {
  // A daemon says where mail comes from, always.
  if (internal_ && !mail_.parameters.origin) {
    co_return MakeReply(ReplyKind::kBadArguments, "XORIGIN is required here");
  }
  smtp::Reply reply = MakeReply(ReplyKind::kSenderOk);
  const std::string& sender = mail_.reverse_path.domain;
  if (internal_ || services_->resolver == nullptr || sender.empty() || sender.front() == '[') {
    co_return reply;
  }
  std::optional<std::string> domain = idna::ToAscii(sender);
  if (!domain) co_return Answer(MakeReply(ReplyKind::kBadSenderAddress));
  reply = co_await CheckSenderDomain(services_->resolver, *std::move(domain));
  if (reply.positive()) co_return reply;
  obs::Log(obs::Level::kInfo, "sender refused",
           {{"trace", id_},
            {"client", client_.address.ToString()},
            {"from", mail_.reverse_path.ToString()},
            {"code", reply.code}});
  co_return Answer(std::move(reply));
}

smtp::Reply Transaction::Failure(std::string_view at, const absl::Status& status) {
  services_->metrics->failures.At({at}).Add();
  obs::Log(obs::Level::kWarning, "message not delivered",
           {{"trace", id_}, {"at", at}, {"status", status}});
  return MakeReply(ReplyKind::kTemporaryFailure);
}

// What the store can never take is no reason to try again.
smtp::Reply Transaction::DeliveryFailure(const absl::Status& status) {
  smtp::Reply reply = Failure("deliver", status);
  if (status.code() != absl::StatusCode::kInvalidArgument) return reply;
  // RFC 3463 §3.7: X.6.0 other or undefined media error.
  return {554, "5.6.0", {"The message can not be stored"}};
}

void Transaction::LogRefusal(const smtp::Address& address, const smtp::Reply& reply) const {
  obs::Log(obs::Level::kInfo, "recipient refused",
           {{"trace", id_},
            {"client", client_.address.ToString()},
            {"from", mail_.reverse_path.ToString()},
            {"to", address.ToString()},
            {"code", reply.code}});
}

base::Task<smtp::Reply> Transaction::AddRecipient(smtp::CheckRcpt rcpt) {
  const smtp::Address& address = rcpt.forward_path;
  if (OneRecipientOnly()) co_return Answer(MakeReply(ReplyKind::kTooManyRecipients));
  Question question{address, mail_.reverse_path, services_->clock->Now()};
  if (!address.domain.empty()) {
    // A domain that has no A-label form can't be ours, nor can an address literal.
    std::optional<std::string> ascii = idna::ToAscii(address.domain);
    if (!ascii) co_return Answer(MakeReply(ReplyKind::kRelayDenied));
    question.recipient.domain = *std::move(ascii);
  }
  auto job = [question = std::move(question)](db::Connection& connection) {
    return FindRecipient(connection, question);
  };
  absl::StatusOr<Found> found = co_await services_->pool->Run(std::move(job));
  smtp::Reply reply;
  if (found.ok() && found->recipient.kind == store::RecipientKind::kRelay &&
      found->srs == Found::Srs::kNo && !found->recipient.callout.empty()) {
    reply = co_await AskNextHop(&*found, address);
  }
  if (found.ok()) {
    if (reply.code == 0) reply = TakeRecipient(*found, rcpt);
  } else {
    reply = Failure("lookup", found.status());
  }
  services_->metrics->recipients.At({smtpd::ResultOf(reply)}).Add();
  if (reply.positive()) co_return reply;
  LogRefusal(address, reply);
  co_return Answer(std::move(reply));
}

// What is known now is part of what was found; a reply when nothing is.
base::Task<smtp::Reply> Transaction::AskNextHop(Found* found, smtp::Address address) {
  const Known known =
      co_await services_->callout->Ask(found->recipient.callout, std::move(address));
  if (known == Known::kNo) found->recipient.kind = store::RecipientKind::kUnknownUser;
  if (known != Known::kNotNow) co_return smtp::Reply{};
  // RFC 3463 §3.2: X.1.1 bad destination mailbox address: not known to be good, for now.
  co_return smtp::Reply{450, "4.1.1", {"The address can not be verified now"}};
}

// RFC 5321 §4.5.3.1.10: the client sends the others in transactions of their own. With more than
// one recipient an unknown one could not be told from the others after the data but by a bounce,
// and bounces go to whoever is named as the sender.
bool Transaction::OneRecipientOnly() const {
  return services_->settings.recipient.unknown_after_data && !internal_ && !recipients_.empty();
}

smtp::Reply Transaction::TakeRecipient(const Found& found, const smtp::CheckRcpt& rcpt) {
  const RecipientPolicy& policy = services_->settings.recipient;
  const smtp::Address& address = rcpt.forward_path;
  RecipientVerdict verdict = found.srs == Found::Srs::kNo
                                 ? JudgeRecipient(found.recipient, mail_.reverse_path,
                                                  mail_.parameters.size.value_or(0), policy)
                                 : JudgeReturn(found, mail_.reverse_path, policy);
  const bool unknown = found.recipient.kind == store::RecipientKind::kUnknownUser;
  if (unknown && policy.unknown_after_data && !internal_ && verdict.reply.permanent()) {
    LogRefusal(address, verdict.reply);
    unknown_ = std::move(verdict.reply);
    recipients_.push_back(address);
    return MakeReply(ReplyKind::kRecipientOk);
  }
  if (!verdict.reply.positive()) return verdict.reply;
  // All or nothing of a recipient.
  const size_t onward = verdict.external.size() + verdict.relay;
  const bool room = copies_.size() + onward_.size() + onward <= store::kMaxTargets;
  if (!room || !AddCopies(verdict.accounts, address)) {
    return MakeReply(ReplyKind::kTooManyRecipients);
  }
  AddOnward(found, verdict, rcpt);
  return verdict.reply;
}

void Transaction::AddOnward(const Found& found, const RecipientVerdict& verdict,
                            const smtp::CheckRcpt& rcpt) {
  if (verdict.relay) {
    onward_.Add(outgoing::Origin::kRelay, mail_.reverse_path.ToString(),
                outgoing::MakeRecipient(rcpt.forward_path, rcpt.parameters));
    ways_.push_back("relay");
  }
  const bool back = found.srs == Found::Srs::kReturn;
  for (const smtp::Address& address : verdict.external) {
    onward_.Add(outgoing::Origin::kForward, back ? "" : found.forward_sender,
                outgoing::MakeRecipient(address, rcpt.parameters));
    ways_.push_back(back ? "return" : "forward");
  }
}

// Two recipients of one account are one copy: the first address counts.
bool Transaction::AddCopies(const std::vector<store::AccountId>& accounts,
                            const smtp::Address& recipient) {
  const size_t before = copies_.size();
  for (store::AccountId account : accounts) {
    if (accounts_.insert(store::ToInt(account)).second) copies_.push_back({account, recipient});
  }
  if (copies_.size() <= store::kMaxTargets) {
    recipients_.push_back(recipient);
    return true;
  }
  for (size_t i = before; i < copies_.size(); ++i)
    accounts_.erase(store::ToInt(copies_[i].account));
  copies_.resize(before);
  return false;
}

base::Task<smtp::Reply> Transaction::BeginData() {
  if (services_->memory->NearlyFull()) {
    co_return Answer(MakeReply(ReplyKind::kInsufficientStorage));
  }
  if (unknown_) co_return MakeReply(ReplyKind::kStartMailInput);
  VerifyEnvelope envelope;
  envelope.client = client_.address;
  envelope.helo = client_.greeting_name;
  envelope.mail_from = mail_.reverse_path.ToString();
  envelope.internal_hop = internal_;
  verify_ = services_->verifier->Begin(envelope, id_);
  const store::AccountId owner =
      copies_.empty() ? store::AccountId::kNone : copies_.front().account;
  delivery_ = std::make_unique<MessageDelivery>(services_, owner, !onward_.empty());
  (void)co_await verify_->Start();  // what went wrong is seen at its end
  co_return MakeReply(ReplyKind::kStartMailInput);
}

void Transaction::Append(std::string_view bytes) {
  if (gave_way_ || unknown_) return;
  pending_ += bytes;
  pending_memory_.Set(pending_.capacity());
  if (services_->memory->Over()) GiveWay();
}

base::Task<void> Transaction::Flush() {
  if (pending_.empty()) co_return;
  std::string bytes = std::exchange(pending_, {});  // counted until it is sent
  if (store_status_.ok() && !delivery_->message().header_too_large()) {
    store_status_ = co_await delivery_->Feed(bytes);
  }
  (void)co_await verify_->Send(std::move(bytes));
  pending_memory_.Set(0);
  if (services_->memory->Over()) GiveWay();
}

// The client is not cut: it would only begin again at once. It is told at the end of its data.
void Transaction::GiveWay() {
  gave_way_ = true;
  pending_ = {};
  pending_memory_.Set(0);
  delivery_->Clear();
  verify_.reset();
}

base::Task<smtp::Reply> Transaction::EndData(smtp::EndData end) {
  const uint64_t size = end.size;
  smtp::Reply reply = co_await Finish(std::move(end));
  if (!reply.positive()) {
    outcome_ = smtpd::ResultOf(reply);
    if (delivery_ != nullptr) co_await delivery_->Drop();
  } else {
    services_->metrics->message_bytes.Observe(static_cast<double>(size));
  }
  services_->metrics->messages.At({outcome_}).Add();
  LogMessage(reply, size);
  co_return Answer(std::move(reply));
}

base::Task<smtp::Reply> Transaction::Finish(smtp::EndData end) {
  if (end.refused) co_return *std::move(end.refused);
  if (unknown_) co_return *unknown_;
  co_await Flush();
  if (gave_way_) co_return MakeReply(ReplyKind::kInsufficientStorage);
  if (delivery_->message().header_too_large()) {
    co_return MakeReply(ReplyKind::kSizeExceeded, "Message header too large");
  }
  if (!store_status_.ok()) co_return Failure("stage", store_status_);
  // RFC 5321 §6.3: loops are found by counting Received fields.
  if (CountReceived(delivery_->message().header()) > services_->settings.max_received_fields) {
    co_return MakeReply(ReplyKind::kRoutingLoop);
  }
  const absl::Duration begin = services_->clock->Monotonic();
  absl::StatusOr<Verdict> verdict = co_await verify_->Finish();
  services_->metrics->verify_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!verdict.ok()) co_return Failure("verify", verdict.status());

  verdict->evidence.own_message = IsOwnMessage(mail_.parameters.origin);
  Decision decision = Decide(verdict->evidence, services_->settings.decision);
  reason_ = decision.reason;
  services_->metrics->decisions.At({decision.reason}).Add();
  if (decision.outcome == Outcome::kReject || decision.outcome == Outcome::kDefer) {
    co_return std::move(decision.reply);
  }
  smtp::Reply reply = co_await Accept(*std::move(verdict), std::move(decision));
  co_return reply;
}

base::Task<smtp::Reply> Transaction::Accept(Verdict verdict, Decision decision) {
  const HeaderFacts facts = MakeHeaderFacts(verdict, decision);
  const bool junk = decision.outcome == Outcome::kJunk;
  smtp::Reply reply = MakeReply(ReplyKind::kAccepted);
  if (!onward_.empty()) reply = co_await SendOn(facts);
  if (reply.positive() && !copies_.empty()) reply = co_await Deliver(facts, junk);
  if (reply.positive()) outcome_ = junk ? "junk" : "accepted";
  co_return reply;
}

base::Task<smtp::Reply> Transaction::SendOn(HeaderFacts facts) {
  const absl::Duration begin = services_->clock->Monotonic();
  facts.reason.clear();  // for readers here
  const smtp::MailParameters& parameters = mail_.parameters;
  outgoing::Message message;
  message.client_address = client_.address.ToString();
  message.header = MakeStoredHeader(delivery_->message().header(), facts);
  message.ret = outgoing::MakeReturn(parameters.ret);
  message.envid = parameters.envid.value_or("");
  message.smtputf8 = parameters.smtputf8;
  message.body_8bit = parameters.body == smtp::BodyType::k8BitMime;
  message.requiretls = parameters.requiretls;
  const absl::Status sent = co_await onward_.Send(services_->sender, std::move(message),
                                                  delivery_->message().body(), id_);
  services_->metrics->send_on_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (sent.ok()) {
    for (std::string_view way : ways_) services_->metrics->sent_on.At({way}).Add();
    co_return MakeReply(ReplyKind::kAccepted);
  }
  smtp::Reply reply = Failure("send-on", sent);
  if (sent.code() == absl::StatusCode::kInvalidArgument) {
    // RFC 3463 §3.7: X.6.0 other or undefined media error. The next server would not take it.
    reply = {554, "5.6.0", {"The message can not be sent on"}};
  } else if (sent.code() == absl::StatusCode::kResourceExhausted) {
    reply = MakeReply(ReplyKind::kInsufficientStorage);
  }
  co_return reply;
}

base::Task<smtp::Reply> Transaction::Deliver(HeaderFacts facts, bool junk) {
  const absl::Duration begin = services_->clock->Monotonic();
  std::string header = MakeStoredHeader(delivery_->message().header(), facts);
  absl::StatusOr<store::DeliveryResult> result =
      co_await delivery_->Commit(std::move(header), mail_.reverse_path, copies_, junk);
  services_->metrics->deliver_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!result.ok()) co_return DeliveryFailure(result.status());
  SendHints(*result);
  co_return MakeReply(ReplyKind::kAccepted);
}

HeaderFacts Transaction::MakeHeaderFacts(const Verdict& verdict, const Decision& decision) const {
  HeaderFacts facts;
  facts.authserv_id = services_->settings.authserv_id;
  facts.authentication_results = verdict.authentication_results;
  facts.received_spf = verdict.received_spf;
  facts.reason = decision.reason;
  facts.origin = mail_.parameters.origin;
  smtp::ReceivedField& received = facts.received;
  received.greeting_name = client_.greeting_name;
  received.reverse_name = verdict.reverse_name;
  received.client = client_.address;
  received.by = services_->settings.hostname;
  received.with = client_.with;
  received.with.utf8 = mail_.parameters.smtputf8;
  received.id = id_;
  received.tls = client_.tls;
  // RFC 5321 §7.2: several recipients may be blind to one another.
  if (recipients_.size() == 1) received.recipient = recipients_.front();
  received.time = services_->clock->Now();
  return facts;
}

void Transaction::SendHints(const store::DeliveryResult& result) {
  for (const store::Delivered& delivered : result) {
    services_->hints->Send(store::ToInt(delivered.account), delivered.change.modseq,
                           delivered.change.watchers);
  }
}

void Transaction::LogMessage(const smtp::Reply& reply, uint64_t size) const {
  obs::Log(obs::Level::kInfo, "message",
           {{"trace", id_},
            {"client", client_.address.ToString()},
            {"helo", client_.greeting_name},
            {"tls", client_.tls},
            {"from", mail_.reverse_path.ToString()},
            {"to", recipients_.front().ToString()},
            {"recipients", recipients_.size()},
            {"sent_on", onward_.size()},
            {"bytes", size},
            {"outcome", outcome_},
            {"reason", reason_},
            {"code", reply.code}});
}

base::Task<void> Transaction::Abandon() {
  verify_.reset();
  if (delivery_ != nullptr) co_await delivery_->Drop();
}

}  // namespace godwit::smtp_ingress

#include "services/smtp-ingress/transaction.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/store/delivery.h"
#include "libs/store/directory.h"

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

Transaction::~Transaction() {
  if (refusals_.any()) {
    services_->session_log->Add(refusals_.Row(client_, mail_.reverse_path, id_));
  }
}

base::Task<smtp::Reply> Transaction::Begin() {
  // A daemon says where mail comes from, always.
  if (internal_ && !mail_.parameters.origin) {
    co_return MakeReply(ReplyKind::kBadArguments, "XORIGIN is required here");
  }
  if (!internal_ && services_->clients->bytes().Over(client_.address)) {
    services_->metrics->limited.At({"bytes"}).Add();
    smtp::Reply reply =
        MakeReply(ReplyKind::kLimitReached, "Too much mail from your network, try again later");
    refusals_.NoteMessage(reply, "bytes");
    co_return Answer(std::move(reply));
  }
  co_return MakeReply(ReplyKind::kSenderOk);
}

smtp::Reply Transaction::Failure(std::string_view at, const absl::Status& status) {
  services_->metrics->failures.At({at}).Add();
  reason_ = at;
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

smtp::Reply Transaction::RefuseRecipient(const smtp::Address& address, smtp::Reply reply) {
  obs::Log(obs::Level::kInfo, "recipient refused",
           {{"trace", id_},
            {"client", client_.address.ToString()},
            {"from", mail_.reverse_path.ToString()},
            {"to", address.ToString()},
            {"code", reply.code}});
  if (!internal_ && reply.permanent()) {
    limit::Meter& meter = services_->clients->refused_recipients();
    meter.Add(client_.address, 1);
    if (meter.Over(client_.address)) {
      services_->metrics->limited.At({"refused-recipients"}).Add();
      reply = MakeReply(ReplyKind::kTooManyErrors);
    }
  }
  refusals_.NoteRecipient(address, reply);
  return Answer(std::move(reply));
}

base::Task<smtp::Reply> Transaction::AddRecipient(smtp::CheckRcpt rcpt) {
  const smtp::Address& address = rcpt.forward_path;
  std::string domain = address.domain;
  if (!address.domain.empty()) {
    // A domain that has no A-label form can't be ours, nor can an address literal.
    std::optional<std::string> ascii = idna::ToAscii(address.domain);
    if (!ascii) co_return Answer(MakeReply(ReplyKind::kRelayDenied));
    domain = *std::move(ascii);
  }
  auto job = [local_part = address.local_part, domain](db::Connection& connection) {
    return store::LookupRecipient(connection, local_part, domain);
  };
  absl::StatusOr<store::Recipient> found = co_await services_->pool->Run(std::move(job));
  smtp::Reply reply;
  if (found.ok()) {
    RecipientVerdict verdict =
        JudgeRecipient(*found, mail_.reverse_path, mail_.parameters.size.value_or(0),
                       services_->settings.recipient);
    reply = std::move(verdict.reply);
    // RFC 5321 §4.5.3.1.10: the client sends these in a transaction of their own.
    if (reply.positive() && !AddCopies(verdict.accounts, address)) {
      reply = MakeReply(ReplyKind::kTooManyRecipients);
    }
  } else {
    reply = Failure("lookup", found.status());
  }
  if (reply.positive()) NoteWishes(rcpt, found->kind == store::RecipientKind::kAlias);
  services_->metrics->recipients.At({smtpd::ResultOf(reply)}).Add();
  if (!reply.positive()) co_return RefuseRecipient(address, std::move(reply));
  refusals_.NoteRecipient(address, reply);
  co_return reply;
}

// RFC 3461 §5.2.7: what is delivered to the members of an alias is "expanded", and they are asked
// nothing more.
void Transaction::NoteWishes(const smtp::CheckRcpt& rcpt, bool expanded) {
  const dsn::Action action = expanded ? dsn::Action::kExpanded : dsn::Action::kDelivered;
  const smtp::RcptParameters& parameters = rcpt.parameters;
  if (!dsn::Wanted(action, mail_.reverse_path.ToString(), parameters.notify)) return;
  dsn::Recipient told;
  told.action = action;
  told.final_recipient = dsn::MakeAddress(rcpt.forward_path.ToString());
  if (parameters.orcpt_type) {
    told.original_recipient = {*parameters.orcpt_type, parameters.orcpt_address};
  }
  told.status = "2.0.0";
  told.last_attempt = absl::FromUnixSeconds(absl::ToUnixSeconds(services_->clock->Now()));
  wishes_.push_back(std::move(told));
}

// The message is delivered, whatever becomes of this. Nothing is sent to a sender whom SPF does not
// confirm: anybody could have others flooded with notifications of mail they never sent.
base::Task<void> Transaction::Notify(bool sender_confirmed) {
  if (wishes_.empty() || services_->notifier == nullptr) co_return;
  if (!sender_confirmed) {
    services_->metrics->notices.At({"skipped"}).Add();
    co_return;
  }
  DeliveryNotice notice;
  notice.id = id_;
  notice.reverse_path = mail_.reverse_path.ToString();
  notice.envelope_id = mail_.parameters.envid.value_or("");
  notice.smtputf8 = mail_.parameters.smtputf8;
  notice.require_tls = mail_.parameters.requiretls;
  notice.client_name = client_.greeting_name;
  notice.header = delivery_->message().header();
  const std::string& domain = recipients_.front().domain;  // "" for <postmaster>
  notice.domain = services_->settings.hostname;
  if (!domain.empty()) notice.domain = idna::ToAscii(domain).value_or(notice.domain);
  notice.recipients = std::move(wishes_);
  absl::Status told = co_await services_->notifier->Tell(std::move(notice));
  services_->metrics->notices.At({told.ok() ? "sent" : "failed"}).Add();
  if (!told.ok()) {
    obs::Log(obs::Level::kWarning, "notification not sent", {{"trace", id_}, {"status", told}});
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
    services_->metrics->limited.At({"memory"}).Add();
    smtp::Reply reply = MakeReply(ReplyKind::kInsufficientStorage);
    refusals_.NoteMessage(reply, "memory");
    co_return Answer(std::move(reply));
  }
  VerifyEnvelope envelope;
  envelope.client = client_.address;
  envelope.helo = client_.greeting_name;
  envelope.mail_from = mail_.reverse_path.ToString();
  envelope.internal_hop = internal_;
  for (const smtp::Address& recipient : recipients_) {
    report_address_ = report_address_ || services_->report_addresses->Contains(recipient);
  }
  envelope.report_address = report_address_;
  verify_ = services_->verifier->Begin(envelope, id_);
  delivery_ =
      std::make_unique<MessageDelivery>(services_, copies_.front().account, mail_.parameters.body);
  (void)co_await verify_->Start();  // what went wrong is seen at its end
  co_return MakeReply(ReplyKind::kStartMailInput);
}

void Transaction::Append(std::string_view bytes) {
  if (gave_way_) return;
  pending_ += bytes;
  pending_memory_.Set(pending_.capacity());
  if (services_->memory->Over()) GiveWay();
}

base::Task<void> Transaction::Flush() {
  if (pending_.empty()) co_return;
  std::string bytes = std::exchange(pending_, {});  // counted until it is sent
  if (store_status_.ok()) store_status_ = co_await delivery_->Feed(bytes);
  (void)co_await verify_->Send(std::move(bytes));
  pending_memory_.Set(0);
  if (services_->memory->Over()) GiveWay();
}

// The client is not cut: it would only begin again at once. It is told at the end of its data.
void Transaction::GiveWay() {
  services_->metrics->limited.At({"memory"}).Add();
  reason_ = "memory";
  gave_way_ = true;
  pending_ = {};
  pending_memory_.Set(0);
  delivery_->Clear();
  verify_.reset();
}

base::Task<smtp::Reply> Transaction::EndData(smtp::EndData end) {
  const uint64_t size = end.size;
  if (!internal_) services_->clients->bytes().Add(client_.address, static_cast<double>(size));
  smtp::Reply reply = co_await Finish(std::move(end));
  if (!reply.positive()) {
    refusals_.NoteMessage(reply, reason_, std::move(verdict_));
    outcome_ = smtpd::ResultOf(reply);
    co_await delivery_->Drop();
  } else {
    services_->metrics->message_bytes.Observe(static_cast<double>(size));
  }
  services_->metrics->messages.At({outcome_}).Add();
  LogMessage(reply, size);
  co_return Answer(std::move(reply));
}

base::Task<smtp::Reply> Transaction::Finish(smtp::EndData end) {
  if (end.refused) {
    reason_ = "message";
    co_return *std::move(end.refused);
  }
  co_await Flush();
  if (gave_way_) co_return MakeReply(ReplyKind::kInsufficientStorage);
  if (store_status_.ok()) store_status_ = co_await delivery_->End();
  if (auto refused = delivery_->refused()) {
    reason_ = "message";
    co_return *std::move(refused);
  }
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

  verdict_ = verdict->authentication_results;
  verdict->evidence.own_message = IsOwnMessage(mail_.parameters.origin);
  Decision decision = Decide(verdict->evidence, services_->settings.decision);
  reason_ = decision.reason;
  services_->metrics->decisions.At({decision.reason}).Add();
  JudgedMessage judged = Judged(*verdict, decision);
  if (decision.outcome == Outcome::kDefer) co_return std::move(decision.reply);
  smtp::Reply reply = std::move(decision.reply);
  if (decision.outcome != Outcome::kReject) {
    reply = co_await Deliver(*std::move(verdict), std::move(decision));
  }
  // What comes again is judged again.
  if (!judged.evaluation.empty() && reply.code / 100 != 4) {
    services_->evaluations->Add(std::move(judged));
  }
  co_return reply;
}

base::Task<smtp::Reply> Transaction::Deliver(Verdict verdict, Decision decision) {
  const absl::Duration begin = services_->clock->Monotonic();
  const bool junk = decision.outcome == Outcome::kJunk;
  std::string header =
      MakeStoredHeader(delivery_->message().header(), MakeHeaderFacts(verdict, decision));
  absl::StatusOr<store::DeliveryResult> result =
      co_await delivery_->Commit(std::move(header), mail_.reverse_path, copies_, junk);
  services_->metrics->deliver_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!result.ok()) co_return DeliveryFailure(result.status());
  outcome_ = junk ? "junk" : "accepted";
  SendHints(*result);
  co_await Notify(verdict.sender_confirmed);
  co_return MakeReply(ReplyKind::kAccepted);
}

HeaderFacts Transaction::MakeHeaderFacts(const Verdict& verdict, const Decision& decision) const {
  HeaderFacts facts;
  facts.authserv_id = services_->settings.authserv_id;
  facts.authentication_results = verdict.authentication_results;
  facts.received_spf = verdict.received_spf;
  facts.reason = decision.reason;
  facts.report = verdict.report;
  facts.origin = mail_.parameters.origin;
  smtp::ReceivedField& received = facts.received;
  received.greeting_name = client_.greeting_name;
  received.reverse_name = verdict.reverse_name;
  received.client = client_.address;
  received.by = services_->settings.hostname;
  received.with = client_.with;
  received.with.utf8 = mail_.parameters.smtputf8;
  received.require_tls = mail_.parameters.requiretls;
  received.id = id_;
  received.tls = client_.tls;
  // RFC 5321 §7.2: several recipients may be blind to one another.
  if (recipients_.size() == 1) received.recipient = recipients_.front();
  received.time = services_->clock->Now();
  return facts;
}

// RFC 9990 §3.1: all that was judged counts, whatever became of it afterwards.
JudgedMessage Transaction::Judged(const Verdict& verdict, const Decision& decision) const {
  JudgedMessage judged = MakeJudged(verdict.evidence, decision);
  if (!verdict.evidence.own_message) judged.evaluation = verdict.evaluation;
  judged.to_report_address = report_address_;
  judged.envelope_to = recipients_.front().domain;
  for (const smtp::Address& recipient : recipients_) {
    if (recipient.domain != judged.envelope_to) judged.envelope_to.clear();
  }
  return judged;
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

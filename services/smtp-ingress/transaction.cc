#include "services/smtp-ingress/transaction.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/hash/hash.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/outgoing/envelope.h"
#include "libs/store/delivery.h"
#include "libs/store/directory.h"
#include "services/smtp-ingress/forwarding.h"
#include "services/smtp-ingress/sender_domain.h"

namespace godwit::smtp_ingress {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

// Also what we forward to another domain of ours: it was judged when it came, and SPF is gone
// since.
bool IsOwnMessage(const std::optional<smtp::Origin>& origin) {
  return origin && origin->kind != smtp::OriginKind::kSubmission;
}

// More in one transaction go to the queue one after the other, while the client waits.
constexpr size_t kMaxGroups = 100;

smtp::Address AliasAddress(const std::string& alias) {
  const size_t at = alias.rfind('@');
  return {alias.substr(0, at), alias.substr(at + 1)};
}

// Nothing that is left is NEVER: a NOTIFY that is missing would ask for failures (RFC 3461 §4.1).
smtp::DsnNotify WithoutSuccess(smtp::DsnNotify notify) {
  if (!std::exchange(notify.success, false)) return notify;
  notify.never = !notify.failure && !notify.delay;
  return notify;
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
  smtp::Reply reply = co_await JudgeSenderDomain();
  if (reply.positive()) co_return reply;
  obs::Log(obs::Level::kInfo, "sender refused",
           {{"trace", id_},
            {"client", client_.address.ToString()},
            {"from", mail_.reverse_path.ToString()},
            {"code", reply.code}});
  refusals_.NoteMessage(reply, "sender");
  co_return Answer(std::move(reply));
}

base::Task<smtp::Reply> Transaction::JudgeSenderDomain() const {
  const std::string& sender = mail_.reverse_path.domain;
  if (internal_ || services_->resolver == nullptr || sender.empty() || sender.front() == '[') {
    co_return MakeReply(ReplyKind::kSenderOk);
  }
  std::optional<std::string> domain = idna::ToAscii(sender);
  if (!domain) co_return MakeReply(ReplyKind::kBadSenderAddress);
  smtp::Reply reply = co_await CheckSenderDomain(services_->resolver, *std::move(domain));
  co_return reply;
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
  return Answer(CountRefusal(address, std::move(reply)));
}

smtp::Reply Transaction::CountRefusal(const smtp::Address& address, smtp::Reply reply) {
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
  return reply;
}

base::Task<smtp::Reply> Transaction::AddRecipient(smtp::CheckRcpt rcpt) {
  const smtp::Address& address = rcpt.forward_path;
  if (OneRecipientOnly()) {
    co_return RefuseRecipient(address, MakeReply(ReplyKind::kTooManyRecipients));
  }
  Question question{address, mail_.reverse_path, services_->clock->Now(), OfOwnUser()};
  if (!address.domain.empty()) {
    // A domain that has no A-label form can't be ours, nor can an address literal.
    std::optional<std::string> ascii = idna::ToAscii(address.domain);
    if (!ascii) co_return RefuseRecipient(address, MakeReply(ReplyKind::kRelayDenied));
    question.recipient.domain = *std::move(ascii);
  }
  absl::StatusOr<Found> found = co_await Find(question);
  smtp::Reply reply;
  if (found.ok() && IsRouted(*found, address)) {
    reply = MakeReply(ReplyKind::kRelayDenied);
  } else if (found.ok() && found->recipient.kind == store::RecipientKind::kRelay &&
             found->srs == Found::Srs::kNo && !found->recipient.callout.empty()) {
    reply = co_await AskNextHop(&*found, question.recipient);
  }
  if (!found.ok()) {
    reply = Failure("lookup", found.status());
  } else if (reply.code == 0) {
    reply = TakeRecipient(*found, rcpt, question.recipient.domain);
  }
  services_->metrics->recipients.At({smtpd::ResultOf(reply)}).Add();
  if (!reply.positive()) co_return RefuseRecipient(address, std::move(reply));
  if (!unknown_) refusals_.NoteRecipient(address, reply);
  co_return reply;
}

base::Task<absl::StatusOr<Found>> Transaction::Find(Question question) {
  if (auto known = services_->recipients->Find(question.recipient)) co_return *std::move(known);
  auto job = [question](db::Connection& connection) { return FindRecipient(connection, question); };
  absl::StatusOr<Found> found = co_await services_->pool->Run(std::move(job));
  if (found.ok()) services_->recipients->Add(question.recipient, *found);
  co_return found;
}

// What is known now is part of what was found; a reply when nothing is.
base::Task<smtp::Reply> Transaction::AskNextHop(Found* found, smtp::Address address) {
  const Known known = co_await services_->callout->Ask(found->recipient.callout, std::move(address),
                                                       mail_.reverse_path.is_null());
  if (known == Known::kNoUtf8) {
    // RFC 6531 §3.5.
    co_return smtp::Reply{553, "5.6.7", {"The address needs SMTPUTF8, and its server has it not"}};
  }
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

smtp::Reply Transaction::TakeRecipient(const Found& found, const smtp::CheckRcpt& rcpt,
                                       const std::string& domain) {
  const RecipientPolicy& policy = services_->settings.recipient;
  const smtp::Address& address = rcpt.forward_path;
  RecipientVerdict verdict = found.srs == Found::Srs::kNo
                                 ? JudgeRecipient(found.recipient, mail_.reverse_path,
                                                  mail_.parameters.size.value_or(0), policy)
                                 : JudgeReturn(found, mail_.reverse_path, policy);
  const bool unknown = found.recipient.kind == store::RecipientKind::kUnknownUser;
  if (unknown && policy.unknown_after_data && !internal_ && verdict.reply.permanent()) {
    unknown_ = std::move(verdict.reply);
    recipients_.push_back(address);
    return MakeReply(ReplyKind::kRecipientOk);
  }
  if (!verdict.reply.positive()) return verdict.reply;
  // All or nothing of a recipient. RFC 5321 §4.5.3.1.10: the client sends these in a transaction of
  // their own.
  const size_t onward = verdict.external.size() + verdict.relay;
  const bool room = copies_.size() + onward_.size() + onward <= store::kMaxTargets &&
                    (onward == 0 || onward_.groups() < kMaxGroups);
  if (!room || !AddCopies(verdict.accounts, address)) {
    return MakeReply(ReplyKind::kTooManyRecipients);
  }
  AddOnward(found, verdict, rcpt, domain);
  // RFC 3461 §5.2.7.2: who forwards to one address tells nothing; the next server does.
  const bool passed_on = verdict.accounts.empty() && onward == 1;
  if (!passed_on) NoteWishes(rcpt, found.recipient.kind == store::RecipientKind::kAlias);
  return verdict.reply;
}

// RFC 3461 §5.2.7.3: of several members of an alias, none is asked to tell of his success: for them
// all we say "expanded".
void Transaction::AddOnward(const Found& found, const RecipientVerdict& verdict,
                            const smtp::CheckRcpt& rcpt, const std::string& domain) {
  smtp::RcptParameters parameters = rcpt.parameters;
  if (verdict.relay) {
    onward_.Add({outgoing::Origin::kRelay, mail_.reverse_path.ToString(), domain},
                outgoing::MakeRecipient(rcpt.forward_path, parameters));
    ways_.push_back("relay");
  }
  const bool several = verdict.accounts.size() + verdict.external.size() > 1;
  if (several) parameters.notify = WithoutSuccess(parameters.notify);
  const bool back = found.srs == Found::Srs::kReturn;
  Onward::Way way = {
      outgoing::Origin::kForward, "", domain, {rcpt.forward_path.local_part, domain}};
  if (!back) {
    way.reverse_path = found.forward_sender;
    // As the directory has it, whatever tag the message was sent to.
    way.by = AliasAddress(found.recipient.alias);
  }
  for (const smtp::Address& address : verdict.external) {
    onward_.Add(way, outgoing::MakeRecipient(address, parameters));
    ways_.push_back(back ? "return" : "forward");
  }
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

bool Transaction::OfOwnUser() const {
  const std::optional<smtp::Origin>& origin = mail_.parameters.origin;
  return internal_ && origin && origin->kind == smtp::OriginKind::kSubmission;
}

int64_t Transaction::WholeMemoryOwner() const {
  const std::optional<smtp::Origin>& origin = mail_.parameters.origin;
  if (internal_ && origin) return origin->account;
  return static_cast<int64_t>(absl::HashOf(client_.address.CustomerNetwork()));
}

bool Transaction::Crowded() const { return services_->memory->Over() || delivery_->Over(); }

base::Task<smtp::Reply> Transaction::BeginData() {
  const store::AccountId owner =
      copies_.empty() ? store::AccountId::kNone : copies_.front().account;
  std::optional<int64_t> whole_for;
  if (!onward_.empty()) whole_for = WholeMemoryOwner();
  delivery_ = std::make_unique<MessageDelivery>(services_, owner, mail_.parameters.body, whole_for);
  if (services_->memory->NearlyFull() || delivery_->NearlyFull()) {
    services_->metrics->limited.At({"memory"}).Add();
    smtp::Reply reply = MakeReply(ReplyKind::kInsufficientStorage);
    refusals_.NoteMessage(reply, "memory");
    co_return Answer(std::move(reply));
  }
  co_return MakeReply(ReplyKind::kStartMailInput);
}

VerifyEnvelope Transaction::MakeVerifyEnvelope() {
  VerifyEnvelope envelope;
  envelope.client = client_.address;
  envelope.helo = client_.greeting_name;
  envelope.mail_from = mail_.reverse_path.ToString();
  envelope.internal_hop = internal_;
  for (const smtp::Address& recipient : recipients_) {
    report_address_ = report_address_ || services_->report_addresses->Contains(recipient);
  }
  envelope.report_address = report_address_;
  return envelope;
}

void Transaction::CountBytes(uint64_t size) {
  counted_ += size;
  if (!internal_) services_->clients->bytes().Add(client_.address, static_cast<double>(size));
}

void Transaction::Append(std::string_view bytes) {
  CountBytes(bytes.size());
  if (gave_way_ || unknown_) return;
  pending_ += bytes;
  pending_memory_.Set(pending_.capacity());
  if (Crowded()) GiveWay();
}

// What has gathered; it is counted until it is sent.
base::Task<std::string> Transaction::FeedPending() {
  std::string bytes = std::exchange(pending_, {});
  if (!onward_.empty()) content_.Feed(bytes);
  if (!bytes.empty() && store_status_.ok()) store_status_ = co_await delivery_->Feed(bytes);
  co_return bytes;
}

base::Task<void> Transaction::Flush() {
  if (pending_.empty()) co_return;
  std::string bytes = co_await FeedPending();
  if (verify_ == nullptr) {
    // Not before there is much to judge: who says DATA and waits takes no place there.
    verify_ = co_await services_->verifier->Begin(MakeVerifyEnvelope(), id_);
  }
  (void)co_await verify_->Send(std::move(bytes));
  pending_memory_.Set(0);
  if (Crowded()) GiveWay();
}

base::Task<absl::StatusOr<Verdict>> Transaction::Verify(std::string rest) {
  if (verify_ != nullptr) return verify_->Finish(std::move(rest));
  return services_->verifier->Verify(MakeVerifyEnvelope(), std::move(rest), id_);
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
  // What was not even appended.
  if (size > counted_) CountBytes(size - counted_);
  smtp::Reply reply = co_await Finish(std::move(end));
  if (!reply.positive()) {
    refusals_.NoteMessage(reply, reason_, std::move(verdict_));
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
  if (end.refused) {
    reason_ = "message";
    co_return *std::move(end.refused);
  }
  if (unknown_) {
    reason_ = "recipient";
    co_return CountRefusal(recipients_.front(), *unknown_);
  }
  if (gave_way_) co_return MakeReply(ReplyKind::kInsufficientStorage);
  std::string rest = co_await FeedPending();
  if (store_status_.ok()) store_status_ = co_await delivery_->End();
  if (auto refused = delivery_->refused()) {
    reason_ = "message";
    co_return *std::move(refused);
  }
  if (delivery_->message().header_too_large()) {
    co_return MakeReply(ReplyKind::kSizeExceeded, "Message header too large");
  }
  if (!store_status_.ok()) co_return Failure("stage", store_status_);
  // RFC 5321 §6.3: loops are found by counting Received fields. That is late for those that grow
  // with each round.
  const std::string& header = delivery_->message().header();
  if (CountReceived(header) > services_->settings.max_received_fields || onward_.CameBack(header)) {
    co_return MakeReply(ReplyKind::kRoutingLoop);
  }
  const absl::Duration begin = services_->clock->Monotonic();
  absl::StatusOr<Verdict> verdict = co_await Verify(std::move(rest));
  services_->metrics->verify_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!verdict.ok()) co_return Failure("verify", verdict.status());

  verdict_ = verdict->authentication_results;
  verdict->evidence.own_message = IsOwnMessage(mail_.parameters.origin);
  // Of a daemon of ours it was not looked up.
  if (internal_) verdict->evidence.reverse_dns_failed = false;
  Decision decision = Decide(verdict->evidence, services_->settings.decision);
  reason_ = decision.reason;
  services_->metrics->decisions.At({decision.reason}).Add();
  JudgedMessage judged = Judged(*verdict, decision);
  if (decision.outcome == Outcome::kDefer) co_return std::move(decision.reply);
  smtp::Reply reply = std::move(decision.reply);
  if (decision.outcome != Outcome::kReject) {
    reply = co_await Accept(*std::move(verdict), std::move(decision));
  }
  // What comes again is judged again.
  if (!judged.evaluation.empty() && reply.code / 100 != 4) {
    services_->evaluations->Add(std::move(judged));
  }
  co_return reply;
}

base::Task<smtp::Reply> Transaction::Accept(Verdict verdict, Decision decision) {
  const HeaderFacts facts = MakeHeaderFacts(verdict, decision);
  const bool junk = decision.outcome == Outcome::kJunk;
  // A daemon of ours has its mail from users who have authenticated, or from here.
  const bool confirmed = internal_ || verdict.sender_confirmed;
  smtp::Reply reply = MakeReply(ReplyKind::kAccepted);
  if (std::optional<smtp::Reply> refused = JudgeOnward(verdict, decision)) {
    reason_ = "forward";
    co_return *std::move(refused);
  }
  if (!onward_.empty()) {
    HeaderFacts onward = facts;
    if (!junk) onward.reason.clear();
    reply = co_await SendOn(std::move(onward), verdict.arc, confirmed);
  }
  if (reply.positive() && !copies_.empty()) reply = co_await Deliver(facts, junk);
  if (!reply.positive()) co_return reply;
  outcome_ = junk ? "junk" : "accepted";
  co_await Notify(confirmed);
  co_return reply;
}

// A partial refusal would have to be a bounce to a sender whom nobody confirms, so it is all or
// nothing.
std::optional<smtp::Reply> Transaction::JudgeOnward(const Verdict& verdict,
                                                    const Decision& decision) const {
  if (!onward_.forwards()) return std::nullopt;
  ForwardFacts facts;
  facts.own = OfOwnUser() || verdict.evidence.own_message;
  facts.outcome = decision.outcome;
  facts.domains = onward_.domains();
  // RFC 7208 §2.4: of the null sender it is the name that counts.
  facts.domains.insert(services_->settings.hostname);
  return JudgeForward(verdict, facts);
}

outgoing::Message Transaction::MakeOnwardMessage(HeaderFacts facts) const {
  facts.report.clear();  // for readers here
  facts.origin.reset();
  const smtp::MailParameters& parameters = mail_.parameters;
  outgoing::Message message;
  message.client_address = client_.address.ToString();
  message.header = MakeStoredHeader(delivery_->message().header(), facts);
  message.body_size = delivery_->message().body().size();
  message.ret = outgoing::MakeReturn(parameters.ret);
  message.envid = parameters.envid.value_or("");
  message.smtputf8 = parameters.smtputf8;
  message.requiretls = parameters.requiretls;
  return message;
}

// RFC 8617 §5.1: each domain seals what leaves by its addresses, as it leaves. The message goes on
// without a seal where there can be none.
base::Task<absl::StatusOr<Seals>> Transaction::MakeSeals(const outgoing::Message* message,
                                                         std::string results, std::string arc) {
  Seals seals;
  // RFC 8617 §5.1: a seal says what the chain was worth when it came.
  if (!services_->settings.verify) co_return seals;
  const std::set<std::string> domains = onward_.domains();
  for (const std::string& domain : domains) {
    outgoing::SealFacts facts;
    facts.domain = domain;
    facts.authserv_id = services_->settings.authserv_id;
    facts.authentication_results = results;
    facts.arc = arc;
    absl::StatusOr<std::string> fields = co_await services_->sender->Seal(
        message, std::move(facts), outgoing::BodyInMemory(delivery_->message().body()), id_);
    const std::string_view result = !fields.ok() ? "failed" : fields->empty() ? "none" : "sealed";
    services_->metrics->seals.At({result}).Add();
    if (!fields.ok()) co_return fields.status();
    seals[domain] = *std::move(fields);
  }
  co_return seals;
}

std::string Transaction::ContentName() {
  ContentKey key;
  key.Add(content_.Finish());
  key.Add(mail_.reverse_path.ToString());
  // Two alarms of a device that says no more are two.
  if (!TellsMessages(delivery_->message().header())) key.Add(id_);
  return key.Finish();
}

base::Task<smtp::Reply> Transaction::SendOn(HeaderFacts facts, std::string arc, bool confirmed) {
  const absl::Duration begin = services_->clock->Monotonic();
  outgoing::Message message = MakeOnwardMessage(facts);
  if (!confirmed) {
    // Nor what a victim never sent, nor its text, should come to him by way of us.
    onward_.TellFailuresOnly();
    message.ret = outgoing::Return::kHeaders;
  }
  absl::StatusOr<Seals> seals =
      co_await MakeSeals(&message, facts.authentication_results, std::move(arc));
  if (!seals.ok()) co_return Failure("seal", seals.status());
  const absl::Status sent =
      co_await onward_.Send(services_->sender, std::move(message), *std::move(seals),
                            delivery_->message().body(), ContentName(), id_);
  services_->metrics->send_on_seconds.Observe(
      absl::ToDoubleSeconds(services_->clock->Monotonic() - begin));
  if (!sent.ok()) co_return OnwardFailure(sent);
  for (std::string_view way : ways_) services_->metrics->sent_on.At({way}).Add();
  co_return MakeReply(ReplyKind::kAccepted);
}

smtp::Reply Transaction::OnwardFailure(const absl::Status& status) {
  smtp::Reply reply = Failure("send-on", status);
  switch (status.code()) {
    // RFC 3463 §3.7: X.6.0 other or undefined media error. The next server would not take it.
    case absl::StatusCode::kInvalidArgument:
      return {554, "5.6.0", {"The message can not be sent on"}};
    case absl::StatusCode::kOutOfRange:
      return MakeReply(ReplyKind::kSizeExceeded, "More than the queue takes of one message");
    case absl::StatusCode::kResourceExhausted: return MakeReply(ReplyKind::kInsufficientStorage);
    default: return reply;
  }
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

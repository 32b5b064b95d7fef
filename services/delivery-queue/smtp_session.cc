#include "services/delivery-queue/smtp_session.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dsn/dsn.h"
#include "libs/net/connector.h"
#include "libs/store/queue.h"
#include "services/delivery-queue/outcome.h"

namespace godwit::delivery_queue {
namespace {

using smtp::ClientStage;

// For the peer to take our QUIT; to answer it.
constexpr absl::Duration kLinger = absl::Seconds(1);
constexpr absl::Duration kFarewell = absl::Seconds(5);
constexpr absl::Duration kLeastWait = absl::Milliseconds(1);

smtp::TlsUse UseOf(const RouteHost& host, bool in_clear) {
  switch (host.need) {
    case TlsNeed::kInternal: return smtp::TlsUse::kActive;
    case TlsNeed::kOpportunistic:
      return in_clear ? smtp::TlsUse::kNever : smtp::TlsUse::kWhenOffered;
    default: return smtp::TlsUse::kRequired;
  }
}

const char* SessionLabel(TlsNeed need, bool tls) {
  if (!tls) return "none";
  switch (need) {
    case TlsNeed::kInternal: return "internal";
    case TlsNeed::kEncrypt: return "encrypt";
    case TlsNeed::kMtaSts: return "mta-sts";
    case TlsNeed::kDane: return "dane";
    default: return "opportunistic";
  }
}

TlsResult ResultOf(net::PeerVerdict verdict) {
  switch (verdict) {
    case net::PeerVerdict::kExpired: return TlsResult::kExpired;
    case net::PeerVerdict::kHostMismatch: return TlsResult::kHostMismatch;
    case net::PeerVerdict::kNotTrusted: return TlsResult::kNotTrusted;
    case net::PeerVerdict::kNoUsableTlsa: return TlsResult::kTlsaInvalid;
    default: return TlsResult::kValidationFailure;
  }
}

smtp::OriginKind KindOf(store::QueueOrigin origin) {
  switch (origin) {
    case store::QueueOrigin::kSubmission: return smtp::OriginKind::kSubmission;
    case store::QueueOrigin::kDsn: return smtp::OriginKind::kDsn;
    case store::QueueOrigin::kReport: return smtp::OriginKind::kReport;
    default: return smtp::OriginKind::kForward;
  }
}

smtp::Origin OriginOf(const store::QueueEnvelope& envelope) {
  smtp::Origin origin;
  origin.kind = KindOf(envelope.origin);
  origin.account = store::ToInt(envelope.account);
  if (base::IpAddress::Parse(envelope.client_address)) origin.client = envelope.client_address;
  origin.user = envelope.user;
  return origin;
}

smtp::ClientRecipient RecipientOf(const store::DueRecipient& recipient) {
  smtp::ClientRecipient out;
  out.address = {recipient.local_part, recipient.domain};
  out.parameters.notify = NotifyFrom(recipient.notify);
  if (const auto original = dsn::ParseOrcpt(recipient.orcpt)) {
    out.parameters.orcpt_type = original->type;
    out.parameters.orcpt_address = original->address;
  }
  return out;
}

// The server had no more than the envelope to judge by; or may have: BDAT is answered once for
// both.
bool Early(const smtp::TransactionResult& result) {
  return !result.dot_sent || (result.chunks && !result.uncertain);
}

bool IsAsciiEnvelope(const smtp::ClientMessage& message) {
  return message.reverse_path.is_ascii() &&
         std::all_of(message.recipients.begin(), message.recipients.end(),
                     [](const smtp::ClientRecipient& r) { return r.address.is_ascii(); });
}

}  // namespace

SmtpSession::SmtpSession(const ConnectionParts* parts, const RouteHost* host, RouteKind kind)
    : parts_(parts), host_(host), kind_(kind) {}

const char* SmtpSession::LabelOf(ClientStage stage) const {
  switch (stage) {
    case ClientStage::kGreeting:
    case ClientStage::kHello:
    case ClientStage::kAuth: return kAtGreeting;
    case ClientStage::kStartTls: return kAtTls;
    case ClientStage::kMail: return kAtMail;
    case ClientStage::kRcpt: return kAtRcpt;
    default: return kAtData;
  }
}

std::shared_ptr<net::TlsContext> SmtpSession::Context() const {
  switch (host_->need) {
    case TlsNeed::kInternal: return parts_->tls_internal;
    case TlsNeed::kMtaSts: return parts_->tls_name;
    case TlsNeed::kDane: return parts_->tls_dane;
    default: break;
  }
  // Verified, though nothing depends on it but a report, or a message with REQUIRETLS.
  const bool verify = host_->verify_and_report || host_->name_proven;
  return verify ? parts_->tls_name_reported : parts_->tls_unverified;
}

void SmtpSession::SetDeadline(absl::Duration deadline) {
  deadline_ = deadline;
  stream_->set_write_deadline(deadline);
}

base::Task<void> SmtpSession::StartTls() {
  net::TlsPeer peer;
  peer.name = host_->need == TlsNeed::kDane ? host_->tlsa_base : host_->name;
  if (host_->need == TlsNeed::kInternal) peer.name = "smtp-ingress";
  if (!peer.name.empty() && peer.name.front() == '[') peer.name.clear();
  peer.dane = {host_->tlsa, host_->tls_names};
  const absl::Duration timeout =
      std::clamp(deadline_ - Now(), kLeastWait, parts_->settings->handshake_timeout);
  absl::Status started = co_await stream_->StartTlsClient(Context(), std::move(peer), timeout);
  const net::TlsInfo info = stream_->tls_info();
  verdict_ = info.verdict;
  if (started.ok()) {
    // RFC 8689 §4.2.1: a certificate of a host that anybody may have named proves nothing.
    const bool proven = info.verdict == net::PeerVerdict::kVerified && host_->name_proven;
    verified_ = proven || host_->need == TlsNeed::kInternal;
    co_return;
  }
  handshake_error_ = info.verdict_reason.empty() ? base::ToString(started) : info.verdict_reason;
}

base::Task<std::optional<SmtpSession::Problem>> SmtpSession::Connect(net::Endpoint to) {
  const Settings& settings = *parts_->settings;
  net::ConnectOptions options;
  options.to = to;
  options.timeout =
      std::clamp(deadline_ - net::Reactor::Current()->Now(), kLeastWait, settings.connect_timeout);
  if (kind_ != RouteKind::kInternal && !to.address.is_loopback()) {
    options.from = to.address.is_v4() ? settings.source_ipv4 : settings.source_ipv6;
  }
  absl::StatusOr<std::unique_ptr<net::Stream>> stream = co_await net::Connect(std::move(options));
  if (!stream.ok()) {
    Problem problem;
    problem.at = kAtConnect;
    problem.reply = {451,
                     "4.4.1",
                     {"No connection to " + host_->name + " [" + to.address.ToString() +
                      "]: " + std::string(base::Message(stream.status()))}};
    co_return problem;
  }
  stream_ = *std::move(stream);
  stream_->set_write_timeout(settings.write_timeout);
  SetDeadline(deadline_);
  co_return std::nullopt;
}

base::Task<std::optional<SmtpSession::Problem>> SmtpSession::Open(net::Endpoint to, bool in_clear,
                                                                  absl::Duration deadline) {
  deadline_ = deadline;
  std::optional<Problem> problem = co_await Connect(to);
  if (problem) co_return problem;
  smtp::ClientOptions options;
  options.hostname = parts_->settings->hostname;
  options.tls = UseOf(*host_, in_clear);
  if (parts_->settings->data_only && kind_ != RouteKind::kInternal) options.chunk_size = 0;
  if (options.tls == smtp::TlsUse::kActive) {
    co_await StartTls();
    if (!handshake_error_.empty()) {
      Problem failed;
      failed.at = kAtTls;
      failed.reply = {451, "4.7.5", {"TLS with our own server failed: " + handshake_error_}};
      co_return failed;
    }
  }
  smtp_.emplace(std::move(options));
  const Stop stop = co_await Run();
  if (stop != Stop::kReady) problem = ProblemOf(*failure_);
  // RFC 8460 §4.3: what came of TLS was told of the session before.
  if (!in_clear) Report(problem, to.address);
  usable_ = !problem;
  const char* label = usable_ ? SessionLabel(host_->need, smtp_->tls()) : "failed";
  parts_->metrics->sessions.At({label}).Add();
  co_return problem;
}

SmtpSession::Problem SmtpSession::ProblemOf(const smtp::ClientFailure& failure) const {
  Problem problem;
  problem.at = LabelOf(failure.stage);
  if (!handshake_error_.empty()) {
    problem.at = kAtTls;
    problem.handshake = host_->need == TlsNeed::kOpportunistic;
    problem.reply = {451, "4.7.5", {"TLS with " + host_->name + " failed: " + handshake_error_}};
    return problem;
  }
  if (failure.kind == smtp::ClientFailure::Kind::kTlsUnavailable) {
    problem.at = kAtTls;
    problem.reply = {451, "4.7.4", {host_->name + " offers no TLS, which it must"}};
    return problem;
  }
  // Another host, or another time, may do better: also a 5xx here is none of the message's.
  std::string text = host_->name + " could not be spoken to: ";
  text += failure.reply ? ReplyLine(*failure.reply) : failure.what;
  problem.reply = {451, "4.4.2", {std::move(text)}};
  return problem;
}

// RFC 8460: what became of TLS, one word a session.
void SmtpSession::Report(const std::optional<Problem>& problem, base::IpAddress to) {
  if (parts_->policy == nullptr || host_->report.empty()) return;
  const bool tls_failed = !handshake_error_.empty();
  const bool tls = smtp_->tls();
  // Without TLS there is something to tell only when it was not offered or failed.
  if (problem && !tls_failed && problem->at != kAtTls && !tls) return;
  TlsOutcome outcome;
  outcome.host = host_->name;
  outcome.helo = smtp_->features().name;
  outcome.reason = handshake_error_;
  outcome.to = to;
  outcome.from = stream_->local().address;
  TlsResult result = TlsResult::kSuccess;
  if (tls_failed) result = ResultOf(verdict_);
  if (!tls_failed && !tls) result = TlsResult::kStartTlsNotSupported;
  const bool unverified = host_->verify_and_report && verdict_ != net::PeerVerdict::kVerified;
  if (!tls_failed && tls && unverified) result = ResultOf(verdict_);
  outcome.result = static_cast<int>(result);
  // An MTA-STS policy in mode testing that does not name the host.
  const bool would_fail = host_->verify_and_report && host_->unusable_result != 0;
  if (result == TlsResult::kSuccess && would_fail) outcome.result = host_->unusable_result;
  outcome_ = outcome;
  reported_.insert(std::hash<std::string>()(host_->report));
  outcome.report = host_->report;
  parts_->policy->Record(std::move(outcome));
}

void SmtpSession::ReportFor(const Route& route) {
  if (!outcome_) return;
  for (const RouteHost& host : route.hosts) {
    if (host.name != host_->name || host.report.empty()) continue;
    if (!reported_.insert(std::hash<std::string>()(host.report)).second) return;
    TlsOutcome outcome = *outcome_;
    outcome.report = host.report;
    parts_->policy->Record(std::move(outcome));
    return;
  }
}

base::Task<void> SmtpSession::Read() {
  in_ = {};
  input_ = net::Input();  // gives the buffer back while we wait
  const absl::Duration now = Now();
  // RFC 5321 §4.5.3.2: for a reply. Its octets do not prolong it, or a server could hold us for
  // ever with one now and then.
  if (std::exchange(asked_, false) || replies_ != smtp_->replies()) {
    replies_ = smtp_->replies();
    reply_deadline_ =
        now + std::min(absl::Seconds(smtp_->patience()), parts_->settings->reply_timeout);
  }
  const absl::Duration until = std::min(reply_deadline_, deadline_);
  if (now < until) {
    input_ = co_await stream_->Read(until - now);
  } else {
    input_.event = net::Ready::kTimeout;
  }
  if (input_.event == net::Ready::kReadable) in_ = input_.bytes();
  if (input_.event == net::Ready::kTimeout) {
    late_ = true;
    smtp_->OnLost("no reply in time");
  }
  if (input_.event == net::Ready::kClosed) smtp_->OnLost("connection closed");
}

base::Task<SmtpSession::Stop> SmtpSession::Run() {
  for (;;) {
    smtp::ClientAction action = smtp_->Next(&in_);
    if (std::holds_alternative<smtp::NeedInput>(action)) {
      co_await Read();
    } else if (auto* send = std::get_if<smtp::Send>(&action)) {
      absl::Status written = co_await stream_->Write(send->bytes);
      asked_ = true;
      late_ |= absl::IsDeadlineExceeded(written);
      if (!written.ok()) smtp_->OnLost("connection lost");
    } else if (std::holds_alternative<smtp::StartTls>(action)) {
      co_await StartTls();
      if (handshake_error_.empty()) {
        smtp_->OnTlsStarted();
      } else {
        smtp_->OnLost("TLS handshake failed");
      }
    } else if (std::holds_alternative<smtp::Ready>(action)) {
      co_return Stop::kReady;
    } else if (std::holds_alternative<smtp::GiveData>(action)) {
      co_return Stop::kData;
    } else if (std::holds_alternative<smtp::Done>(action)) {
      co_return Stop::kDone;
    } else if (auto* failed = std::get_if<smtp::Failed>(&action)) {
      failure_ = std::move(failed->failure);
      usable_ = false;
      co_await Farewell();
      co_return Stop::kFailed;
    } else {
      usable_ = false;
      if (!failure_) failure_.emplace();
      co_return Stop::kFailed;
    }
  }
}

// RFC 5321 §4.1.1.10: a QUIT, where client and server are in step; nobody waits for its answer.
base::Task<void> SmtpSession::Farewell() {
  smtp::ClientAction action = smtp_->Next(&in_);
  const auto* send = std::get_if<smtp::Send>(&action);
  if (send == nullptr) co_return;
  SetDeadline(Now() + kFarewell);
  (void)co_await stream_->Write(send->bytes);
}

smtp::ClientMessage SmtpSession::MessageOf(const Job& job, std::string_view header) const {
  const store::DueMessage& due = job.attempt->message;
  const store::QueueEnvelope& envelope = due.envelope;
  smtp::ClientMessage message;
  if (!envelope.reverse_path.empty()) {
    message.reverse_path =
        smtp::ParseMailbox(envelope.reverse_path, smtp::kWidePath).value_or(smtp::Address());
  }
  for (size_t i : job.recipients) message.recipients.push_back(RecipientOf(due.recipients[i]));
  smtp::MailParameters& parameters = message.parameters;
  parameters.size = static_cast<uint64_t>(due.size);
  if (envelope.body_8bit) parameters.body = smtp::BodyType::k8BitMime;
  // RFC 6531 §3.3: what is ASCII after all needs no SMTPUTF8.
  parameters.smtputf8 = !IsAsciiEnvelope(message) || (envelope.smtputf8 && !base::IsAscii(header));
  if (envelope.ret == "FULL") parameters.ret = smtp::DsnReturn::kFull;
  if (envelope.ret == "HDRS") parameters.ret = smtp::DsnReturn::kHeaders;
  if (!envelope.envid.empty()) parameters.envid = envelope.envid;
  if (kind_ == RouteKind::kInternal) parameters.origin = OriginOf(envelope);
  // RFC 8689 §4.2.1: our own ingress has to know, too: it may send the message on.
  message.require_tls = envelope.requiretls;
  return message;
}

// Something came, or the end, while nothing was asked. A reply that answers nothing (a second one
// to the last dot) would be taken for that to our next command.
bool SmtpSession::Disturbed() {
  if (!in_.empty()) return true;
  const net::Buffer waste = stream_->reactor()->BorrowBuffer();
  const absl::StatusOr<size_t> got = stream_->ReadSome(waste.data(), net::Buffer::kSize);
  return !got.ok() || *got > 0;
}

base::Task<JobResult> SmtpSession::Deliver(Job* job) {
  found_dead_ = Disturbed();
  if (found_dead_) {
    usable_ = false;
    co_return AllOf(*job, RecipientResult::State::kDeferred,
                    {451, "4.4.2", {"The connection to the next server was lost"}}, kAtMail);
  }
  given_up_.clear();
  SetDeadline(Now() + parts_->settings->transaction_timeout);
  Attempt* const attempt = job->attempt.get();
  absl::StatusOr<std::string> header = attempt->header.value_or("");
  if (!attempt->header) {
    header = co_await parts_->pool->Run(
        [id = attempt->id()](db::Connection& c) { return store::ReadQueueChunk(c, id, 0); });
  }
  if (!header.ok()) {
    co_return AllOf(*job, RecipientResult::State::kDeferred,
                    {451, "4.3.0", {"The message can not be read now"}}, kAtData);
  }
  smtp::ClientMessage message = MessageOf(*job, *header);
  // RFC 8689 §4.2.1: the server must have proven who it is, too; another host may.
  if (message.require_tls && !verified_) {
    JobResult unproven = AllOf(
        *job, RecipientResult::State::kFailed,
        {550, "5.7.30", {"REQUIRETLS is wanted, and the way there does not prove it"}}, kAtMail);
    unproven.elsewhere = true;
    co_return unproven;
  }
  JobResult result = co_await Transact(job, std::move(message), *std::move(header));
  co_return result;
}

base::Task<JobResult> SmtpSession::Transact(Job* job, smtp::ClientMessage message,
                                            std::string header) {
  smtp_->Begin(std::move(message));
  bool header_given = false;
  Stop stop = co_await Run();
  while (stop == Stop::kData) {
    if (!std::exchange(header_given, true)) {
      smtp_->Data(header);
    } else {
      const bool given = co_await GiveBody(job->attempt.get());
      if (!given) break;
    }
    stop = co_await Run();
  }
  if (!given_up_.empty()) {
    // Cut before the dot: nothing is delivered (RFC 5321 §4.1.1.4).
    usable_ = false;
    stream_->Close();
    co_return AllOf(*job, RecipientResult::State::kDeferred, {451, "4.3.0", {given_up_}}, kAtData);
  }
  const smtp::TransactionResult& result = smtp_->result();
  found_dead_ = stop == Stop::kFailed && delivered_jobs_ > 0 && Early(result) && failure_ &&
                !late_ &&
                (failure_->kind == smtp::ClientFailure::Kind::kLost ||
                 (failure_->reply && failure_->reply->code == 421));
  ++delivered_jobs_;
  if (result.uncertain) parts_->metrics->uncertain.Add();
  co_return Collect(*job);
}

base::Task<bool> SmtpSession::GiveBody(Attempt* attempt) {
  const auto size = static_cast<size_t>(attempt->message.size - attempt->message.header_size);
  size_t given = 0;
  for (int32_t seq = 1; given < size; ++seq) {
    if (attempt->body) {
      smtp_->Data(*attempt->body);
      given = size;
    } else {
      absl::StatusOr<std::string> chunk =
          co_await parts_->pool->Run([id = attempt->id(), seq](db::Connection& c) {
            return store::ReadQueueChunk(c, id, seq);
          });
      if (!chunk.ok()) {
        given_up_ = "The message can not be read now";
        co_return false;
      }
      given += chunk->size();
      smtp_->Data(*chunk);
    }
    const Stop stop = co_await Run();
    // Lost, or the message has a bare CR or LF: the result is settled.
    if (stop != Stop::kData) co_return false;
  }
  if (!parts_->owner->MayFinish(*attempt)) {
    parts_->metrics->lease_too_short.Add();
    given_up_ = "Our lease on the message is over";
    co_return false;
  }
  smtp_->EndData();
  co_return true;
}

JobResult SmtpSession::Collect(const Job& job) const {
  const smtp::TransactionResult& from = smtp_->result();
  JobResult result;
  result.uncertain = from.uncertain;
  result.elsewhere =
      Early(from) &&
      (from.objection || std::all_of(from.recipients.begin(), from.recipients.end(),
                                     [](const auto& each) { return each.temporary(); }));
  for (size_t i = 0; i < job.recipients.size(); ++i) {
    const smtp::RecipientOutcome& outcome = from.recipients[i];
    RecipientResult one;
    one.recipient = job.recipients[i];
    one.reply = outcome.reply;
    one.ours = outcome.ours;
    one.host = host_->name;
    one.at = LabelOf(outcome.stage);
    one.state = RecipientResult::State::kDeferred;
    if (outcome.state == smtp::RecipientOutcome::State::kDelivered) {
      one.state = RecipientResult::State::kDelivered;
      one.dsn_taken = smtp_->features().dsn;
    } else if (outcome.state == smtp::RecipientOutcome::State::kRefused && !outcome.temporary()) {
      one.state = RecipientResult::State::kFailed;
    }
    result.recipients.push_back(std::move(one));
  }
  return result;
}

base::Task<void> SmtpSession::Quit() {
  if (stream_ == nullptr) co_return;
  if (usable_) {
    SetDeadline(Now() + kFarewell);
    smtp_->Quit();
    (void)co_await Run();
  }
  usable_ = false;
  in_ = {};
  input_ = net::Input();
  co_await stream_->Shutdown(kLinger);
}

}  // namespace godwit::delivery_queue

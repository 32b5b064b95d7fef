#include "libs/smtp/client.h"

#include <algorithm>
#include <utility>

#include "libs/base/check.h"
#include "libs/base/encoding.h"

namespace godwit::smtp {

std::string_view ClientStageName(ClientStage stage) {
  switch (stage) {
    case ClientStage::kGreeting: return "greeting";
    case ClientStage::kHello: return "EHLO";
    case ClientStage::kStartTls: return "STARTTLS";
    case ClientStage::kAuth: return "AUTH";
    case ClientStage::kMail: return "MAIL FROM";
    case ClientStage::kRcpt: return "RCPT TO";
    case ClientStage::kData: return "DATA";
    case ClientStage::kMessage: return "end of data";
    case ClientStage::kQuit: return "QUIT";
  }
  return "";
}

ClientStage ClientSession::StageOf(Command command) {
  switch (command) {
    case Command::kGreeting: return ClientStage::kGreeting;
    case Command::kEhlo:
    case Command::kHelo: return ClientStage::kHello;
    case Command::kStartTls: return ClientStage::kStartTls;
    case Command::kAuth: return ClientStage::kAuth;
    case Command::kRset:
    case Command::kMail: return ClientStage::kMail;
    case Command::kRcpt: return ClientStage::kRcpt;
    case Command::kData: return ClientStage::kData;
    case Command::kChunk:
    case Command::kMessage:
    case Command::kEmptyMessage: return ClientStage::kMessage;
    case Command::kQuit: return ClientStage::kQuit;
  }
  return ClientStage::kQuit;
}

ClientSession::ClientSession(ClientOptions options)
    : options_(std::move(options)), parser_(options_.reply), tls_(options_.tls == TlsUse::kActive) {
  expected_.push_back({Command::kGreeting});
}

ClientStage ClientSession::stage() const {
  return expected_.empty() ? last_stage_ : StageOf(expected_.front().command);
}

int ClientSession::patience() const {
  // RFC 5321 §4.5.3.2.4 to .6: 2 minutes for DATA, 3 for a block of data, 10 for the final dot.
  if (state_ == State::kData) return 180;
  if (state_ == State::kEnd) return 600;
  if (stage() == ClientStage::kData) return 120;
  // Nothing depends on the answer any more.
  if (state_ == State::kQuit) return 5;
  return 300;
}

// --- The driver's side

ClientAction ClientSession::Next(std::string_view* in) {
  for (;;) {
    if (failure_) return Failed{*std::exchange(failure_, std::nullopt)};
    if (std::exchange(done_, false)) return Done{};
    if (!output_.empty()) return Flush();
    if (state_ == State::kClosed) return Close{};
    if (start_tls_) return StartTls{};
    if (!in->empty() || (!expected_.empty() && !MayGiveMore())) {
      if (!TakeReply(in)) return NeedInput{};
      continue;
    }
    if (state_ == State::kData) return GiveData{};
    GODWIT_CHECK(state_ == State::kReady);
    return Ready{};
  }
}

ClientAction ClientSession::Flush() {
  sending_.swap(output_);
  output_.clear();
  return Send{sending_};
}

void ClientSession::OnTlsStarted() {
  GODWIT_CHECK(start_tls_);
  start_tls_ = false;
  tls_ = true;
  // RFC 3207 §4.2: what was said before is forgotten.
  features_ = {};
  parser_ = ReplyParser(options_.reply);
  SayHello(Command::kEhlo);
}

void ClientSession::Begin(ClientMessage message) {
  GODWIT_CHECK(state_ == State::kReady || state_ == State::kClosed);
  message_ = std::move(message);
  result_ = {};
  result_.recipients.resize(message_.recipients.size());
  data_ = DataWriter(/*dots=*/!UsesChunks());
  chunk_.clear();
  chunk_refused_ = false;
  next_recipient_ = 0;
  mail_said_ = data_said_ = mail_accepted_ = false;
  if (state_ == State::kClosed) {
    Settle({451, "4.4.2", {"The connection is closed"}}, ClientStage::kMail, true);
    return;
  }
  if (const auto objection = Objection(message_, features_, tls_)) {
    Settle(*objection, ClientStage::kMail, true);
    result_.objection = true;
  }
  for (size_t i = 0; i < message_.recipients.size(); ++i) {
    if (result_.recipients[i].state != RecipientOutcome::State::kPending) continue;
    const auto objection = Objection(message_.recipients[i], message_);
    if (objection) RefuseRecipient(i, *objection, ClientStage::kRcpt, true);
  }
  const bool any =
      std::any_of(result_.recipients.begin(), result_.recipients.end(),
                  [](const auto& each) { return each.state == RecipientOutcome::State::kPending; });
  if (!any) {
    done_ = true;
    return;
  }
  state_ = State::kEnvelope;
  FillGroup();
}

void ClientSession::Quit() {
  if (state_ != State::kReady) return;
  state_ = State::kQuit;
  Say(Command::kQuit, "QUIT\r\n");
}

void ClientSession::Data(std::string_view chunk) {
  if (state_ == State::kClosed) return;
  GODWIT_CHECK(state_ == State::kData);
  if (!data_.Write(chunk, UsesChunks() ? &chunk_ : &output_)) {
    Fail(ClientFailure::Kind::kBadMessage, std::nullopt, "bare CR or LF in the message");
    return;
  }
  if (UsesChunks() && chunk_.size() >= options_.chunk_size) SayChunk(/*last=*/false);
}

void ClientSession::EndData() {
  if (state_ == State::kClosed) return;
  GODWIT_CHECK(state_ == State::kData);
  if (!data_.End(UsesChunks() ? &chunk_ : &output_)) {
    Fail(ClientFailure::Kind::kBadMessage, std::nullopt, "bare CR in the message");
    return;
  }
  state_ = State::kEnd;
  result_.dot_sent = true;
  result_.chunks = UsesChunks();
  if (UsesChunks()) return SayChunk(/*last=*/true);
  expected_.push_back({Command::kMessage});
}

void ClientSession::OnLost(std::string_view what) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kQuit) {
    state_ = State::kClosed;
    output_.clear();
    return;
  }
  last_stage_ = stage();
  Fail(ClientFailure::Kind::kLost, std::nullopt, what);
}

// --- Replies

// False when it needs more bytes.
bool ClientSession::TakeReply(std::string_view* in) {
  if (expected_.empty()) uninvited_ = true;
  ReplyParser::Result result = parser_.Next(in);
  if (std::holds_alternative<NeedMore>(result)) return false;
  ++replies_;
  last_stage_ = stage();
  if (auto* malformed = std::get_if<MalformedReply>(&result)) {
    Fail(ClientFailure::Kind::kProtocol, std::nullopt, malformed->what);
    return true;
  }
  const Reply& reply = std::get<Reply>(result);
  if (state_ == State::kQuit) {
    state_ = State::kClosed;
    return true;
  }
  // RFC 5321 §3.8: the server may say 421 to any command, and before one, and closes.
  if (reply.code == 421) {
    Fail(ClientFailure::Kind::kRefused, reply, "the server ends the session");
    return true;
  }
  if (uninvited_) {
    TakeUninvited(reply);
    return true;
  }
  const Expected expected = expected_.front();
  expected_.pop_front();
  Handle(expected, reply, *in);
  return true;
}

void ClientSession::TakeUninvited(const Reply& reply) {
  // A server that has enough before the dot. There is no way to go on but a new connection.
  if (state_ == State::kData && reply.code >= 400) {
    Fail(ClientFailure::Kind::kRefused, reply, "refused in the middle of the message");
    return;
  }
  Fail(ClientFailure::Kind::kProtocol, std::nullopt, "a reply that answers nothing");
}

void ClientSession::Handle(const Expected& expected, const Reply& reply, std::string_view rest) {
  // RFC 5321 §4.2.1: only DATA (and here nothing else) has an intermediate answer, and only that.
  const bool intermediate = reply.code / 100 == 3;
  const bool data = expected.command == Command::kData;
  if (intermediate != data && !(data && reply.code >= 400)) return Impossible(reply);
  switch (expected.command) {
    case Command::kGreeting: return OnGreeting(reply);
    case Command::kEhlo: return OnEhlo(reply);
    case Command::kHelo: return OnHelo(reply);
    case Command::kStartTls: return OnStartTls(reply, rest);
    case Command::kAuth: return OnAuth(reply);
    case Command::kRset: break;  // a server that can't even do this says so again to MAIL
    case Command::kMail: OnMail(reply); break;
    case Command::kRcpt: OnRcpt(expected.recipient, reply); break;
    case Command::kData: OnDataReply(reply); break;
    case Command::kChunk: return OnChunk(reply);
    case Command::kMessage:
    case Command::kEmptyMessage: return OnMessage(reply);
    case Command::kQuit: return;
  }
  Continue();
}

void ClientSession::OnGreeting(const Reply& reply) {
  if (reply.positive()) return SayHello(Command::kEhlo);
  Fail(ClientFailure::Kind::kRefused, reply, "refused at the greeting");
}

void ClientSession::OnEhlo(const Reply& reply) {
  if (reply.positive()) {
    features_ = ReadFeatures(reply);
    return AfterHello();
  }
  // RFC 5321 §3.2: a server that does not know EHLO gets HELO.
  if (reply.permanent()) return SayHello(Command::kHelo);
  Fail(ClientFailure::Kind::kRefused, reply, "refused at EHLO");
}

void ClientSession::OnHelo(const Reply& reply) {
  if (!reply.positive()) return Fail(ClientFailure::Kind::kRefused, reply, "refused at HELO");
  const std::string name = ReadFeatures(reply).name;
  features_ = {};
  features_.name = name;
  AfterHello();
}

bool ClientSession::WantsStartTls() const {
  const bool wanted = options_.tls == TlsUse::kWhenOffered || options_.tls == TlsUse::kRequired;
  return wanted && !tls_ && features_.start_tls && !start_tls_refusal_;
}

void ClientSession::AfterHello() {
  if (WantsStartTls()) return Say(Command::kStartTls, "STARTTLS\r\n");
  if (options_.tls == TlsUse::kRequired && !tls_) {
    last_stage_ = ClientStage::kStartTls;
    return Fail(ClientFailure::Kind::kTlsUnavailable, std::nullopt, "STARTTLS is not offered");
  }
  if (!options_.user.empty()) return Authenticate();
  state_ = State::kReady;
}

void ClientSession::OnStartTls(const Reply& reply, std::string_view rest) {
  if (reply.positive()) {
    // RFC 3207 §4.2, the client's side: text that was put behind the 220 before the encryption must
    // not be taken for the server's.
    if (!rest.empty()) {
      return Fail(ClientFailure::Kind::kProtocol, std::nullopt, "text behind STARTTLS's 220");
    }
    start_tls_ = true;
    return;
  }
  if (options_.tls == TlsUse::kRequired) {
    return Fail(ClientFailure::Kind::kTlsUnavailable, reply, "STARTTLS is refused");
  }
  start_tls_refusal_ = reply;
  AfterHello();
}

void ClientSession::Authenticate() {
  last_stage_ = ClientStage::kAuth;
  if (!tls_) {
    return Fail(ClientFailure::Kind::kAuth, std::nullopt, "no password is sent without TLS");
  }
  if (!features_.Authenticates("PLAIN")) {
    return Fail(ClientFailure::Kind::kAuth, std::nullopt, "AUTH PLAIN is not offered");
  }
  // RFC 4616 §2: no authorization identity, name, password.
  std::string plain = '\0' + options_.user + '\0';
  plain += options_.password.Reveal();
  Say(Command::kAuth, "AUTH PLAIN " + base::Base64Encode(plain) + "\r\n");
}

void ClientSession::OnAuth(const Reply& reply) {
  if (!reply.positive()) return Fail(ClientFailure::Kind::kAuth, reply, "authentication refused");
  state_ = State::kReady;
}

void ClientSession::OnMail(const Reply& reply) {
  mail_accepted_ = reply.positive();
  if (!mail_accepted_) Settle(reply, ClientStage::kMail, false);
}

void ClientSession::OnRcpt(size_t recipient, const Reply& reply) {
  RecipientOutcome& outcome = result_.recipients[recipient];
  if (outcome.state != RecipientOutcome::State::kPending) return;  // MAIL was refused
  if (reply.positive()) {
    outcome.state = RecipientOutcome::State::kAccepted;
    outcome.stage = ClientStage::kRcpt;
    return;
  }
  Reply judged = reply;
  // RFC 5321 §4.5.3.1.10: 552 for "too many recipients" is an old way to say 452.
  if (reply.code == 552 && reply.enhanced == "5.5.3") {
    judged.code = 452;
    judged.enhanced = "4.5.3";
  }
  RefuseRecipient(recipient, judged, ClientStage::kRcpt, false);
}

void ClientSession::OnDataReply(const Reply& reply) {
  if (reply.code >= 400) return Settle(reply, ClientStage::kData, false);
  if (AnyAccepted()) {
    state_ = State::kData;
    last_stage_ = ClientStage::kMessage;
    return;
  }
  // A message without a sender: whatever the server thinks it is, it must not have it.
  if (!mail_accepted_) return Impossible(reply);
  // RFC 2920 §3.1: DATA went out with the RCPTs, all were refused, and the server wants data.
  state_ = State::kEnd;
  Say(Command::kEmptyMessage, ".\r\n");
}

// RFC 3030 §2: what follows a chunk that is refused is refused, too, and forgotten with RSET.
void ClientSession::OnChunk(const Reply& reply) {
  if (!reply.positive()) {
    Settle(reply, ClientStage::kMessage, false);
    chunk_refused_ = true;
  }
  if (chunk_refused_ && expected_.empty()) FinishTransaction();
}

void ClientSession::OnMessage(const Reply& reply) {
  // RFC 5321 §4.1.1.4: the transaction is over, whatever the reply; not so where a chunk before the
  // last was refused, and the last was on its way.
  mail_accepted_ = chunk_refused_;
  for (RecipientOutcome& each : result_.recipients) {
    if (!reply.positive() || each.state != RecipientOutcome::State::kAccepted) continue;
    each.state = RecipientOutcome::State::kDelivered;
    each.stage = ClientStage::kMessage;
    each.reply = reply;
  }
  if (!reply.positive()) Settle(reply, ClientStage::kMessage, false);
  FinishTransaction();
}

void ClientSession::Impossible(const Reply& reply) {
  Fail(ClientFailure::Kind::kProtocol, std::nullopt,
       "a reply of an impossible class: " + std::to_string(reply.code));
}

// --- What is said

void ClientSession::Say(Command command, std::string_view line, size_t recipient) {
  output_ += line;
  expected_.push_back({command, recipient});
}

void ClientSession::SayHello(Command command) {
  Say(command, (command == Command::kEhlo ? "EHLO " : "HELO ") + options_.hostname + "\r\n");
}

// After a reply inside of an envelope: the next group, or the end.
void ClientSession::Continue() {
  if (state_ != State::kEnvelope || !expected_.empty()) return;
  FillGroup();
  if (expected_.empty() && state_ == State::kEnvelope) FinishTransaction();
}

void ClientSession::FillGroup() {
  constexpr size_t kGroup = 4096;
  while (SayNext()) {
    if (!features_.pipelining || output_.size() >= kGroup) return;
  }
}

// False when the group ends here.
bool ClientSession::SayNext() {
  if (std::exchange(needs_reset_, false)) {
    Say(Command::kRset, "RSET\r\n");
    return true;
  }
  if (!std::exchange(mail_said_, true)) {
    Say(Command::kMail, MailCommand(message_, features_));
    return true;
  }
  if (data_said_) return false;
  for (; next_recipient_ < message_.recipients.size(); ++next_recipient_) {
    if (result_.recipients[next_recipient_].state != RecipientOutcome::State::kPending) continue;
    Say(Command::kRcpt, RcptCommand(message_.recipients[next_recipient_], features_),
        next_recipient_);
    ++next_recipient_;
    return true;
  }
  if (UsesChunks()) {
    // Nothing is asked for leave: who takes the message has to be known before.
    if (!expected_.empty() || !AnyAccepted()) return false;
    state_ = State::kData;
    last_stage_ = ClientStage::kMessage;
    return false;
  }
  // All answers are there, and nobody is left; else DATA goes along with the RCPTs.
  if (expected_.empty() && !AnyAccepted()) return false;
  data_said_ = true;
  Say(Command::kData, "DATA\r\n");
  return false;
}

void ClientSession::SayChunk(bool last) {
  output_ += "BDAT " + std::to_string(chunk_.size()) + (last ? " LAST\r\n" : "\r\n");
  Say(last ? Command::kMessage : Command::kChunk, chunk_);
  chunk_.clear();
}

// Whether the driver may go on while replies to chunks are due.
bool ClientSession::MayGiveMore() const {
  constexpr size_t kMostWaiting = 4;
  return state_ == State::kData && features_.pipelining && !chunk_refused_ &&
         expected_.size() < kMostWaiting;
}

// --- Ends

void ClientSession::FinishTransaction() {
  needs_reset_ = mail_accepted_;
  state_ = State::kReady;
  done_ = true;
}

bool ClientSession::AnyAccepted() const {
  return std::any_of(result_.recipients.begin(), result_.recipients.end(), [](const auto& each) {
    return each.state == RecipientOutcome::State::kAccepted;
  });
}

void ClientSession::RefuseRecipient(size_t recipient, const Reply& reply, ClientStage stage,
                                    bool ours) {
  result_.recipients[recipient] = {RecipientOutcome::State::kRefused, stage, reply, ours};
}

void ClientSession::Settle(const Reply& reply, ClientStage stage, bool ours) {
  for (size_t i = 0; i < result_.recipients.size(); ++i) {
    const auto state = result_.recipients[i].state;
    if (state == RecipientOutcome::State::kPending || state == RecipientOutcome::State::kAccepted) {
      RefuseRecipient(i, reply, stage, ours);
    }
  }
}

namespace {

Reply OwnReply(ClientFailure::Kind kind) {
  switch (kind) {
    case ClientFailure::Kind::kBadMessage:
      return {554, "5.6.0", {"The message has a bare carriage return or line feed"}};
    case ClientFailure::Kind::kProtocol:
      return {451, "4.5.0", {"The next server does not speak SMTP properly"}};
    default: return {451, "4.4.2", {"The connection to the next server was lost"}};
  }
}

}  // namespace

void ClientSession::Fail(ClientFailure::Kind kind, std::optional<Reply> reply,
                         std::string_view what) {
  const ClientStage where = last_stage_;
  result_.uncertain = result_.dot_sent && state_ == State::kEnd && !reply && AnyAccepted();
  if (state_ == State::kEnvelope || state_ == State::kData || state_ == State::kEnd) {
    Settle(reply ? *reply : OwnReply(kind), where, !reply);
  }
  // Where both are in step a QUIT is due (RFC 5321 §4.1.1.10); a 421 is the end by itself.
  const bool in_step = state_ == State::kSetUp && kind != ClientFailure::Kind::kProtocol &&
                       kind != ClientFailure::Kind::kLost && !(reply && reply->code == 421);
  failure_ = ClientFailure{kind, where, std::move(reply), std::string(what)};
  state_ = State::kClosed;
  start_tls_ = false;
  done_ = false;
  expected_.clear();
  output_ = in_step ? "QUIT\r\n" : "";
}

}  // namespace godwit::smtp

#include "libs/smtpd/connection.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"

namespace godwit::smtpd {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

// Octets of data that are collected before they are sent on; a read is at most 16 KiB.
constexpr size_t kFlushAt = 32 * 1024;
// For the peer to take our last reply and close.
constexpr absl::Duration kLinger = absl::Seconds(2);
// A pause is cut into pieces, so that a drain ends it.
constexpr absl::Duration kPauseStep = absl::Seconds(1);
// Octets that are copied to give a buffer back.
constexpr size_t kKeptInput = 1024;
// Letters of a connection's id: 60 bits, so that no two transactions ever share theirs.
constexpr size_t kIdSize = 12;

smtp::ServerOptions OptionsFor(const Profile& profile, const std::string& id) {
  smtp::ServerOptions options = profile.smtp();
  options.id = id;
  options.tls = profile.implicit_tls;
  if (profile.tls != nullptr && !profile.implicit_tls) {
    options.extensions.Add(smtp::Extension::kStartTls);
  }
  return options;
}

}  // namespace

base::Task<void> Connection::Serve(std::unique_ptr<net::Stream> stream, Front* front,
                                   const Profile* profile) {
  Connection connection(std::move(stream), front, profile);
  co_await connection.Run();
}

Connection::Connection(std::unique_ptr<net::Stream> stream, Front* front, const Profile* profile)
    : stream_(std::move(stream)),
      front_(front),
      options_(front->options()),
      profile_(profile),
      id_(options_.random->Token(kIdSize)),
      client_(stream_->peer().address),
      room_(front_->Enter()),
      smtp_(OptionsFor(*profile, id_)),
      handler_(profile->new_handler()) {
  const absl::Duration now = options_.clock->Monotonic();
  session_end_ = now + options_.session_total;
  login_end_ = now + options_.before_login;
  stream_->set_write_timeout(options_.write_timeout);
}

Connection::~Connection() { front_->Leave(); }

base::Task<void> Connection::Run() {
  if (room_) {
    const bool wanted = co_await AdmitClient();
    if (!wanted) co_return;
  } else {
    smtp_.Refuse(MakeReply(ReplyKind::kTooManyConnections));
  }
  options_.connections->At({room_ ? "accepted" : "refused"}).Add();
  absl::Status admitted = co_await Admit();
  if (!admitted.ok()) {
    obs::Log(obs::Level::kInfo, "client not admitted",
             {{"session", id_}, {"client", stream_->peer().ToString()}, {"status", admitted}});
    co_return;
  }
  bool open = true;
  while (open) {
    smtp::Action action = smtp_.Next(&in_);
    if (!std::holds_alternative<smtp::NeedInput>(action)) between_commands_ = true;
    open = co_await Carry(std::move(action));
  }
  NoteEnd();
  co_await EndTransaction();
  in_ = {};
  input_ = net::Input();
  co_await stream_->Shutdown(kLinger);
}

// Whoever hammers at the door costs us next to nothing: no handshake, and no waiting for the end.
base::Task<bool> Connection::AdmitClient() {
  if (profile_->clients == nullptr) co_return true;
  admission_ = profile_->clients->Admit(client_);
  if (admission_.refused_by.empty()) co_return true;
  options_.connections->At({"refused"}).Add();
  options_.limited->At({admission_.refused_by}).Add();
  const smtp::Reply reply = MakeReply(ReplyKind::kTooManyConnections);
  handler_->NoteRefusal(Facts(), reply, admission_.refused_by);
  if (!profile_->implicit_tls) {
    std::string bytes = smtp::Write(WithId(reply, id_));
    (void)co_await Write(bytes);
  }
  co_return false;
}

// What the session itself refused; Transactions have told of theirs. A connection that idles until
// we end it is no refusal, nor is our own end.
void Connection::NoteEnd() {
  const std::string_view cut = smtp_.cut();
  const bool refused = cut == "refused";  // counted where it came
  if (!cut.empty() && cut != "drain" && !refused) options_.cuts->At({cut}).Add();
  if (smtp_.refusal()) {
    handler_->NoteRefusal(Facts(), *smtp_.refusal(), cut);
  } else if (!cut.empty() && cut != "drain" && cut != "command-time") {
    handler_->NoteRefusal(Facts(), MakeReply(ReplyKind::kTimeout), cut);
  }
}

base::Task<absl::Status> Connection::Admit() {
  absl::Status status;
  if (profile_->implicit_tls) status = co_await Handshake();
  if (status.ok()) status = handler_->Admit(*stream_);
  co_return status;
}

base::Task<bool> Connection::Carry(smtp::Action action) {
  bool open = true;
  if (std::holds_alternative<smtp::NeedInput>(action)) {
    open = co_await ReadMore();
  } else if (auto* send = std::get_if<smtp::Send>(&action)) {
    co_await Pace();
    open = co_await Write(send->bytes);
  } else if (std::holds_alternative<smtp::StartTls>(action)) {
    open = co_await StartTls();
  } else if (std::holds_alternative<smtp::Close>(action)) {
    open = false;
  } else if (auto* check = std::get_if<smtp::CheckAuth>(&action)) {
    smtp::AuthAnswer answer = co_await handler_->Authenticate(Facts(), std::move(*check));
    smtp_.OnAuthAnswer(answer);
  } else if (auto* response = std::get_if<smtp::AuthResponse>(&action)) {
    smtp::AuthAnswer answer = co_await handler_->Continue(Facts(), std::move(*response));
    smtp_.OnAuthAnswer(answer);
  } else {
    co_await CarryMail(std::move(action));
  }
  co_return open;
}

base::Task<void> Connection::CarryMail(smtp::Action action) {
  if (auto* mail = std::get_if<smtp::CheckMailFrom>(&action)) {
    co_await BeginTransaction(std::move(*mail));
  } else if (auto* rcpt = std::get_if<smtp::CheckRcpt>(&action)) {
    smtp::Reply reply = co_await transaction_->AddRecipient(std::move(*rcpt));
    smtp_.OnReply(reply);
  } else if (std::holds_alternative<smtp::BeginData>(action)) {
    co_await BeginData();
  } else if (auto* chunk = std::get_if<smtp::DataChunk>(&action)) {
    co_await TakeChunk(chunk->bytes);
  } else if (std::holds_alternative<smtp::AbandonData>(action)) {
    co_await EndTransaction();
  } else if (auto* end = std::get_if<smtp::EndData>(&action)) {
    smtp::Reply reply = co_await transaction_->EndData(std::move(*end));
    transaction_.reset();
    smtp_.OnReply(reply);
  }
}

base::Task<void> Connection::BeginTransaction(smtp::CheckMailFrom mail) {
  co_await EndTransaction();
  std::string id = id_ + "." + std::to_string(++transactions_);
  transaction_ = handler_->NewTransaction(Facts(), std::move(mail), std::move(id));
  smtp::Reply reply = co_await transaction_->Begin();
  if (!reply.positive()) transaction_.reset();
  smtp_.OnReply(reply);
}

base::Task<void> Connection::BeginData() {
  data_end_ = options_.clock->Monotonic() + options_.data_total;
  smtp::Reply reply = co_await transaction_->BeginData();
  if (reply.code != 354) co_await EndTransaction();
  smtp_.OnReply(reply);
}

// A transaction that the client gave up.
base::Task<void> Connection::EndTransaction() {
  if (transaction_ == nullptr) co_return;
  co_await transaction_->Abandon();
  transaction_.reset();
}

base::Task<void> Connection::TakeChunk(std::string_view bytes) {
  transaction_->Append(bytes);
  if (transaction_->pending() >= kFlushAt) co_await transaction_->Flush();
}

ClientFacts Connection::Facts() const {
  ClientFacts facts;
  facts.session = id_;
  facts.address = client_;
  facts.greeting_name = smtp_.greeting_name();
  facts.with.esmtp = smtp_.esmtp();
  facts.with.tls = smtp_.tls();
  facts.with.auth = smtp_.authenticated();
  if (stream_->is_tls()) {
    const net::TlsInfo info = stream_->tls_info();
    facts.tls = info.version + " " + info.cipher;
    if (!info.group.empty()) facts.tls += " " + info.group;
  }
  return facts;
}

absl::Duration Connection::NextTimeout() const {
  const absl::Duration now = options_.clock->Monotonic();
  const bool data = smtp_.in_data();
  const absl::Duration patience = data ? now + options_.data_block_timeout : command_end_;
  // Between two chunks the message's time runs on.
  return std::min(patience, smtp_.in_message() ? data_end_ : SessionEnd()) - now;
}

absl::Duration Connection::SessionEnd() const {
  return smtp_.authenticated() ? session_end_ : std::min(session_end_, login_end_);
}

std::string_view Connection::TimedOut() const {
  const absl::Duration now = options_.clock->Monotonic();
  if (smtp_.in_message()) {
    if (now >= data_end_) return "data-time";
  } else if (now >= SessionEnd()) {
    return now >= session_end_ ? "session-time" : "login-time";
  }
  return smtp_.in_data() ? "data-silence" : "command-time";
}

base::Task<bool> Connection::ReadMore() {
  in_ = {};
  rest_ = {};
  input_ = net::Input();  // gives the buffer back while we wait
  const bool cut = front_->cutting() && !smtp_.in_data();
  if (cut || (front_->draining() && smtp_.idle())) {
    smtp_.End(MakeReply(ReplyKind::kShuttingDown), "drain");
    co_return true;
  }
  if (std::exchange(between_commands_, false)) {
    command_end_ = options_.clock->Monotonic() + options_.command_timeout;
  }
  const absl::Duration timeout = NextTimeout();
  if (timeout <= absl::ZeroDuration()) {
    smtp_.End(MakeReply(ReplyKind::kTimeout), TimedOut());
    co_return true;
  }
  input_ = co_await stream_->Read(timeout);
  if (input_.event == net::Ready::kClosed) co_return false;
  if (input_.event == net::Ready::kReadable) in_ = input_.bytes();
  if (input_.event == net::Ready::kTimeout) smtp_.End(MakeReply(ReplyKind::kTimeout), TimedOut());
  co_return true;
}

base::Task<void> Connection::Pace() {
  const int fresh = smtp_.faults() - std::exchange(faults_answered_, smtp_.faults());
  if (fresh == 0 || profile_->clients == nullptr) co_return;
  if (profile_->clients->IsExempt(client_)) co_return;
  absl::Duration left = profile_->clients->Delay(smtp_.faults(), fresh);
  if (left <= absl::ZeroDuration()) co_return;
  options_.slowed->Add();
  ReleaseInput();
  while (left > absl::ZeroDuration() && !front_->draining()) {
    const absl::Duration step = std::min(left, kPauseStep);
    const bool running = co_await stream_->reactor()->Sleep(step);
    if (!running) co_return;
    left -= step;
  }
}

// A buffer is 16 KiB; what a client sends before it has our reply is mostly a line or two.
void Connection::ReleaseInput() {
  if (in_.size() > kKeptInput) return;
  std::string rest(in_);
  input_ = net::Input();
  rest_ = std::move(rest);
  in_ = rest_;
}

base::Task<bool> Connection::Write(std::string_view bytes) {
  absl::Status written = co_await stream_->Write(bytes);
  co_return written.ok();
}

base::Task<absl::Status> Connection::Handshake() {
  absl::Status status = co_await stream_->StartTlsServer(profile_->tls, options_.handshake_timeout);
  options_.handshakes->At({status.ok() ? "ok" : "failed"}).Add();
  co_return status;
}

base::Task<bool> Connection::StartTls() {
  co_await EndTransaction();
  absl::Status started = co_await Handshake();
  if (!started.ok()) {
    obs::Log(obs::Level::kInfo, "tls handshake failed",
             {{"session", id_}, {"client", stream_->peer().ToString()}, {"status", started}});
    co_return false;
  }
  smtp_.OnTlsStarted();
  co_return true;
}

}  // namespace godwit::smtpd

#include "services/imap-gateway/session.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/append.h"

namespace godwit::imap_gateway {
namespace {

// Responses are gathered up to this much before they are written.
constexpr size_t kFlushAt = 32 * 1024;
// What an empty output buffer may keep while the session waits.
constexpr size_t kKeptOutput = 256;
constexpr absl::Duration kLinger = absl::Seconds(2);
constexpr absl::Duration kLeastWait = absl::Milliseconds(1);
// What the store could not tell an idling session is asked again after 1, 2, 4 ... 64 seconds.
constexpr absl::Duration kSyncRetry = absl::Seconds(1);
constexpr int kMaxDoublings = 6;
// Whose login is good no more is told so this often (a moment apart) before he is cut off.
constexpr int kLockedOutPatience = 2;
// A session computes for this long at a time.
constexpr absl::Duration kSlice = absl::Milliseconds(5);

using imap::Verb;

// RFC 9051 §7.1: EXPUNGE must not be sent during FETCH, STORE and SEARCH by sequence number.
bool KeepsSequenceNumbers(const imap::Command& command) {
  switch (command.verb) {
    case Verb::kFetch: return !command.As<imap::FetchArguments>().uid;
    case Verb::kStore: return !command.As<imap::StoreArguments>().uid;
    case Verb::kSearch: return !command.As<imap::SearchArguments>().uid;
    default: return false;
  }
}

bool AsksForNews(Verb verb) {
  return verb == Verb::kNoop || verb == Verb::kCheck || verb == Verb::kExpunge ||
         verb == Verb::kMove;
}

}  // namespace

Session::Session(std::unique_ptr<net::Stream> stream, Environment* environment, bool implicit_tls)
    : stream_(std::move(stream)),
      env_(environment),
      handle_(std::make_shared<hint::SessionHandle>(stream_->reactor(), this)),
      parser_(environment->settings.limits_before_login),
      began_(environment->clock->Monotonic()),
      heard_(began_),
      implicit_tls_(implicit_tls) {
  stream_->set_write_timeout(env_->settings.write_timeout);
  env_->registry->Add(handle_);
  env_->metrics->sessions.Add(1);
}

Session::~Session() {
  handle_->session = nullptr;
  if (idling_) env_->metrics->idling.Add(-1);
  LeaveAccount();
  env_->registry->Remove(handle_);
  env_->metrics->sessions.Add(-1);
}

void Session::OnChange() { stream_->Wake(); }

void Session::OnDrain() {
  draining_ = true;
  // Nobody can be told BYE yet, and a handshake waits for its client alone.
  if (handshaking_) stream_->Close();
  stream_->Wake();
}

void Session::OnLockedOut() {
  // What is in progress may take long, or its client takes nothing.
  if (++locked_out_ > kLockedOutPatience) {
    if (!closing_) env_->metrics->byes.At({"locked"}).Add();
    closing_ = true;
    stream_->Close();
  }
  stream_->Wake();
}

base::Task<void> Session::Run() {
  absl::Status opened = co_await Open();
  if (opened.ok()) co_await Loop();
  if (append_ != nullptr) co_await AbandonAppend();
  co_await Flush();
  co_await stream_->Shutdown(kLinger);
}

base::Task<absl::Status> Session::Open() {
  trace_ = env_->random->Token(10);
  if (implicit_tls_) {
    absl::Status status = co_await Handshake();
    if (!status.ok()) co_return status;
  }
  imap::AppendUntagged(&out_, "OK", "CAPABILITY " + Capabilities(),
                       env_->settings.hostname + " Godwit ready");
  co_return absl::OkStatus();
}

base::Task<absl::Status> Session::Handshake() {
  if (draining_) co_return base::Cancelled("the server shuts down");
  handshaking_ = true;
  absl::Status status =
      co_await stream_->StartTlsServer(env_->tls, env_->settings.handshake_timeout);
  handshaking_ = false;
  co_return status;
}

base::Task<void> Session::Loop() {
  while (!closing_) {
    co_await Flush();
    if (closing_) break;
    Rest();
    // Many clients send a literal and its CRLF in two pieces.
    if (append_ != nullptr || !parser_.empty()) stream_->AckNow();
    input_ = co_await stream_->Read(ReadTimeout());
    switch (input_.event) {
      case net::Ready::kReadable:
        rest_ = input_.bytes();
        co_await Consume();
        heard_ = env_->clock->Monotonic();
        break;
      case net::Ready::kWoken: co_await OnWoken(); break;
      case net::Ready::kTimeout: co_await OnSilence(); break;
      case net::Ready::kClosed: closing_ = true; break;
    }
    // One that keeps talking does not get past the end either.
    if (account_ == nullptr && ClientTime() <= absl::ZeroDuration()) {
      Bye("timeout", "Too slow to log in");
    }
  }
}

void Session::Rest() {
  input_ = net::Input();
  rest_ = {};
  if (out_.capacity() > kKeptOutput) out_ = std::string();
  if (selected_ != nullptr) selected_->Rest();
}

base::Task<void> Session::OnWoken() {
  if (draining_ && append_ == nullptr && parser_.empty()) {
    Bye("drain", "Server shuts down, please reconnect");
    co_return;
  }
  if (locked_out_ > 0) {
    Bye("locked", "This login is not valid any more");
    co_return;
  }
  if (idling_ && selected_ != nullptr) co_await CatchUp(true, false);
}

// Nothing came for ReadTimeout().
base::Task<void> Session::OnSilence() {
  if (ClientTime() <= absl::ZeroDuration()) {
    Bye("timeout", "Autologout; idle for too long");
  } else if (idling_ && selected_ != nullptr) {
    co_await CatchUp(true, false);
  }
}

base::Task<void> Session::Consume() {
  while (!closing_) {
    imap::CommandParser::Event event = parser_.Next(&rest_);
    if (std::holds_alternative<imap::NeedMore>(event)) break;
    co_await OnEvent(std::move(event));
    co_await FlushIfLong();
    // Between pipelined commands.
    const bool drains = draining_ && append_ == nullptr && parser_.empty();
    if (drains || locked_out_ > 0) co_await OnWoken();
  }
}

base::Task<void> Session::OnEvent(imap::CommandParser::Event event) {
  if (std::holds_alternative<imap::NeedContinuation>(event)) {
    imap::AppendContinuation(&out_, "OK");
  } else if (auto* command = std::get_if<imap::Command>(&event)) {
    co_await Execute(std::move(*command));
  } else if (auto* start = std::get_if<imap::AppendStart>(&event)) {
    co_await BeginAppend(std::move(*start));
  } else if (auto* chunk = std::get_if<imap::AppendChunk>(&event)) {
    co_await ContinueAppend(chunk->bytes);
  } else if (auto* end = std::get_if<imap::AppendEnd>(&event)) {
    co_await EndAppend(std::move(end->tag));
  } else if (auto* line = std::get_if<imap::Line>(&event)) {
    co_await OnLine(std::move(*line));
  } else if (auto* malformed = std::get_if<imap::Malformed>(&event)) {
    if (append_ != nullptr) co_await AbandonAppend();
    OnMalformed(*malformed);
  }
}

// RFC 9051 §6.3.13: the only line that is no command is the one that ends IDLE (AUTHENTICATE takes
// its own by NextEvent).
base::Task<void> Session::OnLine(imap::Line line) {
  if (idling_) env_->metrics->idling.Add(-1);
  idling_ = false;
  const std::string tag = std::exchange(idle_tag_, {});
  const bool done = base::EqualsIgnoreCase(line.text, "DONE");
  if (selected_ != nullptr) co_await CatchUp(true, false);
  Answer(tag, done ? Reply::Ok("Idle completed") : Reply::Bad("DONE was expected"));
}

Reply Session::BeginIdle(std::string tag) {
  idle_tag_ = std::move(tag);
  idling_ = true;
  env_->metrics->idling.Add(1);
  parser_.ExpectLine();
  imap::AppendContinuation(&out_, "idling");
  return {"", "", ""};
}

void Session::OnMalformed(const imap::Malformed& malformed) {
  if (malformed.fatal) {
    Bye("errors", malformed.reason);
    return;
  }
  const std::string_view tag = malformed.tag.empty() ? "*" : std::string_view(malformed.tag);
  imap::AppendTagged(&out_, tag, "BAD", "", malformed.reason);
  env_->metrics->commands.At({"BAD"}).Add();
  if (++errors_ >= env_->settings.errors) Bye("errors", "Too many malformed commands");
}

base::Task<void> Session::Execute(imap::Command command) {
  const absl::Duration began = env_->clock->Monotonic();
  const std::string tag = command.tag;
  const bool keeps = KeepsSequenceNumbers(command);
  const bool news = AsksForNews(command.verb);
  const bool tells = command.verb != Verb::kLogout;
  std::optional<Reply> refused = CheckState(command.verb);
  Reply reply;
  if (refused) {
    reply = *std::move(refused);
  } else {
    reply = co_await Dispatch(std::move(command));
  }
  if (selected_ != nullptr && tells) co_await CatchUp(!keeps, news);
  // A BYE was said, or the tagged response came already (STARTTLS) or comes later (IDLE).
  if (reply.condition.empty() || (closing_ && tells && !refused)) co_return;
  Answer(tag, reply);
  env_->metrics->command_seconds.Observe(absl::ToDoubleSeconds(env_->clock->Monotonic() - began));
}

void Session::Answer(std::string_view tag, const Reply& reply) {
  imap::AppendTagged(&out_, tag, reply.condition, reply.code, reply.text);
  env_->metrics->commands.At({reply.condition}).Add();
  if (reply.condition == "BAD") {
    if (++errors_ >= env_->settings.errors) Bye("errors", "Too many wrong commands");
  } else {
    errors_ = 0;
  }
}

std::optional<Reply> Session::CheckState(Verb verb) const {
  switch (verb) {
    case Verb::kCapability:
    case Verb::kNoop:
    case Verb::kLogout:
    case Verb::kId: return std::nullopt;
    case Verb::kStartTls:
    case Verb::kAuthenticate:
    case Verb::kLogin:
      if (account_ != nullptr) return Reply::Bad("Already logged in");
      return std::nullopt;
    case Verb::kCheck:
    case Verb::kClose:
    case Verb::kUnselect:
    case Verb::kExpunge:
    case Verb::kSearch:
    case Verb::kFetch:
    case Verb::kStore:
    case Verb::kCopy:
    case Verb::kMove:
      if (account_ != nullptr && selected_ == nullptr) return Reply::Bad("No mailbox is selected");
      break;
    default: break;
  }
  if (account_ == nullptr) return Reply::Bad("Log in first");
  return std::nullopt;
}

base::Task<Reply> Session::Dispatch(imap::Command command) {
  imap::Arguments& args = command.arguments;
  switch (command.verb) {
    case Verb::kCapability: co_return Capability();
    case Verb::kNoop:
    case Verb::kCheck: co_return Reply::Ok("Done");
    case Verb::kLogout: co_return Logout();
    case Verb::kId: co_return Id(std::get<imap::IdArguments>(args));
    case Verb::kStartTls: co_return co_await StartTls(std::move(command.tag));
    case Verb::kAuthenticate:
      co_return co_await Authenticate(std::get<imap::AuthenticateArguments>(std::move(args)));
    case Verb::kLogin: co_return co_await Login(std::get<imap::LoginArguments>(std::move(args)));
    case Verb::kEnable: co_return Enable(std::get<imap::EnableArguments>(args));
    case Verb::kSelect:
      co_return co_await Select(std::get<imap::SelectArguments>(std::move(args)), false);
    case Verb::kExamine:
      co_return co_await Select(std::get<imap::SelectArguments>(std::move(args)), true);
    case Verb::kCreate: co_return co_await Create(std::get<imap::CreateArguments>(std::move(args)));
    case Verb::kDelete:
      co_return co_await Delete(std::get<imap::MailboxArguments>(std::move(args)).mailbox);
    case Verb::kRename: co_return co_await Rename(std::get<imap::RenameArguments>(std::move(args)));
    case Verb::kSubscribe:
    case Verb::kUnsubscribe:
      co_return co_await Subscribe(std::get<imap::MailboxArguments>(std::move(args)).mailbox,
                                   command.verb == Verb::kSubscribe);
    case Verb::kList: co_return co_await List(std::get<imap::ListArguments>(std::move(args)));
    case Verb::kLsub: co_return co_await Lsub(std::get<imap::ListArguments>(std::move(args)));
    case Verb::kNamespace: co_return Namespace();
    case Verb::kStatus: co_return co_await Status(std::get<imap::StatusArguments>(std::move(args)));
    case Verb::kIdle: co_return BeginIdle(std::move(command.tag));
    case Verb::kClose: co_return co_await Close();
    case Verb::kUnselect: co_return Unselect();
    case Verb::kExpunge:
      co_return co_await Expunge(std::get<imap::ExpungeArguments>(std::move(args)));
    case Verb::kSearch:
      co_return co_await Search(std::get<imap::SearchArguments>(std::move(args)),
                                std::move(command.tag));
    case Verb::kFetch: co_return co_await Fetch(std::get<imap::FetchArguments>(std::move(args)));
    case Verb::kStore: co_return co_await Store(std::get<imap::StoreArguments>(std::move(args)));
    case Verb::kCopy:
    case Verb::kMove:
      co_return co_await Copy(std::get<imap::CopyArguments>(std::move(args)),
                              command.verb == Verb::kMove);
    case Verb::kAppend: break;
  }
  co_return Reply::Bad("Unknown command");
}

void Session::Bye(std::string_view reason, std::string_view text) {
  if (closing_) return;
  imap::AppendUntagged(&out_, "BYE", "", text);
  env_->metrics->byes.At({reason}).Add();
  closing_ = true;
}

base::Task<void> Session::Flush() {
  if (out_.empty()) co_return;
  absl::Status status = co_await stream_->Write(out_);
  out_.clear();
  if (!status.ok()) {
    closing_ = true;
    stream_->Close();
  }
}

base::Task<void> Session::FlushIfLong() {
  if (out_.size() >= kFlushAt) co_await Flush();
}

absl::Duration Session::ClientTime() const {
  const absl::Duration now = env_->clock->Monotonic();
  // Of all of it, however often something comes: who trickles holds a connection no longer.
  if (account_ == nullptr) return began_ + env_->settings.login_timeout - now;
  const bool within = append_ != nullptr || !parser_.empty();
  return heard_ + (within ? env_->settings.literal_timeout : env_->settings.idle_timeout) - now;
}

absl::Duration Session::ReadTimeout() const {
  const absl::Duration left = std::max(ClientTime(), kLeastWait);
  if (!idling_ || missed_syncs_ == 0) return left;
  return std::min(left, kSyncRetry * (1 << std::min(missed_syncs_ - 1, kMaxDoublings)));
}

base::Task<void> Session::Breathe(absl::Duration* began) {
  if (env_->clock->Monotonic() - *began < kSlice) co_return;
  co_await stream_->reactor()->Sleep(absl::ZeroDuration());
  *began = env_->clock->Monotonic();
}

base::Task<std::optional<imap::CommandParser::Event>> Session::NextEvent() {
  while (!closing_) {
    imap::CommandParser::Event event = parser_.Next(&rest_);
    if (!std::holds_alternative<imap::NeedMore>(event)) co_return event;
    co_await Flush();
    input_ = net::Input();
    input_ = co_await stream_->Read(ReadTimeout());
    if (input_.event == net::Ready::kWoken) continue;
    const bool late = ClientTime() <= absl::ZeroDuration();
    if (input_.event == net::Ready::kTimeout || late) Bye("timeout", "Too slow to log in");
    if (input_.event != net::Ready::kReadable) closing_ = true;
    rest_ = input_.bytes();
  }
  co_return std::nullopt;
}

// RFC 5530 §3: UNAVAILABLE is worth another try, SERVERBUG is not. The Status goes to the log.
Reply Session::Failed(const absl::Status& status, std::string_view what) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound: return Reply::No(imap::code::kNonExistent, "No such mailbox");
    case absl::StatusCode::kAlreadyExists:
      return Reply::No(imap::code::kAlreadyExists, "It exists already");
    default: break;
  }
  obs::Log(obs::Level::kWarning, "command failed",
           {{"trace", trace_}, {"command", what}, {"error", status}});
  if (base::IsRetryable(status) || status.code() == absl::StatusCode::kResourceExhausted) {
    return Reply::No(imap::code::kUnavailable, "Not possible now, try again later");
  }
  return Reply::No(imap::code::kServerBug, "Internal error");
}

imap::TextMode Session::text_mode() const {
  return rev2_ ? imap::TextMode::kUtf8 : imap::TextMode::kAscii;
}

imap::NameEncoding Session::name_encoding() const {
  return rev2_ ? imap::NameEncoding::kUtf8 : imap::NameEncoding::kModifiedUtf7;
}

}  // namespace godwit::imap_gateway

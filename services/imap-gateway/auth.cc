// CAPABILITY, ID, ENABLE, STARTTLS, LOGIN, AUTHENTICATE, LOGOUT (RFC 9051 §6.1, §6.2).

#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/login/failed_logins.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// RFC 2971 §3.3: what clients say of themselves, cut for the log.
constexpr size_t kMaxLoggedId = 64;
constexpr std::string_view kBeforeLogin = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR";
// RFC 2177 (IDLE), 2342 (NAMESPACE), 3691 (UNSELECT), 8438 (STATUS=SIZE); the others are cited
// where they are parsed.
constexpr std::string_view kAfterLogin =
    "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT UIDPLUS MOVE CHILDREN "
    "LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE ESEARCH SEARCHRES WITHIN "
    "CONDSTORE QRESYNC OBJECTID";

}  // namespace

std::string Session::Capabilities() const {
  if (account_ != nullptr) {
    // RFC 7889: one bound for all mailboxes.
    return std::string(kAfterLogin) +
           " APPENDLIMIT=" + std::to_string(env_->settings.limits.append_bytes);
  }
  std::string text(kBeforeLogin);
  if (env_->tls != nullptr && !stream_->is_tls()) text += " STARTTLS";
  text += MayShowPassword() ? " AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1" : " LOGINDISABLED";
  return text;
}

Reply Session::Capability() {
  out_ += "* CAPABILITY " + Capabilities() + "\r\n";
  return Reply::Ok("Capability completed");
}

Reply Session::Id(const imap::IdArguments& id) {
  std::string client;
  for (const auto& [name, value] : id.fields) {
    if (name != "name" && name != "version") continue;
    client += value.value_or("").substr(0, kMaxLoggedId) + " ";
  }
  if (!client.empty()) {
    obs::Log(obs::Level::kDebug, "client id", {{"trace", trace_}, {"client", client}});
  }
  out_ += "* ID (\"name\" \"Godwit\")\r\n";
  return Reply::Ok("Id completed");
}

// RFC 5161 §3.1: unknown extensions are ignored; what is enabled now is told.
Reply Session::Enable(const imap::EnableArguments& enable) {
  std::string enabled;
  for (const std::string& name : enable.capabilities) {
    if (name == "IMAP4REV2") {
      rev2_ = true;
      enabled += " IMAP4rev2";
    } else if (name == "CONDSTORE") {
      condstore_ = true;
      enabled += " CONDSTORE";
    } else if (name == "QRESYNC") {
      // RFC 7162 §3.2.3: QRESYNC brings CONDSTORE with it.
      condstore_ = qresync_ = true;
      enabled += " QRESYNC";
    }
  }
  out_ += "* ENABLED" + enabled + "\r\n";
  return Reply::Ok("Enable completed");
}

base::Task<Reply> Session::StartTls(std::string tag) {
  if (env_->tls == nullptr || stream_->is_tls()) co_return Reply::Bad("TLS is not possible now");
  if (!rest_.empty()) {
    // RFC 9051 §6.2.1: what came before the handshake is not protected; it is no client's habit
    // but an attacker's.
    Bye("errors", "Commands behind STARTTLS");
    co_return Reply{"", "", ""};
  }
  // The one command whose answer goes out before it is carried out.
  Answer(tag, Reply::Ok("Begin TLS negotiation now"));
  co_await Flush();
  input_ = net::Input();
  absl::Status status = co_await Handshake();
  if (!status.ok()) {
    obs::Log(obs::Level::kInfo, "TLS failed", {{"trace", trace_}, {"error", status}});
    closing_ = true;
  }
  co_return Reply{"", "", ""};
}

Reply Session::Logout() {
  imap::AppendUntagged(&out_, "BYE", "", "Logging out");
  closing_ = true;
  return Reply::Ok("Logout completed");
}

bool Session::MayShowPassword() const {
  return stream_->is_tls() || env_->settings.allow_plaintext;
}

base::Task<Reply> Session::Login(imap::LoginArguments login) {
  if (!MayShowPassword()) {
    co_return Reply::No(imap::code::kPrivacyRequired, "Use TLS first");
  }
  const int64_t directory_seen = env_->presence->directory_seen();
  limit::LoginAttempt attempt{stream_->peer().address, login.user, login.password};
  base::Task<login::Step> trial =
      env_->authenticator->TryPassword(std::move(login.user), std::move(login.password));
  auto step = co_await login::RunCounted(env_->failed_logins, std::move(attempt), std::move(trial));
  Reply reply = co_await Judge(std::move(step), directory_seen);
  co_return reply;
}

base::Task<Reply> Session::Authenticate(imap::AuthenticateArguments arguments) {
  if (!MayShowPassword()) {
    co_return Reply::No(imap::code::kPrivacyRequired, "Use TLS first");
  }
  const int64_t directory_seen = env_->presence->directory_seen();
  auto conversation = env_->authenticator->Start(arguments.mechanism);
  if (conversation == nullptr) co_return Reply::No(imap::code::kCannot, "Unknown mechanism");
  const base::IpAddress address = stream_->peer().address;
  base::Task<login::Step> next = conversation->Begin(std::move(arguments.initial_response));
  limit::LoginAttempt attempt = conversation->AttemptFrom(address);
  auto step = co_await login::RunCounted(env_->failed_logins, std::move(attempt), std::move(next));
  while (step && std::holds_alternative<sasl::Challenge>(*step)) {
    std::optional<std::string> answer =
        co_await AskClient(std::move(std::get<sasl::Challenge>(*step).data));
    if (!answer) co_return Reply::Bad("Authentication cancelled");
    next = conversation->Answer(base::Secret(*answer));
    attempt = conversation->AttemptFrom(address);
    step = co_await login::RunCounted(env_->failed_logins, std::move(attempt), std::move(next));
  }
  Reply reply = co_await Judge(std::move(step), directory_seen);
  co_return reply;
}

// Sends a challenge; the decoded answer, or nullopt when the client gave up or sent nonsense.
base::Task<std::optional<std::string>> Session::AskClient(std::string challenge) {
  imap::AppendContinuation(&out_, base::Base64Encode(challenge));
  parser_.ExpectLine();
  auto event = co_await NextEvent();
  if (!event) co_return std::nullopt;
  // The parser takes nothing any more: the session has to end, too.
  const auto* malformed = std::get_if<imap::Malformed>(&*event);
  if (malformed != nullptr && malformed->fatal) OnMalformed(*malformed);
  const auto* line = std::get_if<imap::Line>(&*event);
  // RFC 9051 §6.2.2: "*" cancels.
  if (line == nullptr || line->text == "*") co_return std::nullopt;
  const auto bytes = base::Base64Decode(line->text);
  if (!bytes.ok()) co_return std::nullopt;
  co_return *bytes;
}

// The end of an authentication; without a step the client's network has failed too often.
// `directory_seen`: from before it began.
base::Task<Reply> Session::Judge(std::optional<login::Step> step, int64_t directory_seen) {
  if (!step) {
    env_->metrics->logins.At({"limited"}).Add();
    Bye("logins", "Too many failed logins, try again later");
    co_return Reply::No(imap::code::kLimit, "Too many failed logins");
  }
  if (auto* accepted = std::get_if<login::Accepted>(&*step)) {
    co_return co_await LetIn(std::move(*accepted), directory_seen);
  }
  if (auto* refused = std::get_if<login::Refused>(&*step)) {
    co_return co_await LoginFailed(refused->reason);
  }
  env_->metrics->logins.At({"unavailable"}).Add();
  co_return Failed(std::get<absl::Status>(*step), "LOGIN");
}

// Every failure looks the same to the client and comes after the same pause.
base::Task<Reply> Session::LoginFailed(std::string_view why) {
  env_->metrics->logins.At({"failure"}).Add();
  obs::Log(obs::Level::kInfo, "login failed",
           {{"trace", trace_}, {"client", stream_->peer().ToString()}, {"reason", why}});
  bool awake = co_await stream_->reactor()->Sleep(env_->settings.failure_delay);
  if (++failures_ >= env_->settings.failures || !awake) Bye("logins", "Too many failed logins");
  co_return Reply::No(imap::code::kAuthenticationFailed, "Authentication failed");
}

// Whoever was shut out since `directory_seen` may have been looked for before we joined
// (hint::Presence), so we look ourselves.
base::Task<Reply> Session::LetIn(login::Accepted accepted, int64_t directory_seen) {
  const store::LoginRef us = accepted.login;
  account_ = env_->registry->Join(us.account, handle_, us.credential);
  if (env_->presence->directory_seen() != directory_seen) {
    absl::StatusOr<std::vector<store::LoginRef>> ended = co_await env_->database->Run(
        [us](db::Connection& c) { return store::EndedLogins(c, {us}); });
    if (!ended.ok() || !ended->empty()) LeaveAccount();
    if (!ended.ok()) co_return Failed(ended.status(), "LOGIN");
    if (!ended->empty()) co_return co_await LoginFailed("not authorised any more");
  }
  parser_.set_limits(env_->settings.limits);
  env_->metrics->logins.At({"success"}).Add();
  obs::Log(obs::Level::kInfo, "login",
           {{"trace", trace_},
            {"account", store::ToInt(us.account)},
            {"client", stream_->peer().ToString()},
            {"mechanism", accepted.mechanism},
            {"tls", stream_->is_tls()}});
  co_return Reply{"OK", "CAPABILITY " + Capabilities(), "Logged in"};
}

void Session::LeaveAccount() {
  if (account_ == nullptr) return;
  env_->registry->Leave(account_, handle_, env_->clock->Monotonic());
  account_ = nullptr;
}

}  // namespace godwit::imap_gateway

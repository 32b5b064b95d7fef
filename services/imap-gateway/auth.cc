// CAPABILITY, ID, ENABLE, STARTTLS, LOGIN, AUTHENTICATE, LOGOUT (RFC 9051 §6.1, §6.2).

#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/sasl/opaque_string.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// RFC 2971 §3.3: what clients say of themselves, cut for the log.
constexpr size_t kMaxLoggedId = 64;
// Random bytes of a SCRAM nonce.
constexpr size_t kNonceBytes = 24;

constexpr std::string_view kBeforeLogin = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR";
// RFC 2177 (IDLE), 2342 (NAMESPACE), 3691 (UNSELECT), 8438 (STATUS=SIZE); the others are cited
// where they are parsed.
constexpr std::string_view kAfterLogin =
    "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT UIDPLUS MOVE CHILDREN "
    "LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE ESEARCH SEARCHRES WITHIN "
    "CONDSTORE QRESYNC OBJECTID";

sasl::ScramVerifiers VerifiersOf(const store::Login& login, sasl::ScramHash hash) {
  const bool sha1 = hash == sasl::ScramHash::kSha1;
  const store::ScramParameters& parameters = sha1 ? login.sha1 : login.sha256;
  sasl::ScramVerifiers verifiers;
  verifiers.hash = hash;
  verifiers.salt = parameters.salt;
  verifiers.iterations = static_cast<uint32_t>(parameters.iterations);
  for (const store::Credential& credential : login.credentials) {
    const store::ScramVerifier& keys = sha1 ? credential.sha1 : credential.sha256;
    verifiers.keys.push_back(
        {std::string(keys.stored_key.Reveal()), std::string(keys.server_key.Reveal())});
  }
  return verifiers;
}

// Leaves the credentials that open IMAP.
void KeepImapCredentials(store::Login* login) {
  std::erase_if(login->credentials, [](const store::Credential& credential) {
    return (credential.scopes & store::kScopeImap) == 0;
  });
}

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
  absl::Status status =
      co_await stream_->StartTlsServer(env_->tls, env_->settings.handshake_timeout);
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
  co_return co_await CheckPassword({std::move(login.user), "", std::move(login.password)});
}

base::Task<Reply> Session::Authenticate(imap::AuthenticateArguments arguments) {
  if (!MayShowPassword()) {
    co_return Reply::No(imap::code::kPrivacyRequired, "Use TLS first");
  }
  sasl::Parameters parameters;
  parameters.server_nonce = base::Base64UrlEncode(env_->random->Bytes(kNonceBytes));
  auto exchange = sasl::Exchange::Start(arguments.mechanism, parameters);
  if (exchange == nullptr) co_return Reply::No(imap::code::kCannot, "Unknown mechanism");
  sasl::Action first = arguments.initial_response
                           ? exchange->OnResponse(arguments.initial_response->Reveal())
                           : exchange->OnNoInitialResponse();
  co_return co_await RunExchange(exchange.get(), std::move(first));
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

base::Task<Reply> Session::RunExchange(sasl::Exchange* exchange, sasl::Action action) {
  store::Login login;
  while (true) {
    if (auto* challenge = std::get_if<sasl::Challenge>(&action)) {
      std::optional<std::string> answer = co_await AskClient(std::move(challenge->data));
      if (!answer) co_return Reply::Bad("Authentication cancelled");
      action = exchange->OnResponse(*answer);
    } else if (auto* need = std::get_if<sasl::NeedVerifiers>(&action)) {
      sasl::ScramVerifiers verifiers;
      absl::StatusOr<store::Login> found =
          co_await FindScram(need->username, need->hash, &verifiers);
      if (!found.ok()) co_return Failed(found.status(), "AUTHENTICATE");
      login = *std::move(found);
      action = exchange->OnVerifiers(std::move(verifiers));
    } else if (auto* check = std::get_if<sasl::CheckPassword>(&action)) {
      co_return co_await CheckPassword(std::move(*check));
    } else if (auto* proved = std::get_if<sasl::Proved>(&action)) {
      const bool other =
          !proved->authorization_id.empty() && proved->authorization_id != proved->username;
      if (other || login.disabled) co_return co_await LoginFailed("not authorised");
      co_return LoggedIn(login, "SCRAM");
    } else {
      co_return co_await LoginFailed(std::get<sasl::Failure>(action).reason);
    }
  }
}

// The login of `username`, and what it is proved against; for an unknown one a Login without
// account and stable fake verifiers.
base::Task<absl::StatusOr<store::Login>> Session::FindScram(std::string username,
                                                            sasl::ScramHash hash,
                                                            sasl::ScramVerifiers* verifiers) {
  absl::StatusOr<std::optional<store::Login>> found = co_await env_->database->Run(
      [username](db::Connection& c) { return store::LookupLogin(c, username); });
  if (!found.ok()) co_return found.status();
  store::Login login = found->has_value() ? **std::move(found) : store::Login();
  KeepImapCredentials(&login);
  *verifiers = VerifiersOf(login, hash);
  if (verifiers->keys.empty() || verifiers->salt.empty()) {
    *verifiers =
        sasl::FakeVerifiers(hash, env_->fake_salt_key, username, store::kDefaultScramIterations);
  }
  co_return login;
}

base::Task<Reply> Session::CheckPassword(sasl::CheckPassword check) {
  struct Verdict {
    store::Login login;
    bool right = false;
  };
  const std::string username = check.username;
  // Deriving the keys takes a millisecond of CPU: on a database thread, not on the reactor. An
  // unknown user costs the same.
  absl::StatusOr<Verdict> verdict = co_await env_->database->Run(
      [username, password = std::move(check.password),
       fake_key = env_->fake_salt_key](db::Connection& c) -> absl::StatusOr<Verdict> {
        auto found = store::LookupLogin(c, username);
        if (!found.ok()) return found.status();
        Verdict result;
        if (*found) result.login = **std::move(found);
        KeepImapCredentials(&result.login);
        auto verifiers = VerifiersOf(result.login, sasl::ScramHash::kSha256);
        if (verifiers.keys.empty() || verifiers.salt.empty()) {
          verifiers = sasl::FakeVerifiers(sasl::ScramHash::kSha256, fake_key, username,
                                          store::kDefaultScramIterations);
        }
        result.right = sasl::FindPassword(verifiers, password.Reveal()).has_value();
        return result;
      });
  if (!verdict.ok()) {
    env_->metrics->logins.At({"unavailable"}).Add();
    co_return Failed(verdict.status(), "LOGIN");
  }
  const bool other = !check.authorization_id.empty() && check.authorization_id != username;
  if (!verdict->right) co_return co_await LoginFailed("wrong password or no such user");
  if (other || verdict->login.disabled) co_return co_await LoginFailed("not authorised");
  co_return LoggedIn(verdict->login, "PLAIN");
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

Reply Session::LoggedIn(const store::Login& login, std::string_view mechanism) {
  account_ = env_->registry->Join(login.account, handle_);
  parser_.set_limits(env_->settings.limits);
  env_->metrics->logins.At({"success"}).Add();
  obs::Log(obs::Level::kInfo, "login",
           {{"trace", trace_},
            {"account", store::ToInt(login.account)},
            {"client", stream_->peer().ToString()},
            {"mechanism", mechanism},
            {"tls", stream_->is_tls()}});
  return {"OK", "CAPABILITY " + Capabilities(), "Logged in"};
}

}  // namespace godwit::imap_gateway

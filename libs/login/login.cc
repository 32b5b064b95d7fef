#include "libs/login/login.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/sasl/scram_verifier.h"

namespace godwit::login {
namespace {

// Random bytes of a SCRAM nonce.
constexpr size_t kNonceBytes = 24;

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

struct Found {
  store::Login login;  // without account when there is nobody of that name
  sasl::ScramVerifiers verifiers;
};

// On a database thread. Stable fake verifiers for a user that is not there, or has nothing that
// opens `scope`.
absl::StatusOr<Found> Find(db::Connection& connection, const std::string& username,
                           sasl::ScramHash hash, store::Scope scope, const base::Secret& fake_key) {
  GODWIT_ASSIGN_OR_RETURN(std::optional<store::Login> login,
                          store::LookupLogin(connection, username));
  Found found;
  if (login) found.login = *std::move(login);
  std::erase_if(found.login.credentials, [scope](const store::Credential& credential) {
    return (credential.scopes & scope) == 0;
  });
  found.verifiers = VerifiersOf(found.login, hash);
  if (found.verifiers.keys.empty() || found.verifiers.salt.empty()) {
    found.verifiers = sasl::FakeVerifiers(hash, fake_key, username, store::kDefaultScramIterations);
  }
  return found;
}

}  // namespace

std::unique_ptr<Conversation> Authenticator::Start(std::string_view mechanism) const {
  sasl::Parameters parameters;
  parameters.server_nonce = base::Base64UrlEncode(random_->Bytes(kNonceBytes));
  auto exchange = sasl::Exchange::Start(mechanism, parameters);
  if (exchange == nullptr) return nullptr;
  return std::make_unique<Conversation>(this, std::move(exchange), base::Upper(mechanism));
}

base::Task<Step> Authenticator::TryPassword(std::string username, base::Secret password) const {
  Conversation conversation(this, nullptr, "LOGIN");
  sasl::CheckPassword check{std::move(username), "", std::move(password)};
  Step step = co_await conversation.CheckPassword(std::move(check));
  co_return step;
}

base::Task<Step> Conversation::Begin(std::optional<base::Secret> initial) {
  return Take(initial ? exchange_->OnResponse(initial->Reveal())
                      : exchange_->OnNoInitialResponse());
}

base::Task<Step> Conversation::Answer(base::Secret bytes) {
  return Take(exchange_->OnResponse(bytes.Reveal()));
}

// What the client said is known at once, and judged when the task runs.
base::Task<Step> Conversation::Take(sasl::Action action) {
  if (const auto* need = std::get_if<sasl::NeedVerifiers>(&action)) username_ = need->username;
  if (const auto* check = std::get_if<sasl::CheckPassword>(&action)) {
    username_ = check->username;
    password_ = check->password;
  }
  return Run(std::move(action));
}

limit::LoginAttempt Conversation::AttemptFrom(const base::IpAddress& address) const {
  return {address, username_, password_};
}

base::Task<Step> Conversation::Run(sasl::Action action) {
  if (auto* need = std::get_if<sasl::NeedVerifiers>(&action)) {
    auto verifiers = co_await FindVerifiers(std::move(*need));
    if (!verifiers.ok()) co_return verifiers.status();
    action = exchange_->OnVerifiers(*std::move(verifiers));
  }
  if (auto* challenge = std::get_if<sasl::Challenge>(&action)) co_return std::move(*challenge);
  if (auto* proved = std::get_if<sasl::Proved>(&action)) {
    co_return Judge(proved->username, proved->authorization_id, proved->credential);
  }
  if (auto* check = std::get_if<sasl::CheckPassword>(&action)) {
    Step step = co_await CheckPassword(std::move(*check));
    co_return step;
  }
  if (auto* failure = std::get_if<sasl::Failure>(&action)) {
    co_return Refused{std::move(failure->reason)};
  }
  co_return Refused{"the mechanism asks twice"};
}

base::Task<absl::StatusOr<sasl::ScramVerifiers>> Conversation::FindVerifiers(
    sasl::NeedVerifiers need) {
  absl::StatusOr<Found> found = co_await authenticator_->pool_->Run(
      [need = std::move(need), scope = authenticator_->scope_,
       fake_key = authenticator_->fake_salt_key_](db::Connection& connection) {
        return Find(connection, need.username, need.hash, scope, fake_key);
      });
  if (!found.ok()) co_return found.status();
  login_ = std::move(found->login);
  co_return std::move(found->verifiers);
}

base::Task<Step> Conversation::CheckPassword(sasl::CheckPassword check) {
  struct Verdict {
    store::Login login;
    std::optional<size_t> credential;  // that the password is of
  };
  // Deriving the keys takes a millisecond of CPU: on a database thread, not on the reactor.
  absl::StatusOr<Verdict> verdict = co_await authenticator_->pool_->Run(
      [username = check.username, password = std::move(check.password),
       scope = authenticator_->scope_, fake_key = authenticator_->fake_salt_key_](
          db::Connection& connection) -> absl::StatusOr<Verdict> {
        GODWIT_ASSIGN_OR_RETURN(
            Found found, Find(connection, username, sasl::ScramHash::kSha256, scope, fake_key));
        const auto credential = sasl::FindPassword(found.verifiers, password.Reveal());
        return Verdict{std::move(found.login), credential};
      });
  if (!verdict.ok()) co_return verdict.status();
  login_ = std::move(verdict->login);
  if (!verdict->credential) co_return Refused{"wrong password or no such user"};
  co_return Judge(check.username, check.authorization_id, *verdict->credential);
}

// The proof is right. Whoever asks to be somebody else (RFC 4616 §2, RFC 5802 §5.1) is refused.
Step Conversation::Judge(std::string_view username, std::string_view authorization_id,
                         size_t credential) const {
  if (credential >= login_.credentials.size()) return Refused{"wrong password or no such user"};
  if (!authorization_id.empty() && authorization_id != username) {
    return Refused{"not authorised for another identity"};
  }
  if (login_.disabled) return Refused{"the account is disabled", true};
  return Accepted{{login_.account, login_.credentials[credential].id}, login_.address, mechanism_};
}

}  // namespace godwit::login

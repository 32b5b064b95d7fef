#include "services/webmail-api/auth.h"

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/web_session.h"

namespace godwit::webmail_api {
namespace {

constexpr std::string_view kCookie = "__Host-godwit";
constexpr size_t kTokenBytes = 32;
constexpr absl::Duration kRemembered = absl::Seconds(30);
constexpr size_t kMaxKnown = 10000;
// Longer than any address or password that PRECIS lets through.
constexpr size_t kMaxCredentials = 4096;

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
         reinterpret_cast<uint8_t*>(digest.data()));
  return digest;
}

std::string Keyed(const base::Secret& key, std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  unsigned size = 0;
  HMAC(EVP_sha256(), key.Reveal().data(), key.size(),
       reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
       reinterpret_cast<uint8_t*>(digest.data()), &size);
  return digest;
}

// Those that open the web, in the order of the verifiers.
sasl::ScramVerifiers WebVerifiers(store::Login* login, const base::Secret& fake_key,
                                  std::string_view address) {
  std::erase_if(login->credentials, [](const store::Credential& credential) {
    return (credential.scopes & store::kScopeWeb) == 0;
  });
  if (login->credentials.empty() || login->sha256.salt.empty()) {
    login->credentials.clear();
    return sasl::FakeVerifiers(sasl::ScramHash::kSha256, fake_key, address,
                               store::kDefaultScramIterations);
  }
  sasl::ScramVerifiers verifiers;
  verifiers.salt = login->sha256.salt;
  verifiers.iterations = static_cast<uint32_t>(login->sha256.iterations);
  for (const store::Credential& credential : login->credentials) {
    verifiers.keys.push_back({std::string(credential.sha256.stored_key.Reveal()),
                              std::string(credential.sha256.server_key.Reveal())});
  }
  return verifiers;
}

// RFC 6265 §4.2.1; of several of our name the first.
std::string_view CookieValue(std::string_view cookies) {
  for (const std::string_view pair : base::Split(cookies, ';')) {
    const std::string_view trimmed = base::Trim(pair);
    const size_t equals = trimmed.find('=');
    if (equals != std::string_view::npos && trimmed.substr(0, equals) == kCookie) {
      return trimmed.substr(equals + 1);
    }
  }
  return {};
}

struct Ticket {
  store::AccountId account;
  std::string token_hash;
};

// "<account>-<token>".
std::optional<Ticket> ReadTicket(std::string_view value) {
  const size_t dash = value.find('-');
  if (dash == std::string_view::npos || value.size() > 200) return std::nullopt;
  const auto account = base::ParseDecimal(value.substr(0, dash));
  if (!account || *account > INT64_MAX) return std::nullopt;
  return Ticket{store::AccountId{static_cast<int64_t>(*account)}, Sha256(value.substr(dash + 1))};
}

std::string Attributes(absl::Duration lifetime) {
  return "; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=" +
         std::to_string(absl::ToInt64Seconds(lifetime));
}

}  // namespace

bool IsForeignRequest(const net::HttpRequest& request) {
  const std::string_view site = request.field("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none") return true;
  const std::string_view origin = request.field("origin");
  if (!origin.empty()) return origin != "https://" + std::string(request.field("host"));
  // A browser sends Origin with every POST; what has neither field is no browser of these years.
  return site.empty() && request.method != "GET" && request.method != "HEAD";
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::Authenticate(
    const net::HttpRequest* request) {
  const std::string_view authorization = request->field("authorization");
  // RFC 6750 §2.1: what the cookie holds, in a field that no browser sends by itself.
  if (base::StartsWithIgnoreCase(authorization, "bearer ")) {
    auto user = co_await BySession(base::Trim(authorization.substr(7)));
    co_return user;
  }
  if (!authorization.empty()) {
    auto user = co_await ByPassword(authorization);
    co_return user;
  }
  const std::string_view cookie = request->field("cookie");
  if (cookie.empty() || IsForeignRequest(*request)) co_return std::optional<User>();
  auto user = co_await BySession(CookieValue(cookie));
  co_return user;
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::ByPassword(
    std::string_view authorization) {
  if (!base::StartsWithIgnoreCase(authorization, "basic ")) co_return std::optional<User>();
  const auto decoded = base::Base64Decode(base::Trim(authorization.substr(6)));
  const size_t colon = decoded.ok() ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos || decoded->size() > kMaxCredentials) {
    co_return std::optional<User>();
  }
  const std::string key = Keyed(env_->cache_key, *decoded);
  if (auto known = Recall(key)) co_return known;
  auto verdict = co_await Check(decoded->substr(0, colon),
                                base::Secret(std::string_view(*decoded).substr(colon + 1)));
  if (!verdict.ok()) co_return verdict.status();
  if (!verdict->credential) co_return std::optional<User>();
  User user{verdict->login.account, verdict->login.address, "", verdict->credential->id};
  Remember(key, user);
  co_return std::optional<User>(std::move(user));
}

base::Task<absl::StatusOr<Authenticator::Verdict>> Authenticator::Check(std::string address,
                                                                        base::Secret password) {
  {
    std::lock_guard lock(mutex_);
    if (checking_ >= static_cast<int>(env_->settings.concurrent_checks)) {
      co_return base::ResourceExhausted("too many passwords to check");
    }
    ++checking_;
  }
  absl::StatusOr<Verdict> verdict = co_await env_->database->Run(
      [address, password = std::move(password),
       fake_key = env_->fake_salt_key](db::Connection& c) -> absl::StatusOr<Verdict> {
        auto found = store::LookupLogin(c, address);
        if (!found.ok()) return found.status();
        Verdict result;
        if (*found) result.login = **std::move(found);
        const auto verifiers = WebVerifiers(&result.login, fake_key, address);
        const auto right = sasl::FindPassword(verifiers, password.Reveal());
        if (right && !result.login.disabled && *right < result.login.credentials.size()) {
          result.credential = result.login.credentials[*right];
        }
        return result;
      });
  {
    std::lock_guard lock(mutex_);
    --checking_;
  }
  if (!verdict.ok()) {
    env_->metrics->logins.At({"unavailable"}).Add();
  } else if (!verdict->credential) {
    env_->metrics->logins.At({"failure"}).Add();
    obs::Log(obs::Level::kInfo, "login failed");
    // Every failure looks the same and comes after the same pause.
    bool awake = co_await net::Reactor::Current()->Sleep(env_->settings.failure_delay);
    static_cast<void>(awake);
  } else {
    env_->metrics->logins.At({"success"}).Add();
  }
  co_return verdict;
}

std::optional<User> Authenticator::Recall(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(key);
  if (found == known_.end()) return std::nullopt;
  if (found->second.until < env_->clock->Monotonic()) {
    known_.erase(found);
    return std::nullopt;
  }
  return User{found->second.account, found->second.address, "", found->second.credential};
}

void Authenticator::Remember(const std::string& key, const User& user) {
  const absl::Duration now = env_->clock->Monotonic();
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[key] = {user.account, user.address, user.credential, now + kRemembered};
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::BySession(std::string_view value) {
  const auto ticket = ReadTicket(value);
  if (!ticket) co_return std::optional<User>();
  const absl::Time now = env_->clock->Now();
  const absl::Duration lifetime = env_->settings.session_lifetime;
  absl::StatusOr<std::optional<store::WebSession>> session =
      co_await env_->database->Run([ticket = *ticket, now, lifetime](db::Connection& c) {
        auto found = store::FindWebSession(c, ticket.account, ticket.token_hash, now);
        // Not with each request: a write costs more than a look.
        if (found.ok() && *found && (*found)->expires < now + lifetime * 9 / 10) {
          absl::Status extended =
              store::ExtendWebSession(c, ticket.account, ticket.token_hash, now + lifetime);
          if (!extended.ok()) found = extended;
        }
        return found;
      });
  if (!session.ok()) co_return session.status();
  if (!*session) co_return std::optional<User>();
  co_return std::optional<User>(User{(*session)->account, (*session)->address,
                                     (*session)->token_hash, (*session)->credential});
}

base::Task<absl::StatusOr<std::optional<std::string>>> Authenticator::LogIn(std::string address,
                                                                            base::Secret password) {
  auto verdict = co_await Check(std::move(address), std::move(password));
  if (!verdict.ok()) co_return verdict.status();
  if (!verdict->credential) co_return std::optional<std::string>();
  const std::string token = base::Base64UrlEncode(env_->random->Bytes(kTokenBytes));
  store::WebSession session;
  session.account = verdict->login.account;
  session.token_hash = Sha256(token);
  session.address = verdict->login.address;
  session.credential = verdict->credential->id;
  session.credential_at = verdict->credential->created;
  session.created = env_->clock->Now();
  session.expires = session.created + env_->settings.session_lifetime;
  absl::Status added = co_await env_->database->Run(
      [session](db::Connection& c) { return store::AddWebSession(c, session); });
  if (!added.ok()) co_return added;
  co_return std::string(kCookie) + "=" + std::to_string(store::ToInt(session.account)) + "-" +
      token + Attributes(env_->settings.session_lifetime);
}

base::Task<absl::Status> Authenticator::LogOut(const net::HttpRequest* request) {
  const auto ticket = ReadTicket(CookieValue(request->field("cookie")));
  if (!ticket) co_return absl::OkStatus();
  absl::Status removed = co_await env_->database->Run([ticket = *ticket](db::Connection& c) {
    return store::RemoveWebSession(c, ticket.account, ticket.token_hash);
  });
  co_return removed;
}

std::string Authenticator::ExpiredCookie() {
  return std::string(kCookie) + "=" + Attributes(absl::ZeroDuration());
}

}  // namespace godwit::webmail_api

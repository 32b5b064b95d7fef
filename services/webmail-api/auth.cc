#include "services/webmail-api/auth.h"

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/login/failed_logins.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/store/credentials.h"
#include "libs/store/web_session.h"

namespace godwit::webmail_api {
namespace {

constexpr std::string_view kCookie = "__Host-godwit";
constexpr size_t kTokenBytes = 32;
constexpr absl::Duration kRemembered = absl::Seconds(30);
constexpr size_t kMaxKnown = 10000;
// Longer than any address or password that PRECIS lets through.
constexpr size_t kMaxCredentials = 4096;
// Of all checks that run at the same time, those that one address may have.
constexpr int kAddressShare = 4;

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

// One check of a password among those that run, its pause after a failure included: more than the
// pool of database threads takes, or one address may have, do not begin.
class Authenticator::Check {
 public:
  Check(Authenticator* owner, std::string client) : owner_(owner), client_(std::move(client)) {
    const auto most = static_cast<int>(owner_->env_->settings.concurrent_checks);
    std::lock_guard lock(owner_->mutex_);
    int& of_client = owner_->checking_of_[client_];
    begun_ = owner_->checking_ < most && of_client < std::max(1, most / kAddressShare);
    if (begun_) {
      ++of_client;
      ++owner_->checking_;
    } else if (of_client == 0) {
      owner_->checking_of_.erase(client_);
    }
    hashing_ = begun_;
  }
  ~Check() {
    if (!begun_) return;
    StopHashing();
    std::lock_guard lock(owner_->mutex_);
    const auto of_client = owner_->checking_of_.find(client_);
    if (--of_client->second == 0) owner_->checking_of_.erase(of_client);
  }
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;

  bool begun() const { return begun_; }
  // What follows is the pause: others may begin.
  void StopHashing() {
    if (!std::exchange(hashing_, false)) return;
    std::lock_guard lock(owner_->mutex_);
    --owner_->checking_;
  }

 private:
  Authenticator* const owner_;
  const std::string client_;
  bool begun_ = false;
  bool hashing_ = false;
};

Authenticator::Authenticator(Environment* environment)
    : env_(environment),
      passwords_(environment->database, environment->fake_salt_key, store::kScopeWeb,
                 environment->random) {}

std::string ClientKey(const base::IpAddress& address) {
  return std::string(address.CustomerNetwork().bytes());
}

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
    auto user = co_await ByPassword(request->peer.address, authorization);
    co_return user;
  }
  const std::string_view cookie = request->field("cookie");
  if (cookie.empty() || IsForeignRequest(*request)) co_return std::optional<User>();
  auto user = co_await BySession(CookieValue(cookie));
  co_return user;
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::ByPassword(
    base::IpAddress client, std::string_view authorization) {
  if (!base::StartsWithIgnoreCase(authorization, "basic ")) co_return std::optional<User>();
  const auto decoded = base::Base64Decode(base::Trim(authorization.substr(6)));
  const size_t colon = decoded.ok() ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos || decoded->size() > kMaxCredentials) {
    co_return std::optional<User>();
  }
  const std::string key = Keyed(env_->cache_key, *decoded);
  if (auto known = Recall(key)) co_return known;
  auto user = co_await CheckPassword(client, decoded->substr(0, colon),
                                     base::Secret(std::string_view(*decoded).substr(colon + 1)));
  if (user.ok() && *user) Remember(key, **user);
  co_return user;
}

// Who waits for his turn among the logins of his network has no place here yet. The place is given
// back after the pause.
base::Task<login::Step> Authenticator::RunCheck(std::optional<Check>* check, base::IpAddress client,
                                                std::string address, base::Secret password) {
  check->emplace(this, ClientKey(client));
  if (!(*check)->begun()) co_return base::Unavailable("too many passwords to check");
  login::Step step = co_await passwords_.TryPassword(std::move(address), std::move(password));
  (*check)->StopHashing();
  co_return step;
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::CheckPassword(
    base::IpAddress client, std::string address, base::Secret password) {
  std::optional<Check> check;
  const int64_t directory_seen = env_->presence->directory_seen();
  limit::LoginAttempt attempt{client, address, password};
  base::Task<login::Step> trial = RunCheck(&check, client, std::move(address), std::move(password));
  auto step = co_await login::RunCounted(env_->failed_logins, std::move(attempt), std::move(trial));
  if (!step) {
    env_->metrics->logins.At({"limited"}).Add();
    co_return base::ResourceExhausted("too many failed logins from this network");
  }
  if (auto* refused = std::get_if<login::Refused>(&*step)) {
    co_await Fail(client, std::move(refused->reason));
    co_return std::optional<User>();
  }
  if (auto* status = std::get_if<absl::Status>(&*step)) {
    env_->metrics->logins.At({"unavailable"}).Add();
    co_return *status;
  }
  env_->metrics->logins.At({"success"}).Add();
  const auto& accepted = std::get<login::Accepted>(*step);
  co_return User{accepted.login.account, accepted.address, "", accepted.login.credential,
                 directory_seen};
}

// Every failure looks the same and comes after the same pause.
base::Task<void> Authenticator::Fail(base::IpAddress client, std::string reason) {
  env_->metrics->logins.At({"failure"}).Add();
  obs::Log(obs::Level::kInfo, "login failed", {{"client", client.ToString()}, {"reason", reason}});
  bool awake = co_await net::Reactor::Current()->Sleep(env_->settings.failure_delay);
  static_cast<void>(awake);
}

std::optional<User> Authenticator::Recall(const std::string& key) {
  const int64_t directory_seen = env_->presence->directory_seen();
  std::lock_guard lock(mutex_);
  if (known_at_ != directory_seen) known_.clear();
  known_at_ = directory_seen;
  const auto found = known_.find(key);
  if (found == known_.end()) return std::nullopt;
  if (found->second.until < env_->clock->Monotonic()) {
    known_.erase(found);
    return std::nullopt;
  }
  return found->second.user;
}

// Not when the directory has changed since: it may be this login that ended.
void Authenticator::Remember(const std::string& key, const User& user) {
  const absl::Duration now = env_->clock->Monotonic();
  std::lock_guard lock(mutex_);
  if (known_at_ != user.directory_seen) return;
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[key] = {user, now + kRemembered};
}

base::Task<absl::StatusOr<std::optional<User>>> Authenticator::BySession(std::string_view value) {
  const auto ticket = ReadTicket(value);
  if (!ticket) co_return std::optional<User>();
  const absl::Time now = env_->clock->Now();
  const absl::Duration lifetime = env_->settings.session_lifetime;
  const int64_t directory_seen = env_->presence->directory_seen();
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
                                     (*session)->token_hash, (*session)->credential,
                                     directory_seen});
}

base::Task<absl::StatusOr<std::optional<std::string>>> Authenticator::LogIn(base::IpAddress client,
                                                                            std::string address,
                                                                            base::Secret password) {
  auto user = co_await CheckPassword(client, std::move(address), std::move(password));
  if (!user.ok()) co_return user.status();
  if (!*user) co_return std::optional<std::string>();
  const std::string token = base::Base64UrlEncode(env_->random->Bytes(kTokenBytes));
  store::WebSession session;
  session.account = (*user)->account;
  session.token_hash = Sha256(token);
  session.address = (*user)->address;
  session.credential = (*user)->credential;
  session.created = env_->clock->Now();
  session.expires = session.created + env_->settings.session_lifetime;
  absl::Status added = co_await env_->database->Run(
      [session](db::Connection& c) { return store::AddWebSession(c, session); });
  // It ended meanwhile.
  if (absl::IsNotFound(added)) co_return std::optional<std::string>();
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

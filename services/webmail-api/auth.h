#pragma once

// Who asks: HTTP Basic (RFC 7617) for mail programs, a cookie for the web page.
//
// A password is checked as all daemons do it (libs/login): an unknown user costs the same, and a
// failure is answered after a pause. Guessing has bounds: how many checks of one address (IPv6: one
// /64) run at the same time, and how many may fail from its network (limit::FailedLogins); they
// hold before anything is looked up. Mail programs send the password with each request, so one that
// was right is known again for half a minute by a keyed hash of it, never by itself; all are
// forgotten when the directory changes.
//
// The cookie is "<account>-<token>": 256 random bits, kept as their SHA-256
// (libs/store/web_session.h), HttpOnly, Secure, SameSite=Strict, __Host-. A program may send the
// same as a bearer token (RFC 6750). With the cookie a request that changes something must come
// from our own page: Origin, or Sec-Fetch-Site, must say so.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/secret.h"
#include "libs/base/task.h"
#include "libs/login/login.h"
#include "libs/net/http.h"
#include "libs/store/ids.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

struct User {
  store::AccountId account = store::AccountId::kNone;
  std::string address;     // that was logged in with
  std::string token_hash;  // of the session; "" with Basic
  int64_t credential = 0;  // that was right
  // Presence::directory_seen() from before it was looked at: for those who keep the user, see
  // there.
  int64_t directory_seen = 0;
};

class Authenticator {
 public:
  explicit Authenticator(Environment* environment);

  // Nothing for a wrong or missing proof. ResourceExhausted: too many failures from this network.
  // Unavailable and others of the database: nobody can tell now.
  base::Task<absl::StatusOr<std::optional<User>>> Authenticate(const net::HttpRequest* request);

  // A login of the web page: the value for Set-Cookie, or nothing for a wrong password. Errors as
  // above. `client`: where from.
  base::Task<absl::StatusOr<std::optional<std::string>>> LogIn(base::IpAddress client,
                                                               std::string address,
                                                               base::Secret password);
  // Ends the session of the cookie, if there is one.
  base::Task<absl::Status> LogOut(const net::HttpRequest* request);
  // A Set-Cookie that takes the cookie away.
  static std::string ExpiredCookie();

 private:
  struct Known {
    User user;
    absl::Duration until;
  };
  class Check;

  base::Task<absl::StatusOr<std::optional<User>>> ByPassword(base::IpAddress client,
                                                             std::string_view authorization);
  base::Task<absl::StatusOr<std::optional<User>>> BySession(std::string_view value);
  // `check` holds the place among those that run.
  base::Task<login::Step> RunCheck(std::optional<Check>* check, base::IpAddress client,
                                   std::string address, base::Secret password);
  // Whose password it is.
  base::Task<absl::StatusOr<std::optional<User>>> CheckPassword(base::IpAddress client,
                                                                std::string address,
                                                                base::Secret password);
  base::Task<void> Fail(base::IpAddress client, std::string reason);
  std::optional<User> Recall(const std::string& key);
  void Remember(const std::string& key, const User& user);

  Environment* const env_;
  const login::Authenticator passwords_;
  std::mutex mutex_;
  int checking_ = 0;                                   // guarded by mutex_
  absl::flat_hash_map<std::string, int> checking_of_;  // guarded by mutex_; by address
  absl::flat_hash_map<std::string, Known> known_;      // guarded by mutex_
  int64_t known_at_ = 0;  // guarded by mutex_; directory_seen() when they were right
};

// Which clients are one: see IpAddress::CustomerNetwork().
std::string ClientKey(const base::IpAddress& address);

// A request that a browser made by itself for another site's page.
bool IsForeignRequest(const net::HttpRequest& request);

}  // namespace godwit::webmail_api

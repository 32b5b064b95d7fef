#pragma once

// Who asks: HTTP Basic (RFC 7617) for mail programs, a cookie for the web page.
//
// A password is checked as imap-gateway does it: against SCRAM verifiers, on a database thread; an
// unknown user costs the same, and a failure is answered after a pause. Mail programs send the
// password with each request, so one that was right is known again for half a minute by a keyed
// hash of it, never by itself; a login that was locked meanwhile is found out after that.
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
#include "libs/base/secret.h"
#include "libs/base/task.h"
#include "libs/net/http.h"
#include "libs/store/credentials.h"
#include "libs/store/ids.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

struct User {
  store::AccountId account = store::AccountId::kNone;
  std::string address;     // that was logged in with
  std::string token_hash;  // of the session; "" with Basic
  int64_t credential = 0;  // that was right
};

class Authenticator {
 public:
  explicit Authenticator(Environment* environment) : env_(environment) {}

  // Nothing for a wrong or missing proof. Unavailable, ResourceExhausted: nobody can tell now.
  base::Task<absl::StatusOr<std::optional<User>>> Authenticate(const net::HttpRequest* request);

  // A login of the web page: the value for Set-Cookie, or nothing for a wrong password.
  base::Task<absl::StatusOr<std::optional<std::string>>> LogIn(std::string address,
                                                               base::Secret password);
  // Ends the session of the cookie, if there is one.
  base::Task<absl::Status> LogOut(const net::HttpRequest* request);
  // A Set-Cookie that takes the cookie away.
  static std::string ExpiredCookie();

 private:
  struct Verdict {
    store::Login login;
    std::optional<store::Credential> credential;  // that was right
  };
  struct Known {
    store::AccountId account;
    std::string address;
    int64_t credential;
    absl::Duration until;
  };
  base::Task<absl::StatusOr<std::optional<User>>> ByPassword(std::string_view authorization);
  base::Task<absl::StatusOr<std::optional<User>>> BySession(std::string_view value);
  base::Task<absl::StatusOr<Verdict>> Check(std::string address, base::Secret password);
  std::optional<User> Recall(const std::string& key);
  void Remember(const std::string& key, const User& user);

  Environment* const env_;
  std::mutex mutex_;
  int checking_ = 0;                               // guarded by mutex_
  absl::flat_hash_map<std::string, Known> known_;  // guarded by mutex_
};

// A request that a browser made by itself for another site's page.
bool IsForeignRequest(const net::HttpRequest& request);

}  // namespace godwit::webmail_api

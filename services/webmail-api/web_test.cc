// The web page's side: files, logins, redirects, headers.

#include <catch2/catch.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "libs/base/ip_address.h"
#include "libs/net/connector.h"
#include "libs/store/credentials.h"
#include "services/webmail-api/auth.h"
#include "services/webmail-api/webmail_fixture.h"

namespace godwit::webmail_api {
namespace {

const net::HttpField kOwn = {"Origin", "https://mail.b.example"};

std::string CookieOf(const net::HttpResponse& response) {
  const std::string_view field = response.field("set-cookie");
  return std::string(field.substr(0, field.find(';')));
}

net::HttpResponse LogIn(WebmailFixture& fixture, const std::string& password,
                        const net::HttpField& origin = kOwn) {
  return fixture.FetchBare("POST", "/login",
                           R"({"address":"alice@b.example","password":")" + password + "\"}",
                           {origin});
}

TEST_CASE("The page comes with its policy, and once", "[webmail-api][component]") {
  WebmailFixture fixture;
  const auto page = fixture.FetchBare("GET", "/");
  CHECK(page.status == 200);
  CHECK(page.field("content-type") == "text/html; charset=utf-8");
  const std::string policy(page.field("content-security-policy"));
  CHECK(policy.find("default-src 'none'") != std::string::npos);
  CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
  CHECK(policy.find("unsafe") == std::string::npos);
  CHECK(page.field("x-content-type-options") == "nosniff");
  CHECK_FALSE(page.field("strict-transport-security").empty());
  const std::string etag(page.field("etag"));
  const auto again = fixture.FetchBare("GET", "/", "", {{"If-None-Match", "\"x\", " + etag}});
  CHECK(again.status == 304);
  CHECK(again.body.empty());
  CHECK(fixture.FetchBare("HEAD", "/app.js").body.empty());
  CHECK(fixture.FetchBare("GET", "/app.js").field("content-type") ==
        "text/javascript; charset=utf-8");
  CHECK(fixture.FetchBare("GET", "/nothing").status == 404);
  CHECK(fixture.FetchBare("GET", "/../etc/passwd").status == 404);
  CHECK(fixture.FetchBare("POST", "/").status == 405);
  // What shows messages runs no script, whatever it is given.
  const std::string frame(fixture.FetchBare("GET", "/frame.html").field("content-security-policy"));
  CHECK(frame.find("default-src 'none'") != std::string::npos);
  CHECK(frame.find("script-src") == std::string::npos);
  CHECK(frame.find("allow-scripts") == std::string::npos);
  CHECK(frame.find("http") == std::string::npos);
}

TEST_CASE("Port 80 sends to 443", "[webmail-api][component]") {
  WebmailFixture fixture;
  net::FetchOptions options;
  options.url = "http://mail.b.example:8080/a?b=c";
  options.to = fixture.http();
  const auto response = fixture.reactor().RunUntilDone(net::Fetch(options));
  REQUIRE(response.ok());
  CHECK(response->status == 301);
  CHECK(response->field("location") ==
        "https://mail.b.example:" + std::to_string(fixture.https().port) + "/a?b=c");
  options.method = "POST";
  options.body = "x";
  const auto post = fixture.reactor().RunUntilDone(net::Fetch(options));
  REQUIRE(post.ok());
  CHECK(post->status == 413);
}

TEST_CASE("A login of the page", "[webmail-api][component]") {
  WebmailFixture fixture;
  CHECK(LogIn(fixture, "wrong").status == 401);
  const auto login = LogIn(fixture, "secret");
  CHECK(login.status == 204);
  const std::string set(login.field("set-cookie"));
  CHECK(set.starts_with("__Host-godwit="));
  for (const char* attribute : {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}) {
    CHECK(set.find(attribute) != std::string::npos);
  }
  const net::HttpField cookie = {"Cookie", "other=1; " + CookieOf(login)};
  const auto get = [&](std::vector<net::HttpField> fields) {
    fields.push_back(cookie);
    return fixture.FetchBare("GET", "/jmap/session", "", std::move(fields)).status;
  };
  CHECK(get({}) == 200);
  CHECK(fixture
            .FetchBare("GET", "/jmap/session", "",
                       {{"Authorization", "Bearer " + CookieOf(login).substr(14)}})
            .status == 200);
  CHECK(fixture.FetchBare("GET", "/jmap/session", "", {{"Authorization", "Bearer 1-x"}}).status ==
        401);
  CHECK(get({{"Sec-Fetch-Site", "same-origin"}}) == 200);
  CHECK(get({{"Sec-Fetch-Site", "cross-site"}}) == 401);
  CHECK(get({{"Sec-Fetch-Site", "same-site"}}) == 401);
  CHECK(get({{"Origin", "https://evil.example"}}) == 401);
  // The database has no token, and another account's name in the cookie helps nobody.
  const std::string token = CookieOf(login).substr(CookieOf(login).find('-') + 1);
  CHECK(fixture.database().Ask("SELECT count(*) FROM web_sessions") == "1");
  CHECK(fixture.database().Ask("SELECT count(*) FROM web_sessions WHERE "
                               "encode(token_hash, 'escape') = '" +
                               token + "'") == "0");
  const std::string bob = fixture.AccountId("bob@b.example").substr(1);
  CHECK(
      fixture
          .FetchBare("GET", "/jmap/session", "", {{"Cookie", "__Host-godwit=" + bob + "-" + token}})
          .status == 401);

  SECTION("ends with logging out") {
    CHECK(fixture.FetchBare("POST", "/logout", "", {cookie, {"Origin", "https://evil.example"}})
              .status == 403);
    CHECK(get({}) == 200);
    const auto out = fixture.FetchBare("POST", "/logout", "", {cookie, kOwn});
    CHECK(out.status == 204);
    CHECK(out.field("set-cookie").find("Max-Age=0") != std::string_view::npos);
    CHECK(get({}) == 401);
  }
  SECTION("ends when it expires") {
    REQUIRE(fixture.connection()
                .ExecuteScript("UPDATE web_sessions SET expires_at = '2001-01-01'")
                .ok());
    CHECK(get({}) == 401);
  }
  SECTION("ends with the password that it was made with") {
    REQUIRE(fixture.connection()
                .ExecuteScript("UPDATE credentials SET created_at = created_at + interval '1 s'")
                .ok());
    CHECK(get({}) == 401);
  }
  SECTION("ends when the account is disabled") {
    REQUIRE(fixture.connection().ExecuteScript("UPDATE accounts SET disabled = true").ok());
    CHECK(get({}) == 401);
    CHECK(LogIn(fixture, "secret").status == 401);
  }
}

TEST_CASE("What changes something must come from the page", "[webmail-api][component]") {
  WebmailFixture fixture;
  const net::HttpField cookie = {"Cookie", CookieOf(LogIn(fixture, "secret"))};
  const std::string body =
      R"({"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"0"]]})";
  const auto post = [&](std::vector<net::HttpField> fields) {
    fields.push_back(cookie);
    fields.push_back({"Content-Type", "application/json"});
    return fixture.FetchBare("POST", "/jmap/api", body, std::move(fields)).status;
  };
  CHECK(post({kOwn}) == 200);
  CHECK(post({kOwn, {"Sec-Fetch-Site", "same-origin"}}) == 200);
  CHECK(post({}) == 401);
  CHECK(post({{"Origin", "null"}}) == 401);
  CHECK(post({{"Origin", "https://mail.b.example.evil.example"}}) == 401);
  CHECK(post({{"Origin", "http://mail.b.example"}}) == 401);
  CHECK(post({kOwn, {"Sec-Fetch-Site", "cross-site"}}) == 401);
  // Logging a victim in as somebody else is refused, too.
  CHECK(LogIn(fixture, "secret", {"Origin", "https://evil.example"}).status == 403);
}

void AllowFailures(Config* config, uint32_t per_minute) {
  auto* failed = config->mutable_login()->mutable_failed_logins();
  failed->set_per_minute(per_minute);
  failed->mutable_networks()->set_ipv4_nearest(32);
  failed->mutable_networks()->set_wider_factor(3);
  failed->mutable_networks()->set_widest_factor(9);
}

// Nothing was counted: one host could try passwords as fast as they were hashed.
TEST_CASE("Guessing passwords has a bound by network", "[webmail-api][component]") {
  WebmailFixture fixture([](Config* config) { AllowFailures(config, 3); });
  const auto bob = [&](std::string_view password) {
    return fixture.Fetch("GET", "/jmap/session", "", {fixture.Basic("bob@b.example", password)});
  };
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 200);
  CHECK(LogIn(fixture, "wrong").status == 401);
  CHECK(bob("x").status == 401);
  CHECK(bob("x").status == 401);  // nothing new
  CHECK(LogIn(fixture, "wrong again").status == 401);
  // Now the right one is not looked at either.
  const auto limited = bob("secret");
  CHECK(limited.status == 429);
  CHECK_FALSE(limited.field("retry-after").empty());
  // Who has come from here goes on.
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 200);
  CHECK(LogIn(fixture, "secret").status == 204);
}

// Those who waited for one that was being judged had all places, and everybody else was told 503.
TEST_CASE("Who waits for his turn takes no place among those that are judged",
          "[webmail-api][component]") {
  WebmailFixture fixture([](Config* config) {
    config->mutable_login()->set_concurrent_checks(16);  // four of one address
    AllowFailures(config, 2);
  });
  CHECK(LogIn(fixture, "wrong").status == 401);  // one more may be judged at a time
  REQUIRE(fixture.connection().ExecuteScript("BEGIN; LOCK TABLE credentials").ok());
  std::thread judge([&] {
    absl::SleepFor(absl::Milliseconds(500));
    CHECK(fixture.connection().ExecuteScript("COMMIT").ok());
  });
  net::FetchOptions options;
  options.url = "https://mail.b.example/jmap/session";
  options.to = fixture.https();
  options.tls = fixture.client_tls();
  options.fields = {WebmailFixture::Basic("alice@b.example")};
  std::vector<base::Task<absl::StatusOr<net::HttpResponse>>> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(net::Fetch(options));
  const auto responses = fixture.reactor().RunUntilDone(base::WhenAll(std::move(requests)));
  judge.join();
  for (const auto& response : responses) {
    REQUIRE(response.ok());
    CHECK(response->status == 200);
  }
}

TEST_CASE("IPv6 clients of one /64 are one", "[webmail-api][unit]") {
  const auto key = [](std::string_view text) { return ClientKey(*base::IpAddress::Parse(text)); };
  CHECK(key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9"));
  CHECK(key("2001:db8:1:2::1") != key("2001:db8:1:3::1"));
  CHECK(key("192.0.2.1") != key("192.0.2.2"));
}

// It was good for half a minute more.
TEST_CASE("A password that is taken away opens nothing two seconds later",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 200);
  REQUIRE(fixture.connection().ExecuteScript("DELETE FROM credentials").ok());
  const absl::Time begin = absl::Now();
  int status = 200;
  while (status == 200 && absl::Now() < begin + absl::Seconds(10)) {
    status = fixture.Fetch("GET", "/jmap/session").status;
    absl::SleepFor(absl::Milliseconds(50));
  }
  CHECK(status == 401);
  CHECK(absl::Now() - begin < absl::Seconds(4));
}

TEST_CASE("One address has a share of the connections", "[webmail-api][component]") {
  WebmailFixture fixture(
      [](Config* config) { config->mutable_limits()->set_connections_per_address(2); });
  net::ConnectOptions to;
  to.to = fixture.https();
  net::FetchOptions options;
  options.url = "https://mail.b.example/";
  options.to = fixture.https();
  options.tls = fixture.client_tls();
  // Who comes first is not who is accepted first: one that is held may be the one that is cut.
  std::vector<std::unique_ptr<net::Stream>> held;
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) {
    auto stream = fixture.reactor().RunUntilDone(net::Connect(to));
    if (stream.ok()) held.push_back(*std::move(stream));
    refused = !fixture.reactor().RunUntilDone(net::Fetch(options)).ok();
  }
  CHECK(refused);
  held.clear();
  bool served = false;
  for (int i = 0; i < 100 && !served; ++i) {
    served = fixture.reactor().RunUntilDone(net::Fetch(options)).ok();
    absl::SleepFor(absl::Milliseconds(20));
  }
  CHECK(served);
}

// A password that opens IMAP only is no key to the web.
TEST_CASE("Only credentials for the web open it", "[webmail-api][component]") {
  WebmailFixture fixture;
  REQUIRE(fixture.connection().ExecuteScript("UPDATE credentials SET scopes = 1").ok());
  CHECK(LogIn(fixture, "secret").status == 401);
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 401);
}

TEST_CASE("Sessions of an account have a bound, and the oldest goes", "[webmail-api][component]") {
  WebmailFixture fixture;
  const net::HttpField first = {"Cookie", CookieOf(LogIn(fixture, "secret"))};
  REQUIRE(fixture.connection()
              .ExecuteScript("INSERT INTO web_sessions SELECT account_id, sha256(n::text::bytea), "
                             "address, credential_id, credential_at, created_at + "
                             "make_interval(secs => n), expires_at FROM web_sessions, "
                             "generate_series(1, 99) n")
              .ok());
  CHECK(fixture.FetchBare("GET", "/jmap/session", "", {first}).status == 200);
  CHECK(LogIn(fixture, "secret").status == 204);
  CHECK(fixture.database().Ask("SELECT count(*) FROM web_sessions") == "100");
  CHECK(fixture.FetchBare("GET", "/jmap/session", "", {first}).status == 401);
}

TEST_CASE("Without a database the answer is 503", "[webmail-api][component]") {
  WebmailFixture fixture;
  const net::HttpField cookie = {"Cookie", CookieOf(LogIn(fixture, "secret"))};
  testing::ScratchDatabase::StopCluster();
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 503);
  // Whoever logs out is logged out at this computer, at least.
  const auto out = fixture.FetchBare("POST", "/logout", "", {cookie, kOwn});
  CHECK(out.status == 503);
  CHECK(out.field("set-cookie").find("Max-Age=0") != std::string_view::npos);
  CHECK(fixture.FetchBare("GET", "/").status == 200);
  testing::ScratchDatabase::StartCluster();
  for (int i = 0; i < 100; ++i) {
    if (fixture.Fetch("GET", "/jmap/session").status == 200) return;
    absl::SleepFor(absl::Milliseconds(100));
  }
  FAIL("it did not come back");
}

}  // namespace
}  // namespace godwit::webmail_api

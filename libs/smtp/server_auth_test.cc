// AUTH in the server's session: every reply of RFC 4954, and what it guards.

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/encoding.h"
#include "libs/smtp/session_runner.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

// "secret" is c2VjcmV0, "more" bW9yZQ==, "wrong" d3Jvbmc=.
ServerOptions Options(bool tls = true) {
  ServerOptions options;
  options.hostname = "mail.example";
  options.tls = tls;
  options.require_tls = true;
  options.require_auth = true;
  options.extensions = {Extension::kStartTls, Extension::kAuth, Extension::kRequireTls,
                        Extension::kDsn, Extension::kFutureRelease};
  options.auth_mechanisms = {"SCRAM-SHA-256", "PLAIN", "LOGIN"};
  options.future_release = "86400 2026-01-02T00:00:00Z";
  return options;
}

void CheckDialog(const ServerOptions& options, std::string_view text,
                 const SessionPolicy& policy = {}) {
  const Dialog dialog = PlayDialog(options, policy, text);
  CHECK(dialog.got == dialog.want);
}

TEST_CASE("AUTH is offered and taken inside TLS only, and forgotten by it (RFC 4954 §4)",
          "[smtp][unit]") {
  CheckDialog(Options(false), R"(
    S: 220 mail.example ESMTP Godwit
    C: EHLO c
    S: 250-mail.example
    S: 250-STARTTLS
    S: 250-DSN
    S: 250 FUTURERELEASE 86400 2026-01-02T00:00:00Z
    C: AUTH PLAIN c2VjcmV0
    S: 538 5.7.11 Encryption required, use STARTTLS first
    C: MAIL FROM:<a@x.example>
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: AUTH PLAIN c2VjcmV0
    S: 503 5.5.1 Send EHLO first
    C: EHLO c
    S: 250-mail.example
    S: 250-DSN
    S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
    S: 250-REQUIRETLS
    S: 250 FUTURERELEASE 86400 2026-01-02T00:00:00Z
    C: MAIL FROM:<a@x.example>
    S: 530 5.7.0 Authentication required
    C: VRFY a
    S: 530 5.7.0 Authentication required
    C: DATA
    S: 530 5.7.0 Authentication required
    C: NOOP
    S: 250 2.0.0 OK
    C: AUTH plain c2VjcmV0
    S: 235 2.7.0 Authentication succeeded
    C: MAIL FROM:<a@x.example> AUTH=<> REQUIRETLS
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+40y.example
    S: 250 2.1.5 Recipient OK
  )");
}

TEST_CASE("An authenticated session is so until TLS begins", "[smtp][unit]") {
  ServerOptions options = Options(false);
  options.require_tls = false;
  options.auth_without_tls = true;
  CheckDialog(options, R"(
    S: 220 mail.example ESMTP Godwit
    C: EHLO c
    S: 250-mail.example
    S: 250-STARTTLS
    S: 250-DSN
    S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
    S: 250 FUTURERELEASE 86400 2026-01-02T00:00:00Z
    C: AUTH PLAIN c2VjcmV0
    S: 235 2.7.0 Authentication succeeded
    C: RSET
    S: 250 2.0.0 OK
    C: HELO c
    S: 250 mail.example
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: HELO c
    S: 250 mail.example
    C: MAIL FROM:<a@x.example>
    S: 530 5.7.0 Authentication required
  )");
}

constexpr std::string_view kGreeting = R"(
    S: 220 mail.example ESMTP Godwit
    C: EHLO c
    S: 250-mail.example
    S: 250-DSN
    S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
    S: 250-REQUIRETLS
    S: 250 FUTURERELEASE 86400 2026-01-02T00:00:00Z
)";

void CheckAuthDialog(std::string_view text, const SessionPolicy& policy = {}) {
  CheckDialog(Options(), std::string(kGreeting) + std::string(text), policy);
}

TEST_CASE("An exchange has challenges, answers, and an end (RFC 4954 §4)", "[smtp][unit]") {
  CheckAuthDialog(R"(
    C: AUTH LOGIN
    S: 334 bW9yZQ==
    C: d3Jvbmc=
    S: 535 5.7.8 Authentication credentials invalid
    C: AUTH LOGIN
    S: 334 bW9yZQ==
    C: *
    S: 501 5.7.0 Authentication cancelled
    C: AUTH LOGIN
    S: 334 bW9yZQ==
    C: MAIL FROM:<a@x.example>
    S: 501 5.5.2 Not base 64
    C: AUTH LOGIN
    S: 334 bW9yZQ==
    C:
    S: 535 5.7.8 Authentication credentials invalid
    C: AUTH LOGIN
    S: 334 bW9yZQ==
    C: c2VjcmV0
    S: 235 2.7.0 Authentication succeeded
    C: AUTH LOGIN
    S: 503 5.5.1 Authenticated already
  )");
}

TEST_CASE("What AUTH itself may say wrong", "[smtp][unit]") {
  CheckAuthDialog(R"(
    C: AUTH
    S: 504 5.5.4 Authentication mechanism not supported
    C: AUTH CRAM-MD5
    S: 504 5.5.4 Authentication mechanism not supported
    C: AUTH PLAIN not-base-64
    S: 501 5.5.2 Not base 64
    C: AUTH PLAIN c2VjcmV0 c2VjcmV0
    S: 501 5.5.2 Not base 64
    C: AUTH PLAIN =
    S: 535 5.7.8 Authentication credentials invalid
    C: AUTH PLAIN   c2VjcmV0
    S: 235 2.7.0 Authentication succeeded
    C: HELO c
    S: 250 mail.example
  )");
  CheckDialog(Options(), R"(
    S: 220 mail.example ESMTP Godwit
    C: HELO c
    S: 250 mail.example
    C: AUTH PLAIN c2VjcmV0
    S: 503 5.5.1 Send EHLO first
  )");
}

TEST_CASE("AUTH is no part of a mail transaction", "[smtp][unit]") {
  ServerOptions options = Options();
  options.require_auth = false;
  CheckDialog(options, std::string(kGreeting) + R"(
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
    C: AUTH PLAIN c2VjcmV0
    S: 503 5.5.1 Not during a mail transaction
  )");
}

TEST_CASE("Where AUTH is not offered it is 503, and its parameter of MAIL unknown",
          "[smtp][unit]") {
  ServerOptions options;
  options.hostname = "mail.example";
  options.tls = true;
  CheckDialog(options, R"(
    S: 220 mail.example ESMTP Godwit
    C: HELO c
    S: 250 mail.example
    C: AUTH PLAIN c2VjcmV0
    S: 503 5.5.1 Authentication is not offered here
    C: MAIL FROM:<a@x.example> AUTH=<>
    S: 555 5.5.4 Parameter not recognized
    C: MAIL FROM:<a@x.example> REQUIRETLS
    S: 555 5.5.4 Parameter not recognized
    C: MAIL FROM:<a@x.example> HOLDFOR=10
    S: 555 5.5.4 Parameter not recognized
  )");
}

TEST_CASE("Failures of the driver: temporary ones are not the client's fault, 421 ends it",
          "[smtp][unit]") {
  SessionPolicy policy;
  int calls = 0;
  policy.auth = [&calls](const CheckAuth&) -> AuthAnswer {
    return MakeReply(++calls <= 20 ? ReplyKind::kAuthNotPossible : ReplyKind::kTooManyErrors);
  };
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += "C: AUTH PLAIN c2VjcmV0\nS: 454 4.7.0 Temporary authentication failure\n";
  }
  CheckAuthDialog(text +
                      "C: AUTH PLAIN c2VjcmV0\n"
                      "S: 421 4.7.0 Too many errors, closing the connection\nS: (closed)\n",
                  policy);
}

TEST_CASE("Guessing is counted as an error", "[smtp][unit]") {
  std::string text;
  for (int i = 0; i < 10; ++i) {
    text += "C: AUTH PLAIN d3Jvbmc=\nS: 535 5.7.8 Authentication credentials invalid\n";
  }
  CheckAuthDialog(text +
                  "C: AUTH PLAIN d3Jvbmc=\n"
                  "S: 421 4.7.0 Too many errors, closing the connection\nS: (closed)\n");
}

TEST_CASE("An answer may be longer than a command, up to its own limit", "[smtp][unit]") {
  SessionPolicy policy;
  size_t seen = 0;
  policy.auth_response = [&seen](const AuthResponse& response) -> AuthAnswer {
    seen = response.bytes.size();
    return MakeReply(ReplyKind::kAuthFailed);
  };
  const auto feed = [&](size_t octets) {
    SessionRunner runner(Options(), policy);
    runner.Feed("EHLO c\r\nAUTH PLAIN\r\n");
    runner.TakeReplies();
    runner.Feed(std::string(octets, 'A') + "\r\n");
    return runner.TakeReplies();
  };
  CHECK(feed(12284) == "535 5.7.8 Authentication credentials invalid\r\n");
  CHECK(seen == 9213);
  CHECK(feed(12288) == "500 5.5.6 Authentication exchange line is too long\r\n");
  CHECK(feed(70000).substr(0, 3) == "500");
  // A command is not longer for that.
  SessionRunner runner(Options(), policy);
  runner.Feed("EHLO c\r\n");
  runner.TakeReplies();
  runner.Feed("AUTH PLAIN " + std::string(3000, 'A') + "\r\n");
  CHECK(runner.TakeReplies() == "500 5.5.2 Command line too long\r\n");
}

TEST_CASE("A challenge is one line, however long", "[smtp][unit]") {
  SessionPolicy policy;
  policy.auth = [](const CheckAuth&) -> AuthAnswer {
    return AuthChallenge{std::string(1000, '\xff')};
  };
  SessionRunner runner(Options(), policy);
  runner.Feed("EHLO c\r\n");
  runner.TakeReplies();
  runner.Feed("AUTH PLAIN\r\n");
  CHECK(runner.TakeReplies() == "334 " + base::Base64Encode(std::string(1000, '\xff')) + "\r\n");
  CHECK_FALSE(runner.session().idle());
  // Nobody knows where a line ends that is longer than what is discarded.
  runner.Feed(std::string(CommandParser::Limits().discard + 1, 'A'));
  CHECK(runner.closed());
  CHECK(runner.session().cut() == "protocol");
}

TEST_CASE("An exchange gives the same for every split", "[smtp][unit]") {
  const std::string wire =
      "EHLO c\r\nAUTH LOGIN\r\nba\nd\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN\r\nc2VjcmV0\r\n"
      "MAIL FROM:<a@x> HOLDFOR=10\r\nQUIT\r\n";
  const Transcript whole = RunSession(Options(), {wire});
  CHECK(whole.actions == std::vector<std::string>{"AUTH LOGIN", "AUTH LOGIN", "AUTH LOGIN",
                                                  "RESPONSE secret", "MAIL <a@x>", "CLOSE"});
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(RunSession(Options(), chunks) == whole);
  });
}

}  // namespace
}  // namespace godwit::smtp

// A dialogue for every reply that the session gives by itself, and what EHLO offers in each state.

#include <catch2/catch.hpp>
#include <string>

#include "libs/smtp/server.h"
#include "libs/smtp/session_runner.h"

namespace godwit::smtp {
namespace {

ServerOptions Options() {
  ServerOptions options;
  options.hostname = "mx.example";
  options.extensions.Add(Extension::kStartTls);
  options.extensions.Add(Extension::kRequireTls);
  options.extensions.Add(Extension::kDsn);
  options.max_transactions = 7;
  options.max_recipients = 5;
  options.data = {1000, 20};
  return options;
}

void Play(std::string_view text, const ServerOptions& options = Options(),
          const SessionPolicy& policy = {}) {
  const Dialog dialog = PlayDialog(options, policy, text);
  CHECK(dialog.got == dialog.want);
}

TEST_CASE("EHLO offers exactly what works in its state (RFC 5321 §4.1.1.1)", "[smtp][unit]") {
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: EHLO c
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250-SIZE 1000
    S: 250-STARTTLS
    S: 250-ENHANCEDSTATUSCODES
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250 LIMITS MAILMAX=7 RCPTMAX=5
    C: MAIL FROM:<a@x> REQUIRETLS
    S: 555 5.5.4 Parameter not recognized
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: EHLO c
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250-SIZE 1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250-REQUIRETLS
    S: 250 LIMITS MAILMAX=7 RCPTMAX=5
    C: MAIL FROM:<a@x> REQUIRETLS
    S: 250 2.1.0 Sender OK
    C: RSET
    S: 250 2.0.0 OK
    C: HELO c
    S: 250 mx.example
  )");
}

TEST_CASE("LIMITS says what is kept: one MAIL more is 421, one RCPT more 452 (RFC 9422 §4)",
          "[smtp][unit]") {
  ServerOptions options = Options();
  options.max_transactions = 1;
  options.max_recipients = 1;
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@y>
    S: 250 2.1.5 Recipient OK
    C: RCPT TO:<c@y>
    S: 452 4.5.3 Too many recipients
    C: RSET
    S: 250 2.0.0 OK
    C: MAIL FROM:<a@x>
    S: 421 4.7.0 Too many messages, connect again
    S: (closed)
  )",
       options);
}

TEST_CASE("2xx, 3xx: what a good client hears", "[smtp][unit]") {
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: NOOP x
    S: 250 2.0.0 OK
    C: HELP MAIL
    S: 214 2.0.0 See RFC 5321
    C: VRFY postmaster
    S: 252 2.0.0 Can not verify, send the message and see
    C: MAIL FROM:<>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<postmaster> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b
    S: 250 2.1.5 Recipient OK
    C: DATA
    S: 354 Start mail input; end with <CRLF>.<CRLF>
    C: A: b
    C: .
    S: 250 2.0.0 Message accepted
    C: MAIL FROM:<a@x>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@y>
    S: 250 2.1.5 Recipient OK
    C: BDAT 6
    C: A: b
    S: 250 2.0.0 6 octets received
    C: BDAT 0 LAST
    S: 250 2.0.0 Message accepted
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: QUIT
    S: 221 2.0.0 Goodbye
    S: (closed)
  )");
}

TEST_CASE("500, 501, 502: what is not understood", "[smtp][unit]") {
  ServerOptions options = Options();
  options.max_errors = 100;
  options.command.line = 20;
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: FOO
    S: 500 5.5.1 Unknown command
    C:
    S: 500 5.5.1 Unknown command
    C: NOOP 1234567890123456
    S: 500 5.5.2 Command line too long
    C: EXPN staff
    S: 502 5.5.1 Command not implemented
    C: ETRN x
    S: 502 5.5.1 Command not implemented
    C: EHLO
    S: 501 5.5.4 Give your domain or address literal
    C: VRFY
    S: 501 5.5.4 Syntax error in arguments
    C: RSET x
    S: 501 5.5.4 Syntax error in arguments
    C: STARTTLS x
    S: 501 5.5.4 Syntax error in arguments
    C: MAIL a@x
    S: 501 5.5.4 Syntax: MAIL FROM:<address>
    C: RCPT a@x
    S: 501 5.5.4 Syntax: RCPT TO:<address>
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@>
    S: 501 5.1.7 Bad sender address syntax
    C: MAIL FROM:<a@x> A=
    S: 501 5.5.4 Bad parameter value
    C: MAIL FROM:<a@x>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<>
    S: 501 5.1.3 Bad recipient address syntax
    C: DATA x
    S: 501 5.5.4 Syntax error in arguments
    C: BDAT x
    S: 501 5.5.4 Syntax: BDAT size [LAST], closing
    S: (closed)
  )",
       options);
  SessionRunner bare(options);
  bare.TakeReplies();
  bare.Feed("NOOP\n\r\nNOOP\r\r\n");
  const std::string reply = "500 5.5.2 Bare CR, bare LF or NUL in a command\r\n";
  CHECK(bare.TakeReplies() == reply + reply);
}

TEST_CASE("503: order (RFC 5321 §4.1.4)", "[smtp][unit]") {
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: MAIL FROM:<a@x>
    S: 503 5.5.1 Send EHLO first
    C: HELO c
    S: 250 mx.example
    C: RCPT TO:<a@x>
    S: 503 5.5.1 Send MAIL first
    C: DATA
    S: 503 5.5.1 Send MAIL first
    C: BDAT 0 LAST
    S: 503 5.5.1 Send MAIL first
    C: AUTH PLAIN
    S: 503 5.5.1 Authentication is not offered here
    C: MAIL FROM:<a@x> BODY=BINARYMIME
    S: 250 2.1.0 Sender OK
    C: MAIL FROM:<a@x>
    S: 503 5.5.1 MAIL was given already
    C: RCPT TO:<b@y>
    S: 250 2.1.5 Recipient OK
    C: DATA
    S: 503 5.5.1 BINARYMIME needs BDAT
    C: BDAT 2
    C:
    S: 250 2.0.0 2 octets received
    C: RCPT TO:<b@y>
    S: 503 5.5.1 The message has begun
    C: DATA
    S: 503 5.5.1 The message has begun
  )");
}

TEST_CASE("550, 552, 553, 554, 555: what is not taken", "[smtp][unit]") {
  SessionPolicy policy;
  policy.rcpt = [](const CheckRcpt&) { return MakeReply(ReplyKind::kRelayDenied); };
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x> SIZE=1001
    S: 552 5.3.4 Message size exceeds the limit
    C: MAIL FROM:<a@x> FOO
    S: 555 5.5.4 Parameter not recognized
    C: MAIL FROM:<a@x>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@y>
    S: 550 5.7.1 Relay access denied
    C: RCPT TO:<b@y> FOO=1
    S: 555 5.5.4 Parameter not recognized
    C: DATA
    S: 554 5.5.1 No valid recipients
    C: BDAT 3 LAST
    C: x
    S: 554 5.5.1 No valid recipients
    C: GET / HTTP/1.1
    S: 554 5.5.1 This is an SMTP server
    S: (closed)
  )",
       Options(), policy);
}

TEST_CASE("530: TLS or login is missing (RFC 3207 §4, RFC 4954 §6)", "[smtp][unit]") {
  ServerOptions options = Options();
  options.require_tls = true;
  options.require_auth = true;
  Play(R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x>
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: BDAT 0 LAST
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x>
    S: 530 5.7.0 Authentication required
    C: STARTTLS
    S: 503 5.5.1 TLS is on already
  )",
       options);
}

TEST_CASE("521: a host that takes no mail says so and closes (RFC 7504 §3)", "[smtp][unit]") {
  ServerOptions options = Options();
  options.no_mail = true;
  Play(R"(
    S: 521 5.3.2 This host does not accept mail
    S: (closed)
  )",
       options);
}

// First octets that are another protocol's.
TEST_CASE("HTTP, TLS and PROXY get a clear end, and nothing of them runs", "[smtp][unit]") {
  const std::string first = GENERATE(
      values<std::string>({"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "PRI * HTTP/2.0\r\n",
                           "CONNECT x:25 HTTP/1.1\r\n", "OPTIONS * RTSP/1.0\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n",
                           std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8)}));
  CAPTURE(first);
  SessionRunner runner(Options());
  runner.TakeReplies();
  runner.Feed(first + "EHLO c\r\nMAIL FROM:<evil@x>\r\n");
  CHECK(runner.TakeReplies().substr(0, 10) == "554 5.5.1 ");
  CHECK(runner.transcript().actions == std::vector<std::string>{"CLOSE"});
}

}  // namespace
}  // namespace godwit::smtp

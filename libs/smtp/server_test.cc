#include "libs/smtp/server.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"
#include "libs/smtp/session_runner.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

ServerOptions Options() {
  ServerOptions options;
  options.hostname = "mx.example";
  options.extensions.Add(Extension::kStartTls);
  options.data.size = 1000;
  return options;
}

// Refuses recipients whose local part is "nobody", and defers those called "later".
SessionPolicy Policy() {
  SessionPolicy policy;
  policy.rcpt = [](const CheckRcpt& rcpt) {
    if (rcpt.forward_path.local_part == "nobody") return MakeReply(ReplyKind::kUnknownUser);
    if (rcpt.forward_path.local_part == "later") return MakeReply(ReplyKind::kMailboxFull);
    return MakeReply(ReplyKind::kRecipientOk);
  };
  return policy;
}

void CheckDialog(const ServerOptions& options, const SessionPolicy& policy, std::string_view text) {
  const Dialog dialog = PlayDialog(options, policy, text);
  CHECK(dialog.got == dialog.want);
}

void CheckDialog(std::string_view dialog) { CheckDialog(Options(), Policy(), dialog); }

TEST_CASE("A session from greeting to QUIT", "[smtp][unit]") {
  CheckDialog(R"(
    S: 220 mx.example ESMTP Godwit
    C: EHLO client.example
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250-SIZE 1000
    S: 250-STARTTLS
    S: 250-ENHANCEDSTATUSCODES
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250 LIMITS MAILMAX=1000 RCPTMAX=1000
    C: MAIL FROM:<a@x.example> SIZE=100 BODY=8BITMIME
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@y.example>
    S: 250 2.1.5 Recipient OK
    C: RCPT TO:<nobody@y.example>
    S: 550 5.1.1 No such user here
    C: RCPT TO:<later@y.example>
    S: 452 4.2.2 Mailbox full
    C: DATA
    S: 354 Start mail input; end with <CRLF>.<CRLF>
    C: Subject: hello
    C:
    C: ..
    C: .
    S: 250 2.0.0 Message accepted
    C: NOOP
    S: 250 2.0.0 OK
    C: RSET
    S: 250 2.0.0 OK
    C: VRFY b
    S: 252 2.0.0 Can not verify, send the message and see
    C: HELP
    S: 214 2.0.0 See RFC 5321
    C: HELO client.example
    S: 250 mx.example
    C: QUIT
    S: 221 2.0.0 Goodbye
    S: (closed)
  )");
}

TEST_CASE("Commands out of order are 503, and the session goes on (RFC 5321 §4.1.4)",
          "[smtp][unit]") {
  CheckDialog(R"(
    S: 220 mx.example ESMTP Godwit
    C: MAIL FROM:<a@x.example>
    S: 503 5.5.1 Send EHLO first
    C: STARTTLS
    S: 503 5.5.1 Send EHLO first
    C: HELO c
    S: 250 mx.example
    C: RCPT TO:<b@y.example>
    S: 503 5.5.1 Send MAIL first
    C: DATA
    S: 503 5.5.1 Send MAIL first
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
    C: MAIL FROM:<a@x.example>
    S: 503 5.5.1 MAIL was given already
    C: DATA
    S: 554 5.5.1 No valid recipients
    C: AUTH PLAIN
    S: 503 5.5.1 Authentication is not offered here
    C: BDAT 0 LAST
    S: 554 5.5.1 No valid recipients
    C: EXPN staff
    S: 502 5.5.1 Command not implemented
    C: FOO
    S: 500 5.5.1 Unknown command
    C: QUIT
    S: 221 2.0.0 Goodbye
    S: (closed)
  )");
}

TEST_CASE("Syntax errors have their codes", "[smtp][unit]") {
  CheckDialog(R"(
    S: 220 mx.example ESMTP Godwit
    C: EHLO
    S: 501 5.5.4 Give your domain or address literal
    C: HELO a(b)
    S: 501 5.5.4 Give your domain or address literal
    C: HELO c
    S: 250 mx.example
    C: MAIL <a@x.example>
    S: 501 5.5.4 Syntax: MAIL FROM:<address>
    C: MAIL FROM:a@x.example
    S: 501 5.1.7 Bad sender address syntax
    C: MAIL FROM:<a@x.example> FOO=1
    S: 555 5.5.4 Parameter not recognized
    C: MAIL FROM:<a@x.example> SIZE=1001
    S: 552 5.3.4 Message size exceeds the limit
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b>
    S: 501 5.1.3 Bad recipient address syntax
    C: RCPT TO:<b@y.example> NOTIFY=NEVER
    S: 555 5.5.4 Parameter not recognized
    C: RCPT TO:<b@y.example>
    S: 250 2.1.5 Recipient OK
    C: DATA now
    S: 501 5.5.4 Syntax error in arguments
    C: RSET now
    S: 501 5.5.4 Syntax error in arguments
  )");
}

TEST_CASE("A non-ASCII address needs SMTPUTF8 (RFC 6531 §3.4)", "[smtp][unit]") {
  CheckDialog(
      "S: 220 mx.example ESMTP Godwit\n"
      "C: HELO c\n"
      "S: 250 mx.example\n"
      "C: MAIL FROM:<j\xc3\xb6rg@x.example>\n"
      "S: 553 5.6.7 Non-ASCII address needs SMTPUTF8\n"
      "C: MAIL FROM:<a@x.example>\n"
      "S: 250 2.1.0 Sender OK\n"
      "C: RCPT TO:<j\xc3\xb6rg@x.example>\n"
      "S: 553 5.6.7 Non-ASCII address needs SMTPUTF8\n"
      "C: RSET\n"
      "S: 250 2.0.0 OK\n"
      "C: MAIL FROM:<j\xc3\xb6rg@x.example> SMTPUTF8\n"
      "S: 250 2.1.0 Sender OK\n"
      "C: RCPT TO:<j\xc3\xb6rg@x.example>\n"
      "S: 250 2.1.5 Recipient OK\n");
}

TEST_CASE("A group of pipelined commands is answered in one go (RFC 2920 §3)", "[smtp][unit]") {
  SessionRunner runner(Options(), Policy());
  runner.Feed("EHLO c\r\n");
  runner.TakeReplies();
  ServerSession& session = runner.session();
  std::string_view in = "MAIL FROM:<a@x>\r\nRSET\r\nNOOP\r\n";
  REQUIRE(std::holds_alternative<CheckMailFrom>(session.Next(&in)));
  session.OnReply(MakeReply(ReplyKind::kSenderOk));
  const Action action = session.Next(&in);
  REQUIRE(std::holds_alternative<Send>(action));
  CHECK(std::get<Send>(action).bytes == "250 2.1.0 Sender OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n");
  CHECK(in.empty());
}

TEST_CASE("Bytes behind STARTTLS never run, and end the session (RFC 3207 §4.2, CVE-2011-0411)",
          "[smtp][unit]") {
  SessionRunner runner(Options(), Policy());
  runner.Feed("EHLO c\r\n");
  runner.TakeReplies();
  runner.Feed("STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n");
  CHECK(runner.TakeReplies() == "503 5.5.1 Pipelining not allowed here, closing\r\n");
  CHECK(runner.transcript().actions == std::vector<std::string>{"CLOSE"});
}

TEST_CASE("TLS forgets EHLO and the transaction (RFC 3207 §4.2)", "[smtp][unit]") {
  CheckDialog(R"(
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
    S: 250 LIMITS MAILMAX=1000 RCPTMAX=1000
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: RCPT TO:<b@y.example>
    S: 503 5.5.1 Send MAIL first
    C: MAIL FROM:<a@x.example>
    S: 503 5.5.1 Send EHLO first
    C: EHLO c
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250-SIZE 1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250 LIMITS MAILMAX=1000 RCPTMAX=1000
    C: STARTTLS
    S: 503 5.5.1 TLS is on already
  )");
}

TEST_CASE("With TLS required only EHLO, NOOP, QUIT and STARTTLS work before it (RFC 3207 §4)",
          "[smtp][unit]") {
  ServerOptions options = Options();
  options.require_tls = true;
  CheckDialog(options, Policy(), R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x.example>
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: NOOP
    S: 250 2.0.0 OK
    C: STARTTLS
    S: 220 2.0.0 Ready to start TLS
    C: HELO c
    S: 250 mx.example
    C: MAIL FROM:<a@x.example>
    S: 250 2.1.0 Sender OK
  )");
}

TEST_CASE("STARTTLS without a certificate is not implemented", "[smtp][unit]") {
  ServerOptions options = Options();
  options.extensions.Remove(Extension::kStartTls);
  CheckDialog(options, Policy(), R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    S: 250 mx.example
    C: STARTTLS
    S: 502 5.5.1 Command not implemented
  )");
}

constexpr std::string_view kStart =
    "EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n";

TEST_CASE("A smuggled message is refused at its true end, and the session is in step",
          "[smtp][unit]") {
  const std::string end = GENERATE(values<std::string>(
      {"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\r\n", "\n.\r"}));
  CAPTURE(end);
  const std::string wire = std::string(kStart) + "text" + end +
                           "MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nevil" +
                           "\r\n.\r\nNOOP\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const Transcript transcript = RunSession(Options(), chunks, Policy());
    CHECK(transcript.messages.empty());
    CHECK(transcript.actions ==
          std::vector<std::string>{"MAIL <a@x.example>", "RCPT <b@y.example>", "DATA", "REFUSED"});
    const std::string want = "550 5.6.11 Bare CR or bare LF in the message\r\n250 2.0.0 OK\r\n";
    CHECK(base::EndsWithIgnoreCase(transcript.replies, want));
  });
}

TEST_CASE("A message that is too big or has too long a line is refused at its end",
          "[smtp][unit]") {
  ServerOptions options = Options();
  options.data = {20, 10};
  SessionRunner runner(options, Policy());
  runner.Feed(kStart);
  runner.TakeReplies();
  runner.Feed("12345678\r\n12345678\r\n1\r\n.\r\n");
  CHECK(runner.TakeReplies() == "552 5.3.4 Message size exceeds the limit\r\n");
  runner.Feed(kStart);
  runner.TakeReplies();
  runner.Feed("12345678901\r\n.\r\n");
  CHECK(runner.TakeReplies() == "550 5.6.0 Line too long in the message\r\n");
}

TEST_CASE("A refused message without end is given up at the same octet for every split",
          "[smtp][unit]") {
  ServerOptions options = Options();
  options.data = {20, 10};
  const std::string wire = std::string(kStart) + std::string((1 << 20) + 100, 'x');
  const Transcript whole = RunSession(options, {wire}, Policy());
  CHECK(whole.actions.back() == "CLOSE");
  const std::string_view view = wire;
  CHECK(RunSession(options, {view.substr(0, 5000), view.substr(5000)}, Policy()) == whole);
}

TEST_CASE("Text behind a DATA that is refused does not become commands", "[smtp][unit]") {
  SessionRunner runner(Options(), Policy());
  runner.Feed("EHLO c\r\n");
  runner.TakeReplies();
  runner.Feed("MAIL FROM:<a@x>\r\nRCPT TO:<nobody@y>\r\nDATA\r\nMAIL FROM:<evil@x>\r\n.\r\n");
  CHECK(runner.TakeReplies() ==
        "250 2.1.0 Sender OK\r\n550 5.1.1 No such user here\r\n554 5.5.1 No valid recipients\r\n"
        "503 5.5.1 Pipelining not allowed here, closing\r\n");
  CHECK(runner.closed());

  SessionPolicy policy = Policy();
  policy.begin_data = [] { return MakeReply(ReplyKind::kInsufficientStorage); };
  SessionRunner other(Options(), policy);
  other.Feed(std::string(kStart) + "RSET\r\n");
  CHECK(other.closed());
  SessionRunner patient(Options(), policy);
  patient.Feed(kStart);
  patient.TakeReplies();
  patient.Feed("MAIL FROM:<a@x>\r\n");
  CHECK(patient.TakeReplies() == "250 2.1.0 Sender OK\r\n");
}

TEST_CASE("Other protocols get a clear end", "[smtp][unit]") {
  SessionRunner http(Options());
  http.Feed("POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@x>\r\n");
  CHECK(http.TakeReplies() ==
        "220 mx.example ESMTP Godwit\r\n554 5.5.1 This is an SMTP server\r\n");
  CHECK(http.closed());
  SessionRunner tls(Options());
  tls.Feed("\x16\x03\x01");
  CHECK(tls.closed());
  SessionRunner proxy(Options());
  proxy.Feed("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
  CHECK(proxy.closed());
}

TEST_CASE("The limits of a session end it with 421", "[smtp][unit]") {
  ServerOptions options = Options();
  options.max_errors = 2;
  options.max_transactions = 2;
  options.max_recipients = 2;
  options.max_refused_recipients = 2;
  options.max_idle_commands = 3;

  SECTION("errors") {
    CheckDialog(options, Policy(), R"(
      S: 220 mx.example ESMTP Godwit
      C: A
      C: B
      C: C
      C: D
      S: 500 5.5.1 Unknown command
      S: 500 5.5.1 Unknown command
      S: 421 4.7.0 Too many errors, closing the connection
      S: (closed)
    )");
  }
  SECTION("transactions") {
    CheckDialog(options, Policy(), R"(
      S: 220 mx.example ESMTP Godwit
      C: HELO c
      C: MAIL FROM:<a@x>
      C: RSET
      C: MAIL FROM:<a@x>
      C: RSET
      C: MAIL FROM:<a@x>
      S: 250 mx.example
      S: 250 2.1.0 Sender OK
      S: 250 2.0.0 OK
      S: 250 2.1.0 Sender OK
      S: 250 2.0.0 OK
      S: 421 4.7.0 Too many messages, connect again
      S: (closed)
    )");
  }
  SECTION("recipients: 452 over the limit (RFC 5321 §4.5.3.1.10), 421 when it does not end") {
    CheckDialog(options, Policy(), R"(
      S: 220 mx.example ESMTP Godwit
      C: HELO c
      C: MAIL FROM:<a@x>
      C: RCPT TO:<b@y>
      C: RCPT TO:<c@y>
      C: RCPT TO:<d@y>
      C: RCPT TO:<e@y>
      C: RCPT TO:<f@y>
      S: 250 mx.example
      S: 250 2.1.0 Sender OK
      S: 250 2.1.5 Recipient OK
      S: 250 2.1.5 Recipient OK
      S: 452 4.5.3 Too many recipients
      S: 452 4.5.3 Too many recipients
      S: 421 4.7.0 Too many errors, closing the connection
      S: (closed)
    )");
  }
  SECTION("commands that do nothing") {
    SessionRunner runner(options);
    runner.Feed("NOOP\r\nNOOP\r\nVRFY a\r\nNOOP\r\n");
    CHECK(base::EndsWithIgnoreCase(runner.TakeReplies(),
                                   "421 4.7.0 Too many errors, closing the connection\r\n"));
  }
}

TEST_CASE("A 421 of the driver, and End, close the session", "[smtp][unit]") {
  SessionPolicy policy;
  policy.mail = [](const CheckMailFrom&) { return MakeReply(ReplyKind::kShuttingDown); };
  SessionRunner runner(Options(), policy);
  runner.Feed("HELO c\r\nMAIL FROM:<a@x>\r\nNOOP\r\n");
  CHECK(runner.closed());
  SessionRunner idle(Options());
  CHECK(idle.session().idle());
  idle.Feed("NO");
  CHECK_FALSE(idle.session().idle());
  idle.session().End(MakeReply(ReplyKind::kTimeout), "silence");
  idle.Feed("");
  CHECK(idle.closed());
}

TEST_CASE("Every refusal has the session's id, or the longer one of its message", "[smtp][unit]") {
  ServerOptions options = Options();
  options.id = "abc";
  SessionPolicy policy = Policy();
  policy.rcpt = [](const CheckRcpt&) { return Reply{550, "5.1.1", {"No such user here [abc.1]"}}; };
  CheckDialog(options, policy, R"(
    S: 220 mx.example ESMTP Godwit
    C: HELO c
    C: NONSENSE
    C: MAIL FROM:<a@x>
    C: RCPT TO:<b@y>
    C: DATA
    S: 250 mx.example
    S: 500 5.5.1 Unknown command [abc]
    S: 250 2.1.0 Sender OK
    S: 550 5.1.1 No such user here [abc.1]
    S: 554 5.5.1 No valid recipients [abc]
  )");
}

TEST_CASE("A session tells what it refused, whose fault it was, and why it ended", "[smtp][unit]") {
  ServerOptions options = Options();
  options.max_errors = 2;
  SessionPolicy policy = Policy();
  policy.rcpt = [](const CheckRcpt&) { return MakeReply(ReplyKind::kUnknownUser); };
  SessionRunner runner(options, policy);
  runner.Feed("HELO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
  CHECK(runner.session().faults() == 1);
  CHECK_FALSE(runner.session().refusal().has_value());  // the driver knows of it
  policy.rcpt = [](const CheckRcpt&) { return MakeReply(ReplyKind::kMailboxFull); };
  SessionRunner full(options, policy);
  full.Feed("HELO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
  CHECK(full.session().faults() == 0);  // ours
  runner.Feed("A\r\n");
  CHECK(runner.session().refusal() == MakeReply(ReplyKind::kUnknownCommand));
  CHECK(runner.session().cut() == "");
  runner.Feed("B\r\nC\r\n");
  CHECK(runner.closed());
  CHECK(runner.session().cut() == "errors");
  CHECK(runner.session().refusal() == MakeReply(ReplyKind::kTooManyErrors));
  CHECK(runner.session().faults() == 4);
  // The timeout that follows does not take the place of what was refused.
  SessionRunner silent(Options());
  silent.Feed("HELO c\r\nA\r\n");
  silent.session().End(MakeReply(ReplyKind::kTimeout), "silence");
  CHECK(silent.session().refusal() == MakeReply(ReplyKind::kUnknownCommand));
  CHECK(silent.session().cut() == "silence");
  SessionRunner idle(Options());
  idle.Feed("HELO c\r\n");
  idle.session().End(MakeReply(ReplyKind::kTimeout), "silence");
  CHECK_FALSE(idle.session().refusal().has_value());
}

TEST_CASE("A client that is not wanted gets no greeting", "[smtp][unit]") {
  ServerSession session(Options());
  session.Refuse(MakeReply(ReplyKind::kTooManyConnections));
  std::string_view in;
  const Action action = session.Next(&in);
  REQUIRE(std::holds_alternative<Send>(action));
  CHECK(std::get<Send>(action).bytes == "421 4.7.0 Too many connections, try again later\r\n");
  CHECK(std::holds_alternative<Close>(session.Next(&in)));
}

TEST_CASE("A flood of commands does not collect replies without bound", "[smtp][unit]") {
  ServerOptions options = Options();
  options.max_idle_commands = 100000;
  std::string flood;
  for (int i = 0; i < 10000; ++i) flood += "NOOP\r\n";
  ServerSession session(options);
  std::string_view in = flood;
  for (;;) {
    const Action action = session.Next(&in);
    if (std::holds_alternative<NeedInput>(action)) break;
    REQUIRE(std::holds_alternative<Send>(action));
    CHECK(std::get<Send>(action).bytes.size() < 5000);
  }
}

TEST_CASE("A session gives the same actions for every split", "[smtp][unit]") {
  const std::string wire =
      "EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<nobody@y>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
      "a: b\r\n\r\n..x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\nBAD\nLF\r\n"
      "QUIT\r\n";
  const Transcript whole = RunSession(Options(), {wire}, Policy());
  CHECK(whole.messages == std::vector<std::string>{"a: b\r\n\r\n.x\r\n", ""});
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(RunSession(Options(), chunks, Policy()) == whole);
  });
}

}  // namespace
}  // namespace godwit::smtp

// BDAT and BINARYMIME in the server's session (RFC 3030).

#include <catch2/catch.hpp>
#include <string>

#include "libs/smtp/server.h"
#include "libs/smtp/session_runner.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

ServerOptions Options() {
  ServerOptions options;
  options.hostname = "mx.example";
  options.data = {100, 20};
  return options;
}

SessionPolicy Policy() {
  SessionPolicy policy;
  policy.rcpt = [](const CheckRcpt& rcpt) {
    return MakeReply(rcpt.forward_path.local_part == "nobody" ? ReplyKind::kUnknownUser
                                                              : ReplyKind::kRecipientOk);
  };
  return policy;
}

// Greeting and envelope, whose replies are not looked at.
std::string Start(std::string_view mail_parameters = "") {
  return "EHLO c\r\nMAIL FROM:<a@x>" + std::string(mail_parameters) + "\r\nRCPT TO:<b@y>\r\n";
}
constexpr std::string_view kBinary = " BODY=BINARYMIME";

// What is said and done behind `start`, the same for every split of `wire`.
Transcript Run(const std::string& start, const std::string& wire,
               const ServerOptions& options = Options()) {
  const auto run = [&](const testing::Chunks& chunks) {
    SessionRunner runner(options, Policy());
    runner.Feed(start);
    runner.TakeReplies();
    for (std::string_view chunk : chunks) runner.Feed(chunk);
    Transcript transcript = runner.transcript();
    transcript.replies = runner.TakeReplies();
    return transcript;
  };
  const Transcript whole = run({wire});
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(run(chunks) == whole);
  });
  return whole;
}

const std::string kTaken = "250 2.0.0 Message accepted\r\n";
const std::string kNoop = "250 2.0.0 OK\r\n";

TEST_CASE("BDAT takes exactly its octets, for every split (RFC 3030 §2)", "[smtp][unit]") {
  struct Row {
    std::string wire;
    std::string message;
    std::string replies;
  };
  const Row row = GENERATE(values<Row>({
      {"BDAT 6 LAST\r\nA: b\r\n", "A: b\r\n", kTaken},
      {"bdat 6 last\r\nA: b\r\n", "A: b\r\n", kTaken},
      {"BDAT 0 LAST\r\n", "", kTaken},
      {"BDAT 6\r\nA: b\r\nBDAT 0 LAST\r\n", "A: b\r\n", "250 2.0.0 6 octets received\r\n" + kTaken},
      {"BDAT 0\r\nBDAT 6 LAST\r\nA: b\r\n", "A: b\r\n", "250 2.0.0 0 octets received\r\n" + kTaken},
      // A line end may be cut by a chunk's, and a dot is a dot.
      {"BDAT 5\r\nA: b\rBDAT 8 LAST\r\n\n\r\n.\r\nx\n", "",
       "250 2.0.0 5 octets received\r\n550 5.6.11 Bare CR or bare LF in the message\r\n"},
      {"BDAT 5\r\nA: b\rBDAT 6 LAST\r\n\n\r\n.\r\n", "A: b\r\n\r\n.\r\n",
       "250 2.0.0 5 octets received\r\n" + kTaken},
      {"BDAT 12 LAST\r\nA: b\r\n\r\n..\r\n", "A: b\r\n\r\n..\r\n", kTaken},
      // Commands in a chunk are text.
      {"BDAT 16 LAST\r\nQUIT\r\n.\r\nQUIT\r\n.", "QUIT\r\n.\r\nQUIT\r\n.\r\n", kTaken},
      // The last line's end is put where it is missing.
      {"BDAT 4 LAST\r\nA: b", "A: b\r\n", kTaken},
  }));
  CAPTURE(row.wire);
  const Transcript done = Run(Start(), row.wire + "NOOP\r\n");
  CHECK(done.replies == row.replies + kNoop);
  if (done.messages.empty()) {
    CHECK(done.actions.back() == "REFUSED");
  } else {
    CHECK(done.messages == std::vector{row.message});
  }
}

TEST_CASE("Binary chunks carry every octet (RFC 3030 §3)", "[smtp][unit]") {
  std::string octets;
  for (int i = 0; i < 96; ++i) octets += static_cast<char>(i * 7);
  octets += "\n\r\r";
  const std::string wire =
      "BDAT 50\r\n" + octets.substr(0, 50) + "BDAT 49 LAST\r\n" + octets.substr(50) + "NOOP\r\n";
  const Transcript done = Run(Start(kBinary), wire);
  CHECK(done.messages == std::vector{octets});
  CHECK(done.replies == "250 2.0.0 50 octets received\r\n" + kTaken + kNoop);
}

TEST_CASE("A text message by BDAT has the line ends of DATA", "[smtp][unit]") {
  const std::string text =
      GENERATE(values<std::string>({"a\nb\r\n", "a\rb\r\n", "a\r\n.\n", "\n", "\r", "a\r\r\n"}));
  const std::string body = GENERATE(values<std::string>({"", " BODY=7BIT", " BODY=8BITMIME"}));
  CAPTURE(text);
  const std::string wire =
      "BDAT " + std::to_string(text.size()) + " LAST\r\n" + text + "MAIL FROM:<c@x>\r\n";
  const Transcript done = Run(Start(body), wire);
  CHECK(done.messages.empty());
  CHECK(done.replies == "550 5.6.11 Bare CR or bare LF in the message\r\n250 2.1.0 Sender OK\r\n");
}

TEST_CASE("What a refused BDAT brings is thrown away, then answered (RFC 3030 §2)",
          "[smtp][unit]") {
  struct Row {
    std::string start;
    std::string reply;
  };
  const Row row = GENERATE(values<Row>({
      {"", "503 5.5.1 Send EHLO first\r\n"},
      {"EHLO c\r\n", "503 5.5.1 Send MAIL first\r\n"},
      {"EHLO c\r\nMAIL FROM:<a@x>\r\n", "554 5.5.1 No valid recipients\r\n"},
      {"EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<nobody@y>\r\n", "554 5.5.1 No valid recipients\r\n"},
  }));
  CAPTURE(row.start);
  const std::string text = "RSET\r\nMAIL FROM:<evil@x>\r\n\r\n.\r\n\n.\n";
  const std::string size = std::to_string(text.size());
  const std::string wire =
      "BDAT " + size + "\r\n" + text + "BDAT " + size + " LAST\r\n" + text + "NOOP\r\n";
  const Transcript done = Run(row.start, wire);
  CHECK(done.replies == row.reply + row.reply + kNoop);
  CHECK(done.messages.empty());
  for (const std::string& action : done.actions) CHECK(action.find("evil") == std::string::npos);
}

TEST_CASE("BDAT that is not offered, or before TLS or login, is read and refused", "[smtp][unit]") {
  const std::string wire = "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n";
  ServerOptions none = Options();
  none.extensions.Remove(Extension::kChunking);
  CHECK(Run(Start(), wire, none).replies == "502 5.5.1 Command not implemented\r\n" + kNoop);
  ServerOptions tls = Options();
  tls.require_tls = true;
  CHECK(Run("EHLO c\r\n", wire, tls).replies ==
        "530 5.7.0 Must issue a STARTTLS command first\r\n" + kNoop);
  ServerOptions login = Options();
  login.require_auth = true;
  CHECK(Run("EHLO c\r\n", wire, login).replies == "530 5.7.0 Authentication required\r\n" + kNoop);
}

TEST_CASE("A driver that refuses the data is heard after the chunk", "[smtp][unit]") {
  SessionPolicy policy = Policy();
  policy.begin_data = [] { return MakeReply(ReplyKind::kInsufficientStorage); };
  SessionRunner runner(Options(), policy);
  runner.Feed(Start());
  runner.TakeReplies();
  runner.Feed("BDAT 6\r\nQUI");
  CHECK(runner.TakeReplies().empty());
  runner.Feed("T\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
  CHECK(runner.TakeReplies() ==
        "452 4.3.1 Insufficient storage, try again later\r\n503 5.5.1 Send MAIL first\r\n" + kNoop);
  policy.begin_data = [] { return MakeReply(ReplyKind::kShuttingDown); };
  SessionRunner other(Options(), policy);
  other.Feed(Start() + "BDAT 6\r\nQUIT\r\n");
  CHECK(other.closed());
}

TEST_CASE("A message by BDAT that is too big, or has too long a line, is refused where it is seen",
          "[smtp][unit]") {
  const std::string line = "123456789012345678\r\n";  // 20
  std::string five;
  for (int i = 0; i < 5; ++i) five += line;
  const std::string too_big = "552 5.3.4 Message size exceeds the limit\r\n";
  // 100 octets fit to the last one.
  CHECK(Run(Start(), "BDAT 100 LAST\r\n" + five).replies == kTaken);
  // One chunk too many: the message is over with it, what is pipelined is thrown away.
  const std::string wire = "BDAT 60\r\n" + five.substr(0, 60) + "BDAT 60\r\n" + five.substr(0, 60) +
                           "BDAT 20 LAST\r\n" + line + "NOOP\r\n";
  CHECK(Run(Start(), wire).replies ==
        "250 2.0.0 60 octets received\r\n" + too_big + "503 5.5.1 Send MAIL first\r\n" + kNoop);
  CHECK(Run(Start(kBinary), "BDAT 101 LAST\r\n" + five + "x" + "NOOP\r\n").replies ==
        too_big + kNoop);
  CHECK(Run(Start(), "BDAT 23 LAST\r\n123456789012345678901\r\nNOOP\r\n").replies ==
        "550 5.6.0 Line too long in the message\r\n" + kNoop);
  // More than anybody would read: the end at once.
  CHECK(Run(Start(), "BDAT 99999999999999 LAST\r\n").replies == too_big);
  CHECK(Run(Start(), "BDAT 99999999999999 LAST\r\n").actions.back() == "CLOSE");
}

TEST_CASE("Refused chunks are not read for ever", "[smtp][unit]") {
  std::string flood;
  for (int i = 0; i < 10000; ++i) flood += "BDAT 0\r\n";
  SessionRunner runner(Options(), Policy());
  runner.Feed("EHLO c\r\n");
  runner.Feed(flood);
  CHECK(runner.closed());
  SessionRunner big(Options(), Policy());
  big.Feed("EHLO c\r\nBDAT 1048000\r\n" + std::string(1048000, 'x'));
  CHECK_FALSE(big.closed());
  big.Feed("BDAT 300\r\n");
  CHECK(big.closed());
}

TEST_CASE("A BDAT whose size can not be read ends the session", "[smtp][unit]") {
  const std::string argument = GENERATE(values<std::string>(
      {"", " ", " LAST", " -1", " 1x", " 0x10", " 10 LAST LAST", " 10 FIRST", " 10\tLAST",
       " 99999999999999999999999", " 10\n", " 10 \rLAST", " 10" + std::string(3000, ' ')}));
  CAPTURE(argument);
  const Transcript done = Run(Start(), "BDAT" + argument + "\r\nRSET\r\nMAIL FROM:<evil@x>\r\n");
  CHECK(done.actions == std::vector<std::string>{"MAIL <a@x>", "RCPT <b@y>", "CLOSE"});
  CHECK(done.replies.substr(0, 2) == "50");
}

TEST_CASE("DATA and BDAT do not mix, and BINARYMIME has no DATA (RFC 3030 §2, §3)",
          "[smtp][unit]") {
  SessionRunner runner(Options(), Policy());
  runner.Feed(Start() + "BDAT 6\r\nA: b\r\n");
  runner.TakeReplies();
  for (const auto& [command, reply] : std::vector<std::pair<std::string, std::string>>{
           {"DATA", "503 5.5.1 The message has begun"},
           {"RCPT TO:<c@y>", "503 5.5.1 The message has begun"},
           {"MAIL FROM:<c@y>", "503 5.5.1 MAIL was given already"},
           {"NOOP", "250 2.0.0 OK"},
           {"BDAT 0 LAST", "250 2.0.0 Message accepted"}}) {
    runner.Feed(command + "\r\n");
    CHECK(runner.TakeReplies() == reply + "\r\n");
  }
  CHECK(runner.transcript().messages == std::vector<std::string>{"A: b\r\n"});
  // DATA in the next transaction is allowed.
  runner.Feed(Start());
  runner.TakeReplies();
  runner.Feed("DATA\r\n");
  CHECK(runner.TakeReplies().substr(0, 3) == "354");
  runner.Feed(".\r\n");

  SessionRunner binary(Options(), Policy());
  binary.Feed(Start(kBinary));
  binary.TakeReplies();
  binary.Feed("DATA\r\n");
  CHECK(binary.TakeReplies() == "503 5.5.1 BINARYMIME needs BDAT\r\n");
  binary.Feed("BDAT 1 LAST\r\n\n");
  CHECK(binary.TakeReplies() == kTaken);
}

TEST_CASE("BINARYMIME is a value of BODY where it is offered", "[smtp][unit]") {
  ServerOptions options = Options();
  options.extensions.Remove(Extension::kBinaryMime);
  SessionRunner runner(options, Policy());
  runner.Feed("EHLO c\r\n");
  CHECK(runner.TakeReplies().find("BINARYMIME") == std::string::npos);
  runner.Feed("MAIL FROM:<a@x> BODY=BINARYMIME\r\n");
  CHECK(runner.TakeReplies() == "501 5.5.4 Bad parameter value\r\n");
}

TEST_CASE("RSET and EHLO between chunks give the message up", "[smtp][unit]") {
  const std::string command =
      GENERATE(values<std::string>({"RSET\r\n", "EHLO c\r\n", "HELO c\r\n"}));
  const std::string wire = "BDAT 6\r\nA: b\r\n" + command +
                           "MAIL FROM:<c@x>\r\nRCPT TO:<b@y>\r\nBDAT 6 LAST\r\nC: d\r\n";
  const Transcript done = Run(Start(), wire);
  CHECK(done.messages == std::vector<std::string>{"C: d\r\n"});
  CHECK(done.actions == std::vector<std::string>{"MAIL <a@x>", "RCPT <b@y>", "DATA", "ABANDON",
                                                 "MAIL <c@x>", "RCPT <b@y>", "DATA",
                                                 "MESSAGE C: d\r\n"});
}

TEST_CASE("A pipelined transaction by BDAT is answered in one go (RFC 2920, RFC 3030 §4.2)",
          "[smtp][unit]") {
  const std::string wire =
      "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<nobody@y>\r\nBDAT 6\r\nA: b\r\n"
      "BDAT 2 LAST\r\n\r\nMAIL FROM:<c@x>\r\nRCPT TO:<nobody@y>\r\nBDAT 6 LAST\r\nQUIT\r\n"
      "MAIL FROM:<d@x>\r\nQUIT\r\n";
  const Transcript done = Run("EHLO c\r\n", wire);
  CHECK(done.messages == std::vector<std::string>{"A: b\r\n\r\n"});
  CHECK(done.replies ==
        "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n550 5.1.1 No such user here\r\n"
        "250 2.0.0 6 octets received\r\n250 2.0.0 Message accepted\r\n"
        "250 2.1.0 Sender OK\r\n550 5.1.1 No such user here\r\n554 5.5.1 No valid recipients\r\n"
        "503 5.5.1 MAIL was given already\r\n221 2.0.0 Goodbye\r\n");
}

TEST_CASE("A chunk is data for the driver: no end, no idleness", "[smtp][unit]") {
  SessionRunner runner(Options(), Policy());
  runner.Feed("EHLO c\r\nBDAT 10\r\nabc");
  CHECK(runner.session().in_data());
  CHECK_FALSE(runner.session().in_message());
  CHECK_FALSE(runner.session().idle());
  runner.session().End(MakeReply(ReplyKind::kTimeout), "silence");
  runner.Feed("");
  CHECK(runner.closed());
  SessionRunner other(Options(), Policy());
  other.Feed(Start() + "BDAT 3\r\nabc");
  CHECK_FALSE(other.session().in_data());
  CHECK(other.session().in_message());
}

}  // namespace
}  // namespace godwit::smtp

#include "libs/smtp/client.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/smtp/client_runner.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

const ClientOptions kPlain = {.hostname = "us.example", .tls = TlsUse::kNever};
constexpr char kGreeting[] = "220 mx.example ESMTP\r\n";
constexpr char kEhlo[] = "250-mx.example hello\r\n250-PIPELINING\r\n250 SIZE 1000\r\n";
constexpr char kBareEhlo[] = "250 mx.example\r\n";

OutgoingMessage Message(std::vector<std::string> recipients, std::string text = "a\r\n") {
  OutgoingMessage message;
  message.envelope.reverse_path = {"from", "us.example"};
  for (std::string& each : recipients) {
    message.envelope.recipients.push_back({Address{std::move(each), "x.example"}, {}});
  }
  message.text = std::move(text);
  return message;
}

std::string Commands(std::string_view rest) {
  return "EHLO us.example\r\nMAIL FROM:<from@us.example>" + std::string(rest);
}

ClientTranscript Talk(const ClientOptions& options, const std::vector<OutgoingMessage>& messages,
                      const std::string& replies) {
  return RunClient(options, messages, SplitReplies(replies));
}

struct Row {
  std::string name;
  std::string replies;  // after greeting and EHLO
  std::vector<std::string> actions;
};

// Two recipients, with PIPELINING: one group "MAIL RCPT RCPT DATA".
TEST_CASE("Every reply of a pipelined envelope has its meaning", "[smtp][unit]") {
  const Row row = GENERATE(values<Row>({
      {"all is well",
       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE delivered delivered", "READY", "CLOSE"}},
      {"one recipient refused",
       "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:550 delivered", "READY", "CLOSE"}},
      {"one recipient later",
       "250 ok\r\n450 no\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:450 delivered", "READY", "CLOSE"}},
      {"too many recipients, the old way",
       "250 ok\r\n250 ok\r\n552 5.5.3 many\r\n354 go\r\n250 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE delivered refused:452", "READY", "CLOSE"}},
      {"forwarding is fine",
       "250 ok\r\n251 fwd\r\n252 maybe\r\n354 go\r\n250 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE delivered delivered", "READY", "CLOSE"}},
      {"sender refused",
       "550 5.7.1 no\r\n503 bad\r\n503 bad\r\n503 bad\r\n221 bye\r\n",
       {"READY", "DONE refused:550 refused:550", "READY", "CLOSE"}},
      {"sender refused for now",
       "451 wait\r\n503 bad\r\n503 bad\r\n503 bad\r\n221 bye\r\n",
       {"READY", "DONE refused:451 refused:451", "READY", "CLOSE"}},
      {"all recipients refused",
       "250 ok\r\n550 no\r\n450 no\r\n554 no one\r\n221 bye\r\n",
       {"READY", "DONE refused:550 refused:450", "READY", "CLOSE"}},
      {"all recipients refused, DATA taken all the same",
       "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n554 no one\r\n221 bye\r\n",
       {"READY", "DONE refused:550 refused:450", "READY", "CLOSE"}},
      {"DATA refused",
       "250 ok\r\n250 ok\r\n550 no\r\n451 later\r\n221 bye\r\n",
       {"READY", "DONE refused:451 refused:550", "READY", "CLOSE"}},
      {"message refused",
       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 5.7.1 spam\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:554 refused:554", "READY", "CLOSE"}},
      {"message later",
       "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n452 full\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:452 refused:550", "READY", "CLOSE"}},
      {"421 at MAIL", "421 4.3.2 going\r\n", {"READY", "FAILED refused", "CLOSE"}},
      {"421 at RCPT", "250 ok\r\n550 no\r\n421 going\r\n", {"READY", "FAILED refused", "CLOSE"}},
      {"421 to the dot",
       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n421 going\r\n",
       {"READY", "DATA", "FAILED refused", "CLOSE"}},
      {"2xx to DATA",
       "250 ok\r\n250 ok\r\n250 ok\r\n250 go\r\n",
       {"READY", "FAILED protocol", "CLOSE"}},
      {"3xx to RCPT", "250 ok\r\n354 go\r\n", {"READY", "FAILED protocol", "CLOSE"}},
      {"3xx to the dot",
       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n354 go\r\n",
       {"READY", "DATA", "FAILED protocol", "CLOSE"}},
      {"sender refused, the rest taken: never a message without a sender",
       "550 no\r\n250 ok\r\n250 ok\r\n354 go\r\n",
       {"READY", "FAILED protocol", "CLOSE"}},
      {"nonsense", "hello\r\n", {"READY", "FAILED protocol", "CLOSE"}},
      {"bare LF", "250 ok\n", {"READY", "FAILED protocol", "CLOSE"}},
      {"codes differ", "250-ok\r\n251 ok\r\n", {"READY", "FAILED protocol", "CLOSE"}},
      {"lost", "250 ok\r\n", {"READY", "FAILED lost", "CLOSE"}},
      {"lost in the middle of a reply", "250 ok\r\n25", {"READY", "FAILED lost", "CLOSE"}},
  }));
  CAPTURE(row.name);
  const auto transcript = Talk(kPlain, {Message({"a", "b"})}, kGreeting + (kEhlo + row.replies));
  CHECK(transcript.actions == row.actions);
  REQUIRE(!transcript.results.empty());
  // Done and Failed leave nobody in doubt.
  for (const RecipientOutcome& each : transcript.results.back().recipients) {
    CHECK(each.state != RecipientOutcome::State::kPending);
    CHECK(each.state != RecipientOutcome::State::kAccepted);
  }
}

TEST_CASE("A session's failure settles who was open, and keeps what was said", "[smtp][unit]") {
  auto transcript = Talk(kPlain, {Message({"a", "b"})},
                         kGreeting + (kEhlo + std::string("250 ok\r\n550 no\r\n421 bye\r\n")));
  CHECK(Describe(transcript.results.back()) == "refused:550 refused:421");
  CHECK(transcript.failures.back().stage == ClientStage::kRcpt);
  CHECK(transcript.results.back().recipients[1].temporary());

  transcript = Talk(kPlain, {Message({"a", "b"})},
                    kGreeting + (kEhlo + std::string("250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")));
  CHECK(Describe(transcript.results.back()) == "refused:550 own:451 uncertain");
  CHECK(transcript.failures.back().stage == ClientStage::kMessage);

  // A reply to the dot, be it 421, leaves no doubt.
  transcript =
      Talk(kPlain, {Message({"a"})},
           kGreeting + (kEhlo + std::string("250 ok\r\n250 ok\r\n354 go\r\n421 4.3.0 disk\r\n")));
  CHECK(Describe(transcript.results.back()) == "refused:421");

  transcript = Talk(kPlain, {Message({"a"})},
                    kGreeting + (kEhlo + std::string("250 ok\r\n250 ok\r\n354 go\r\nfoo\r\n")));
  CHECK(Describe(transcript.results.back()) == "own:451 uncertain");
}

TEST_CASE("Before an envelope a session fails or goes on, reply by reply", "[smtp][unit]") {
  const Row row = GENERATE(values<Row>({
      {"greeting 554", "554 5.7.1 no\r\n", {"FAILED refused", "CLOSE"}},
      {"greeting 521", "521 no mail here\r\n", {"FAILED refused", "CLOSE"}},
      {"greeting 4xx", "450 busy\r\n", {"FAILED refused", "CLOSE"}},
      {"greeting 421", "421 busy\r\n", {"FAILED refused", "CLOSE"}},
      {"greeting 354", "354 what\r\n", {"FAILED protocol", "CLOSE"}},
      {"no SMTP", "HTTP/1.1 400 Bad Request\r\n", {"FAILED protocol", "CLOSE"}},
      {"SSH", "SSH-2.0-x\r\n", {"FAILED protocol", "CLOSE"}},
      {"closed at once", "", {"FAILED lost", "CLOSE"}},
      {"EHLO 4xx", "220 x\r\n451 no\r\n", {"FAILED refused", "CLOSE"}},
      {"HELO", "220 x\r\n502 what\r\n250 x\r\n221 x\r\n", {"READY", "CLOSE"}},
      {"HELO refused", "220 x\r\n502 what\r\n550 no\r\n", {"FAILED refused", "CLOSE"}},
      {"421 when idle", "220 x\r\n250 x\r\n421 bye\r\n", {"READY", "CLOSE"}},
      {"no answer to QUIT", "220 x\r\n250 x\r\n", {"READY", "CLOSE"}},
  }));
  CAPTURE(row.name);
  CHECK(Talk(kPlain, {}, row.replies).actions == row.actions);
}

TEST_CASE("With PIPELINING an envelope goes out in one piece", "[smtp][unit]") {
  ClientRunner runner(kPlain, {Message({"a", "b"}, ".dot\r\nx")});
  runner.Feed(kGreeting);
  CHECK(runner.TakeSent() == "EHLO us.example\r\n");
  runner.Feed(kEhlo);
  CHECK(runner.TakeSent() ==
        "MAIL FROM:<from@us.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"
        "DATA\r\n");
  runner.Feed("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");  // in one packet
  CHECK(runner.TakeSent() == "..dot\r\nx\r\n.\r\n");
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "QUIT\r\n");
}

TEST_CASE("Without PIPELINING every command waits for its answer", "[smtp][unit]") {
  ClientRunner runner(kPlain, {Message({"a", "b"})});
  runner.Feed(kGreeting);
  runner.Feed(kBareEhlo);
  CHECK(runner.TakeSent() == Commands("\r\n"));
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "RCPT TO:<a@x.example>\r\n");
  runner.Feed("550 no\r\n");
  CHECK(runner.TakeSent() == "RCPT TO:<b@x.example>\r\n");
  runner.Feed("450 no\r\n");
  // Nobody is left: no DATA, and the next transaction begins with RSET.
  CHECK(runner.TakeSent() == "QUIT\r\n");
  CHECK(Describe(runner.session().result()) == "refused:550 refused:450");
}

TEST_CASE("A refused sender without PIPELINING costs one command", "[smtp][unit]") {
  const auto transcript = Talk(kPlain, {Message({"a", "b"})},
                               kGreeting + (kBareEhlo + std::string("550 no\r\n221 bye\r\n")));
  CHECK(transcript.sent == Commands("\r\nQUIT\r\n"));
  CHECK(Describe(transcript.results.at(0)) == "refused:550 refused:550");
}

TEST_CASE("A large envelope goes in groups whose replies are all taken", "[smtp][unit]") {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("user" + std::to_string(i));
  ClientRunner runner(kPlain, {Message(names)});
  runner.Feed(kGreeting);
  runner.TakeSent();
  runner.Feed(kEhlo);
  int replies = 0;
  for (std::string sent = runner.TakeSent(); sent.find("DATA\r\n") == std::string::npos;
       sent = runner.TakeSent()) {
    REQUIRE(sent.size() < 4096 + 200);
    REQUIRE(!sent.empty());
    const auto lines = static_cast<int>(std::count(sent.begin(), sent.end(), '\n'));
    for (int i = 0; i < lines - 1; ++i) runner.Feed("250 ok\r\n");
    CHECK(runner.TakeSent().empty());
    runner.Feed("250 ok\r\n");
    replies += lines;
  }
  CHECK(replies > 900);
}

TEST_CASE("Several transactions on one connection, RSET only where one is open", "[smtp][unit]") {
  const auto transcript =
      Talk(kPlain, {Message({"a"}), Message({"b"}), Message({"c"})},
           kGreeting + (kEhlo + std::string("250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"
                                            "250 ok\r\n550 no\r\n554 no\r\n"
                                            "250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n"
                                            "250 taken\r\n221 bye\r\n")));
  CHECK(transcript.sent ==
        Commands("\r\nRCPT TO:<a@x.example>\r\nDATA\r\na\r\n.\r\n"
                 "MAIL FROM:<from@us.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
                 "RSET\r\nMAIL FROM:<from@us.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n"
                 "a\r\n.\r\nQUIT\r\n"));
  REQUIRE(transcript.results.size() == 3);
  CHECK(Describe(transcript.results[1]) == "refused:550");
  CHECK(Describe(transcript.results[2]) == "delivered");
}

TEST_CASE("The same for every split of the server's bytes", "[smtp][unit]") {
  const std::string wire = std::string(kGreeting) + kEhlo +
                           "250 ok\r\n250-ok\r\n250 fine\r\n550 5.1.1 no\r\n354 go\r\n" +
                           "250-2.0.0 taken\r\n250 2.0.0 as 1\r\n221 bye\r\n";
  const auto whole = Talk(kPlain, {Message({"a", "b"})}, wire);
  std::vector<std::string_view> octets;
  for (size_t i = 0; i < wire.size(); ++i) octets.push_back(std::string_view(wire).substr(i, 1));
  const auto cut = RunClient(kPlain, {Message({"a", "b"})}, octets);
  CHECK(cut.sent == whole.sent);
  CHECK(cut.actions == whole.actions);
  CHECK(whole.results.at(0).recipients[0].reply == Reply{250, "2.0.0", {"taken", "as 1"}});
}

// --- BDAT

constexpr char kChunkEhlo[] = "250-mx.example hello\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
const ClientOptions kChunks = {.hostname = "us.example", .tls = TlsUse::kNever, .chunk_size = 7};

OutgoingMessage Pieces(std::vector<std::string> recipients, std::string text, size_t piece) {
  OutgoingMessage message = Message(std::move(recipients), std::move(text));
  message.chunk = piece;
  return message;
}

TEST_CASE("RFC 3030 §2: a small message is one chunk, without dots", "[smtp][unit]") {
  ClientRunner runner(kPlain, {Pieces({"a", "b"}, ".dot\r\nx", 3)});
  runner.Feed(kGreeting);
  runner.TakeSent();
  runner.Feed(kChunkEhlo);
  // Nothing asks for leave, so it has to be known who takes the message.
  CHECK(runner.TakeSent() ==
        "MAIL FROM:<from@us.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n");
  runner.Feed("250 ok\r\n250 ok\r\n");
  CHECK(runner.TakeSent().empty());
  runner.Feed("550 no\r\n");
  CHECK(runner.TakeSent() == "BDAT 9 LAST\r\n.dot\r\nx\r\n");
  CHECK(runner.session().patience() == 600);
  runner.Feed("250 2.0.0 taken\r\n");
  CHECK(runner.TakeSent() == "QUIT\r\n");
  CHECK(Describe(runner.session().result()) == "delivered refused:550");
}

TEST_CASE("RFC 3030 §4.2: with PIPELINING four chunks wait for their replies", "[smtp][unit]") {
  ClientRunner runner(kChunks, {Pieces({"a"}, "11111\r\n22222\r\n33333\r\n44444\r\n55555\r\n", 7)});
  runner.Feed(kGreeting);
  runner.Feed(kChunkEhlo);
  runner.TakeSent();
  runner.Feed("250 ok\r\n250 ok\r\n");
  CHECK(runner.TakeSent() ==
        "BDAT 7\r\n11111\r\nBDAT 7\r\n22222\r\nBDAT 7\r\n33333\r\nBDAT 7\r\n44444\r\n");
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "BDAT 7\r\n55555\r\n");
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "BDAT 0 LAST\r\n");
  runner.Feed("250 ok\r\n250 ok\r\n250 ok\r\n");
  CHECK(runner.TakeSent().empty());
  runner.Feed("250 taken\r\n");
  CHECK(Describe(runner.session().result()) == "delivered");
}

TEST_CASE("Without PIPELINING every chunk waits for its reply", "[smtp][unit]") {
  ClientRunner runner(kChunks, {Pieces({"a"}, "11111\r\n22222\r\n", 7)});
  runner.Feed(kGreeting);
  runner.Feed("250-mx.example\r\n250 CHUNKING\r\n");
  runner.Feed("250 ok\r\n");
  runner.TakeSent();
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "BDAT 7\r\n11111\r\n");
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "BDAT 7\r\n22222\r\n");
  runner.Feed("250 ok\r\n");
  CHECK(runner.TakeSent() == "BDAT 0 LAST\r\n");
}

TEST_CASE("Every reply to chunks has its meaning", "[smtp][unit]") {
  const std::string text = "11111\r\n22222\r\n33333\r\n44444\r\n55555\r\n66666\r\n";
  const Row row = GENERATE(values<Row>({
      {"the last is refused",
       "250 x\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n554 5.7.1 spam\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:554", "READY", "CLOSE"}},
      {"the first is refused, and what was on its way",
       "552 big\r\n503 no\r\n503 no\r\n503 no\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:552", "READY", "CLOSE"}},
      {"one on the way is refused for now, those behind it taken",
       "250 x\r\n451 disk\r\n250 x\r\n250 x\r\n250 x\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:451", "READY", "CLOSE"}},
      {"one is refused and the last taken: it is no whole message",
       "250 x\r\n250 x\r\n250 x\r\n451 x\r\n250 x\r\n250 x\r\n250 taken\r\n221 bye\r\n",
       {"READY", "DATA", "DONE refused:451", "READY", "CLOSE"}},
      {"421 to a chunk", "250 x\r\n421 going\r\n", {"READY", "DATA", "FAILED refused", "CLOSE"}},
      {"3xx to a chunk", "354 go\r\n", {"READY", "DATA", "FAILED protocol", "CLOSE"}},
      {"lost before the last reply",
       "250 x\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n",
       {"READY", "DATA", "FAILED lost", "CLOSE"}},
  }));
  CAPTURE(row.name);
  const std::string wire = kGreeting + (kChunkEhlo + ("250 ok\r\n250 ok\r\n" + row.replies));
  const auto transcript = Talk(kChunks, {Pieces({"a"}, text, 7)}, wire);
  CHECK(transcript.actions == row.actions);
  const bool lost = row.name == "lost before the last reply";
  CHECK(transcript.results.back().uncertain == lost);
  std::vector<std::string_view> octets;
  for (size_t i = 0; i < wire.size(); ++i) octets.push_back(std::string_view(wire).substr(i, 1));
  const auto cut = RunClient(kChunks, {Pieces({"a"}, text, 7)}, octets);
  CHECK(cut.sent == transcript.sent);
  CHECK(cut.actions == transcript.actions);
}

TEST_CASE("A transaction whose chunk was refused is reset before the next", "[smtp][unit]") {
  const std::string envelope = "MAIL FROM:<from@us.example>\r\nRCPT TO:<a@x.example>\r\n";
  const auto transcript = Talk(
      kChunks, {Pieces({"a"}, "11111\r\n22222\r\n3\r\n", 7), Pieces({"a"}, "4\r\n", 7)},
      kGreeting + (kChunkEhlo + std::string("250 x\r\n250 x\r\n452 full\r\n503 x\r\n503 x\r\n"
                                            "250 reset\r\n250 x\r\n250 x\r\n250 x\r\n221 x\r\n")));
  // The last chunk was on its way: nobody knows whether its refusal has ended the transaction.
  CHECK(transcript.sent == "EHLO us.example\r\n" + envelope +
                               "BDAT 7\r\n11111\r\nBDAT 7\r\n22222\r\nBDAT 3 LAST\r\n3\r\n" +
                               "RSET\r\n" + envelope + "BDAT 3 LAST\r\n4\r\nQUIT\r\n");
  CHECK(Describe(transcript.results.at(0)) == "refused:452");
  CHECK(Describe(transcript.results.at(1)) == "delivered");
}

TEST_CASE("Nobody to take the message: no chunk, and RSET", "[smtp][unit]") {
  const auto transcript =
      Talk(kChunks, {Message({"a"}), Message({"b"})},
           kGreeting + (kChunkEhlo + std::string("250 x\r\n550 no\r\n"
                                                 "250 reset\r\n250 x\r\n250 x\r\n250 taken\r\n")));
  CHECK(transcript.sent == Commands("\r\nRCPT TO:<a@x.example>\r\nRSET\r\n"
                                    "MAIL FROM:<from@us.example>\r\nRCPT TO:<b@x.example>\r\n"
                                    "BDAT 3 LAST\r\na\r\nQUIT\r\n"));
}

TEST_CASE("An operator may have DATA everywhere", "[smtp][unit]") {
  ClientOptions options = kPlain;
  options.chunk_size = 0;
  const auto transcript =
      Talk(options, {Message({"a"})},
           kGreeting + (kChunkEhlo + std::string("250 x\r\n250 x\r\n354 x\r\n250 x\r\n221 x\r\n")));
  CHECK(transcript.sent.find("BDAT") == std::string::npos);
  CHECK(Describe(transcript.results.at(0)) == "delivered");
}

TEST_CASE("A bare CR or LF is in no last chunk", "[smtp][unit]") {
  const std::string text = GENERATE(as<std::string>(), "a\nb\r\n", "a\rb\r\n", "a\r", "a\r\r\n");
  const size_t piece = GENERATE(1, 2, 100);
  const auto transcript =
      Talk(kChunks, {Pieces({"a"}, text, piece)},
           kGreeting + (kChunkEhlo + std::string("250 x\r\n250 x\r\n250 x\r\n250 x\r\n")));
  CHECK(transcript.failures.at(0).kind == ClientFailure::Kind::kBadMessage);
  CHECK(Describe(transcript.results.back()) == "own:554");
  CHECK(transcript.sent.find("LAST") == std::string::npos);
}

// --- TLS and AUTH

TEST_CASE("STARTTLS is used as the policy says", "[smtp][unit]") {
  struct TlsRow {
    std::string name;
    TlsUse tls;
    std::string replies;
    std::vector<std::string> actions;
    std::string sent;
  };
  const std::string hello = "250-mx.example\r\n250 STARTTLS\r\n";
  const TlsRow row = GENERATE_COPY(values<TlsRow>({
      {"offered and done",
       TlsUse::kWhenOffered,
       hello + "220 go\r\n250 mx.example\r\n221 bye\r\n",
       {"STARTTLS", "READY", "CLOSE"},
       "EHLO us.example\r\nSTARTTLS\r\nEHLO us.example\r\nQUIT\r\n"},
      {"not offered",
       TlsUse::kWhenOffered,
       "250 mx.example\r\n221 bye\r\n",
       {"READY", "CLOSE"},
       "EHLO us.example\r\nQUIT\r\n"},
      {"refused and passed over",
       TlsUse::kWhenOffered,
       hello + "454 not now\r\n221 bye\r\n",
       {"READY", "CLOSE"},
       "EHLO us.example\r\nSTARTTLS\r\nQUIT\r\n"},
      {"not wanted",
       TlsUse::kNever,
       hello + "221 bye\r\n",
       {"READY", "CLOSE"},
       "EHLO us.example\r\nQUIT\r\n"},
      {"required, not offered",
       TlsUse::kRequired,
       "250 mx.example\r\n",
       {"FAILED no-tls", "CLOSE"},
       "EHLO us.example\r\nQUIT\r\n"},
      {"required, refused",
       TlsUse::kRequired,
       hello + "454 not now\r\n",
       {"FAILED no-tls", "CLOSE"},
       "EHLO us.example\r\nSTARTTLS\r\nQUIT\r\n"},
      {"required, HELO only",
       TlsUse::kRequired,
       "502 what\r\n250 x\r\n",
       {"FAILED no-tls", "CLOSE"},
       "EHLO us.example\r\nHELO us.example\r\nQUIT\r\n"},
      {"offered again inside: not taken",
       TlsUse::kRequired,
       hello + "220 go\r\n" + hello + "221 bye\r\n",
       {"STARTTLS", "READY", "CLOSE"},
       "EHLO us.example\r\nSTARTTLS\r\nEHLO us.example\r\nQUIT\r\n"},
      {"active from the start",
       TlsUse::kActive,
       hello + "221 bye\r\n",
       {"READY", "CLOSE"},
       "EHLO us.example\r\nQUIT\r\n"},
      {"421 to STARTTLS",
       TlsUse::kWhenOffered,
       hello + "421 bye\r\n",
       {"FAILED refused", "CLOSE"},
       "EHLO us.example\r\nSTARTTLS\r\n"},
  }));
  CAPTURE(row.name);
  const auto transcript =
      Talk({.hostname = "us.example", .tls = row.tls}, {}, kGreeting + row.replies);
  CHECK(transcript.actions == row.actions);
  CHECK(transcript.sent == row.sent);
}

TEST_CASE("Text behind STARTTLS's 220 ends the session", "[smtp][unit]") {
  // An attacker between the two puts replies in front of the encryption: CVE-2021-38371 and kin.
  const std::string injected = GENERATE(as<std::string>(), "250 injected\r\n", "x", "\r\n");
  ClientRunner runner({.hostname = "us.example", .tls = TlsUse::kWhenOffered}, {});
  runner.Feed(kGreeting);
  runner.Feed("250-x\r\n250 STARTTLS\r\n");
  runner.Feed("220 go\r\n" + injected);
  CHECK(runner.transcript().actions == std::vector<std::string>{"FAILED protocol", "CLOSE"});
}

TEST_CASE("What was offered before TLS is forgotten", "[smtp][unit]") {
  ClientRunner runner({.hostname = "us.example", .tls = TlsUse::kWhenOffered}, {});
  runner.Feed(kGreeting);
  runner.Feed("250-x\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n");
  runner.Feed("220 go\r\n");
  CHECK(!runner.session().features().pipelining);
  runner.Feed("250 mx.example\r\n");
  CHECK(runner.session().features() == ServerFeatures{.esmtp = true, .name = "mx.example"});
  CHECK(runner.session().tls());
}

TEST_CASE("AUTH PLAIN goes out inside TLS only", "[smtp][unit]") {
  const ClientOptions options = {.hostname = "us.example",
                                 .tls = TlsUse::kActive,
                                 .user = "me",
                                 .password = base::Secret("pw")};
  const std::string hello = std::string(kGreeting) + "250-x\r\n250 AUTH LOGIN plain\r\n";
  auto transcript = Talk(options, {}, hello + "235 2.7.0 in\r\n221 bye\r\n");
  CHECK(transcript.sent == "EHLO us.example\r\nAUTH PLAIN AG1lAHB3\r\nQUIT\r\n");
  CHECK(transcript.actions == std::vector<std::string>{"READY", "CLOSE"});

  transcript = Talk(options, {}, hello + "535 5.7.8 no\r\n");
  CHECK(transcript.actions == std::vector<std::string>{"FAILED auth", "CLOSE"});
  CHECK(transcript.failures.at(0).reply->code == 535);

  transcript = Talk(options, {}, std::string(kGreeting) + "250-x\r\n250 AUTH LOGIN\r\n");
  CHECK(transcript.actions == std::vector<std::string>{"FAILED auth", "CLOSE"});

  ClientOptions plain = options;
  plain.tls = TlsUse::kWhenOffered;
  transcript = Talk(plain, {}, hello);
  CHECK(transcript.actions == std::vector<std::string>{"FAILED auth", "CLOSE"});
  CHECK(transcript.sent.find("AUTH") == std::string::npos);
}

// --- The message

TEST_CASE("A message with a bare CR or LF never ends with a dot", "[smtp][unit]") {
  const std::string text = GENERATE(as<std::string>(), "a\nb\r\n", "a\rb\r\n", "a\r\n.\n", "a\r",
                                    "\n.\r\n", "a\r\r\n", "\r\n.\r.\r\n");
  const size_t chunk = GENERATE(1, 2, 3, 100);
  CAPTURE(text, chunk);
  OutgoingMessage message = Message({"a"}, text);
  message.chunk = chunk;
  const auto transcript =
      Talk(kPlain, {message}, kGreeting + (kEhlo + std::string("250 x\r\n250 x\r\n354 x\r\n")));
  CHECK(transcript.actions.back() == "CLOSE");
  CHECK(transcript.failures.at(0).kind == ClientFailure::Kind::kBadMessage);
  CHECK(Describe(transcript.results.back()) == "own:554");
  CHECK(transcript.sent.find("\r\n.\r\n") == std::string::npos);
}

TEST_CASE("DataWriter doubles dots, whatever the chunks", "[smtp][unit]") {
  const auto [text, wire] = GENERATE(table<std::string, std::string>({
      {"", ".\r\n"},
      {"a", "a\r\n.\r\n"},
      {"a\r\n", "a\r\n.\r\n"},
      {".", "..\r\n.\r\n"},
      {".\r\n", "..\r\n.\r\n"},
      {"..\r\n.a\r\nb.\r\n", "...\r\n..a\r\nb.\r\n.\r\n"},
      {"\r\n.\r\n", "\r\n..\r\n.\r\n"},
  }));
  testing::ForEachSplit(text, [&, &text = text, &wire = wire](const testing::Chunks& chunks) {
    CAPTURE(text, testing::Describe(chunks));
    DataWriter writer;
    std::string out;
    for (const auto& chunk : chunks) REQUIRE(writer.Write(chunk, &out));
    REQUIRE(writer.End(&out));
    CHECK(out == wire);
  });
}

TEST_CASE("A server that refuses in the middle of the data is heard", "[smtp][unit]") {
  ClientSession session(kPlain);
  const auto pump = [&](std::string_view in) {
    for (;;) {
      ClientAction action = session.Next(&in);
      if (!std::holds_alternative<Send>(action)) return action;
    }
  };
  pump("");
  pump(kGreeting);
  pump(kEhlo);
  session.Begin(Message({"a"}).envelope);
  pump("");
  CHECK(std::holds_alternative<GiveData>(pump("250 x\r\n250 x\r\n354 x\r\n")));
  session.Data("abc\r\n");
  CHECK(std::holds_alternative<Failed>(pump("552 5.3.4 too big\r\n")));
  CHECK(Describe(session.result()) == "refused:552");
}

// --- Envelopes

TEST_CASE("Parameters go where the server understands them", "[smtp][unit]") {
  ClientMessage message;
  message.reverse_path = {"a b", "us.example"};
  message.parameters.size = 123;
  message.parameters.body = BodyType::k8BitMime;
  message.parameters.ret = DsnReturn::kHeaders;
  message.parameters.envid = "x+1";
  message.require_tls = true;
  ClientRecipient recipient{{"c", "x.example"}, {}};
  recipient.parameters.notify = {.given = true, .success = true, .delay = true};
  recipient.parameters.orcpt_type = "rfc822";
  recipient.parameters.orcpt_address = "c+d@y.example";

  const ServerFeatures all = ReadFeatures(
      {250, "", {"x", "size 500", "8bitmime", "DSN", "SMTPUTF8", "RequireTLS", "XORIGIN"}});
  CHECK(
      MailCommand(message, all) ==
      "MAIL FROM:<\"a b\"@us.example> SIZE=123 BODY=8BITMIME REQUIRETLS RET=HDRS ENVID=x+2B1\r\n");
  CHECK(RcptCommand(recipient, all) ==
        "RCPT TO:<c@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2Bd@y.example\r\n");
  CHECK(RcptCommand(recipient, {}) == "RCPT TO:<c@x.example>\r\n");

  recipient.parameters.notify = {.given = true, .never = true};
  recipient.parameters.orcpt_type = "utf-8";
  recipient.parameters.orcpt_address = "ü€@x";
  CHECK(RcptCommand(recipient, all) ==
        "RCPT TO:<c@x.example> NOTIFY=NEVER ORCPT=utf-8;\\x{FC}\\x{20AC}@x\r\n");

  // RFC 1870 §4: SIZE without a number is an offer, too.
  message.parameters = {};
  message.parameters.size = 7;
  message.require_tls = false;
  CHECK(MailCommand(message, ReadFeatures({250, "", {"x", "SIZE"}})) ==
        "MAIL FROM:<\"a b\"@us.example> SIZE=7\r\n");

  message.reverse_path = {};
  message.parameters = {};
  message.require_tls = false;
  message.parameters.smtputf8 = true;
  message.parameters.origin = Origin{OriginKind::kDsn, 0, "", ""};
  CHECK(MailCommand(message, all) == "MAIL FROM:<> SMTPUTF8 XORIGIN=dsn\r\n");
}

TEST_CASE("What can't be said to a server is refused by us, with the RFC's code", "[smtp][unit]") {
  const ServerFeatures bare = {.esmtp = true};
  ServerFeatures all = ReadFeatures({250, "", {"x", "8BITMIME", "SMTPUTF8", "REQUIRETLS"}});
  all.size = 1000;
  ClientMessage message;
  CHECK(!Objection(message, bare, false));
  message.parameters.body = BodyType::k8BitMime;
  CHECK(Objection(message, bare, true)->enhanced == "5.6.3");
  message.parameters.smtputf8 = true;
  CHECK(Objection(message, bare, true)->enhanced == "5.6.7");
  message.require_tls = true;
  CHECK(Objection(message, bare, true)->enhanced == "5.7.30");
  CHECK(Objection(message, all, false)->enhanced == "5.7.30");
  CHECK(!Objection(message, all, true));
  message.parameters.size = 1001;
  CHECK(Objection(message, all, true)->enhanced == "5.3.4");
  message.parameters.size = 1000;
  message.parameters.origin = Origin{};
  CHECK(Objection(message, all, true)->code == 451);
}

TEST_CASE("No address smuggles a command", "[smtp][unit]") {
  const Address bad = GENERATE(values<Address>({{"a\r\nRCPT TO:<b@c>", "x.example"},
                                                {"a", "x.example>\r\nDATA"},
                                                {"a", "x.example> NOTIFY=NEVER"},
                                                {std::string("a\0b", 3), "x.example"},
                                                {"a", "b@x.example"}}));
  OutgoingMessage message = Message({"ok"});
  message.envelope.recipients.push_back({bad, {}});
  auto transcript = Talk(kPlain, {message},
                         kGreeting + (kEhlo + std::string("250 x\r\n250 x\r\n354 x\r\n250 x\r\n")));
  CHECK(Describe(transcript.results.at(0)) == "delivered own:553");
  CHECK(std::count(transcript.sent.begin(), transcript.sent.end(), '\n') == 7);  // QUIT included

  message = Message({"ok"});
  message.envelope.reverse_path = bad;
  transcript = Talk(kPlain, {message}, std::string(kGreeting) + kEhlo);
  CHECK(Describe(transcript.results.at(0)) == "own:553");
  CHECK(transcript.sent == "EHLO us.example\r\nQUIT\r\n");
}

TEST_CASE("An uninvited reply ends a session that waits for work", "[smtp][unit]") {
  const auto [text, kind] = GENERATE(table<std::string, std::string>(
      {{"250 ok\r\n", "FAILED protocol"}, {"421 4.4.2 idle\r\n", "FAILED refused"}}));
  ClientRunner runner(kPlain, {Message({"a"})});
  runner.Feed(kGreeting);
  // Behind the answer to EHLO, before anything else was asked.
  runner.Feed(kBareEhlo + text);
  const auto& actions = runner.transcript().actions;
  CHECK(actions.back() == "CLOSE");
  CHECK(actions.at(actions.size() - 2) == kind);
}

TEST_CASE("patience() is RFC 5321's", "[smtp][unit]") {
  ClientRunner runner(kPlain, {Message({"a"})});
  CHECK(runner.session().patience() == 300);
  runner.Feed(kGreeting);
  runner.Feed(kEhlo);
  runner.Feed("250 x\r\n250 x\r\n");
  CHECK(runner.session().stage() == ClientStage::kData);
  CHECK(runner.session().patience() == 120);
  runner.Feed("354 x\r\n");
  CHECK(runner.session().patience() == 600);
  runner.Feed("250 x\r\n");
  CHECK(runner.session().patience() == 5);
}

}  // namespace
}  // namespace godwit::smtp

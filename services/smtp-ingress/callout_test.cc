#include "services/smtp-ingress/callout.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/must.h"

namespace godwit::smtp_ingress {
namespace {

// Answers a command by its whole line or its first word; says nothing to one that it does not know.
// Everything runs on one reactor.
class ScriptedServer {
 public:
  ScriptedServer() {
    net::ListenOptions options;
    options.endpoint = *net::Endpoint::Parse("127.0.0.1:0");
    reactor.Start();
    listener_ = testing::Must(
        net::Listener::Start(&reactor, options, [this](std::unique_ptr<net::Stream> stream) {
          base::Spawn(Serve(this, std::move(stream)));
        }));
  }
  ~ScriptedServer() {
    listener_.reset();
    reactor.Stop();
    reactor.Join();
  }

  std::string hop() const { return listener_->endpoint().ToString(); }
  Known Ask(Callout* callout, const smtp::Address& address = {"Bob", "r.example"}) {
    commands.clear();
    return reactor.RunUntilDone(callout->Ask(hop(), address, false));
  }

  net::Reactor reactor;
  // "" is the greeting.
  std::map<std::string, std::string> replies = {{"", "220 there ESMTP"},
                                                {"EHLO", "250 there"},
                                                {"MAIL", "250 ok"},
                                                {"RCPT", "250 ok"},
                                                {"QUIT", "221 bye"}};
  std::vector<std::string> commands;
  std::atomic<int> connections{0};

 private:
  static base::Task<void> Serve(ScriptedServer* server, std::unique_ptr<net::Stream> stream) {
    net::Reader reader(stream.get());
    std::string said;
    ++server->connections;
    for (;;) {
      auto reply = server->replies.find(said);
      if (reply == server->replies.end()) reply = server->replies.find(said.substr(0, 4));
      if (reply != server->replies.end()) {
        const std::string line = reply->second + "\r\n";
        const absl::Status written = co_await stream->Write(line);
        if (!written.ok()) co_return;
      }
      absl::StatusOr<std::string> line = co_await reader.ReadLine();
      if (!line.ok()) co_return;
      server->commands.push_back(*line);
      said = *line;
    }
  }

  std::unique_ptr<net::Listener> listener_;
};

CalloutOptions Options() {
  CalloutOptions options;
  options.hostname = "mx.example";
  options.timeout = absl::Seconds(2);
  return options;
}

TEST_CASE("A callout asks for one recipient and sends nothing (RFC 5321 §4.1.1)",
          "[smtp-ingress][unit]") {
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  CHECK(server.Ask(&callout) == Known::kYes);
  CHECK(server.commands == std::vector<std::string>{"EHLO mx.example", "MAIL FROM:<>",
                                                    "RCPT TO:<Bob@r.example>", "QUIT"});
  server.replies["EHLO"] = "502 5.5.1 what?";
  server.replies["HELO"] = "250 there";
  CHECK(server.Ask(&callout, {"a b", "r.example"}) == Known::kYes);
  CHECK(server.commands == std::vector<std::string>{"EHLO mx.example", "HELO mx.example",
                                                    "MAIL FROM:<>", "RCPT TO:<\"a b\"@r.example>",
                                                    "QUIT"});
}

TEST_CASE("Only an answer about the name is one (RFC 5321 §4.2.2, RFC 3463 §3.2)",
          "[smtp-ingress][unit]") {
  struct Row {
    std::string verb;
    std::string reply;
    Known known;
  };
  const Row row = GENERATE(values<Row>({{"RCPT", "251 will forward", Known::kYes},
                                        {"RCPT", "550 5.1.1 nobody", Known::kNo},
                                        {"RCPT", "553 5.1.3 bad", Known::kNo},
                                        {"RCPT", "554 5.1.6 moved", Known::kNo},
                                        {"RCPT", "550 5.4.1 access denied", Known::kNo},
                                        {"RCPT", "550 5.1.8 who are you?", Known::kNotNow},
                                        {"RCPT", "550 5.2.1 closed", Known::kNotNow},
                                        {"RCPT", "552 5.2.2 full", Known::kNotNow},
                                        {"RCPT", "550 5.2.2 full", Known::kNotNow},
                                        {"RCPT", "550 5.7.1 you may not", Known::kNotNow},
                                        {"RCPT", "554 5.5.1 no", Known::kNotNow},
                                        {"RCPT", "450 4.1.1 later", Known::kNotNow},
                                        {"RCPT", "250 ok\n", Known::kNotNow},
                                        {"RCPT", "nonsense", Known::kNotNow},
                                        {"MAIL", "550 5.1.7 no null sender", Known::kNotNow},
                                        {"MAIL", "530 5.7.0 STARTTLS first", Known::kNotNow},
                                        {"MAIL", "250 ok\r\n550 5.1.1 uninvited", Known::kNotNow},
                                        {"EHLO", "421 4.3.2 busy", Known::kNotNow},
                                        {"", "554 5.7.1 go away", Known::kNotNow}}));
  CAPTURE(row.verb, row.reply);
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  server.replies[row.verb] = row.reply;
  CHECK(server.Ask(&callout) == row.known);
}

// "550 Relaying denied" was taken for "nobody", and good mail was bounced.
TEST_CASE("A bare 550 is of the name when the postmaster is taken (RFC 5321 §4.5.1)",
          "[smtp-ingress][unit]") {
  const std::string refusal =
      GENERATE("550 no such user", "550-no\r\n550 such user", "551 elsewhere", "553 no");
  CAPTURE(refusal);
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  server.replies["RCPT"] = refusal;
  CHECK(server.Ask(&callout) == Known::kNotNow);
  CHECK(server.commands.at(3) == "RCPT TO:<postmaster@r.example>");
  server.replies["RCPT TO:<postmaster@r.example>"] = "250 ok";
  CHECK(server.Ask(&callout) == Known::kNo);
}

// Such addresses were not asked for: whoever wanted to flood somebody with bounces used them.
TEST_CASE("An address beyond ASCII is asked for with SMTPUTF8, or can not be there (RFC 6531 §3.4)",
          "[smtp-ingress][unit]") {
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  auto ask = [&](const std::string& local_part) {
    return server.Ask(&callout, {local_part, "r.example"});
  };
  CHECK(ask("\xc3\xa9\x31") == Known::kNoUtf8);
  CHECK(server.commands == std::vector<std::string>{"EHLO mx.example", "QUIT"});
  CHECK(ask("\xc3\xa9\x31") == Known::kNoUtf8);
  CHECK(server.commands.empty());
  server.replies["EHLO"] = "250-there\r\n250 SMTPUTF8";
  CHECK(ask("\xc3\xa9\x32") == Known::kYes);
  CHECK(server.commands == std::vector<std::string>{"EHLO mx.example", "MAIL FROM:<> SMTPUTF8",
                                                    "RCPT TO:<\xc3\xa9\x32@r.example>", "QUIT"});
  server.replies["RCPT"] = "550 5.1.1 nobody";
  CHECK(ask("\xc3\xa9\x33") == Known::kNo);
}

TEST_CASE("A server that will not hear it in the clear is asked inside TLS (RFC 3207 §4)",
          "[smtp-ingress][unit]") {
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  server.replies["EHLO"] = "250-there\r\n250 STARTTLS";
  CHECK(server.Ask(&callout) == Known::kYes);
  CHECK(server.commands.size() == 4);
  server.replies["MAIL"] = "530 5.7.0 STARTTLS first";
  server.replies["STAR"] = "454 4.7.0 not now";
  CHECK(server.Ask(&callout, {"carol", "r.example"}) == Known::kNotNow);
  CHECK(server.commands == std::vector<std::string>{"EHLO mx.example", "MAIL FROM:<>", "STARTTLS"});
}

TEST_CASE("A callout ends in time", "[smtp-ingress][unit]") {
  ScriptedServer server;
  CalloutOptions options = Options();
  options.timeout = absl::Milliseconds(200);
  Callout callout(options, base::Clock::System(), nullptr);
  server.replies.erase("RCPT");
  CHECK(server.Ask(&callout) == Known::kNotNow);
}

TEST_CASE("Answers are remembered, a yes for longer than a no", "[smtp-ingress][unit]") {
  ScriptedServer server;
  testing::FakeClock clock;
  Callout callout(Options(), &clock, nullptr);
  auto asked = [&](Known known) {
    CHECK(server.Ask(&callout) == known);
    return !server.commands.empty();
  };
  server.replies["RCPT"] = "550 5.1.1 nobody";
  CHECK(asked(Known::kNo));
  CHECK_FALSE(asked(Known::kNo));
  server.replies["RCPT"] = "250 ok";
  clock.Advance(absl::Minutes(11));
  CHECK(asked(Known::kYes));
  clock.Advance(absl::Minutes(11));
  CHECK_FALSE(asked(Known::kYes));
  clock.Advance(absl::Hours(2));
  // No answer is not remembered.
  server.replies["RCPT"] = "450 4.2.1 later";
  CHECK(asked(Known::kNotNow));
  CHECK(asked(Known::kNotNow));
}

TEST_CASE("A next hop has an address, or a name that is looked up", "[smtp-ingress][unit]") {
  ScriptedServer server;
  testing::FakeResolver resolver("hop.example A 127.0.0.1");
  const std::string port = server.hop().substr(server.hop().rfind(':'));
  Callout with(Options(), base::Clock::System(), &resolver);
  auto ask = [&](Callout* callout, const std::string& hop) {
    return server.reactor.RunUntilDone(callout->Ask(hop, {"bob", "r.example"}, false));
  };
  CHECK(ask(&with, "hop.example" + port) == Known::kYes);
  CHECK(ask(&with, "gone.example" + port) == Known::kNotNow);
  CHECK(ask(&with, "nonsense") == Known::kNotNow);
  Callout without(Options(), base::Clock::System(), nullptr);
  CHECK(ask(&without, "hop.example" + port) == Known::kNotNow);
  CHECK(ask(&without, "127.0.0.1:1") == Known::kNotNow);
}

// Only the first address was tried: a hop with IPv6, seen from where there is none, was never
// asked.
TEST_CASE("All addresses of a next hop are tried", "[smtp-ingress][unit]") {
  ScriptedServer server;
  testing::FakeResolver resolver(
      "hop.example AAAA ::1\n"
      "hop.example A 127.0.0.2\n"
      "hop.example A 127.0.0.1");
  const std::string port = server.hop().substr(server.hop().rfind(':'));
  Callout callout(Options(), base::Clock::System(), &resolver);
  CHECK(server.reactor.RunUntilDone(
            callout.Ask("hop.example" + port, {"bob", "r.example"}, false)) == Known::kYes);
}

// --- Many questions ------------------------------------------------------------------------------

base::Task<Known> AskFor(Callout* callout, std::string hop, std::string local_part,
                         bool null_sender = false) {
  const smtp::Address address{local_part, "r.example"};
  const Known known = co_await callout->Ask(hop, address, null_sender);
  co_return known;
}

TEST_CASE("Equal questions at the same time are asked once", "[smtp-ingress][unit]") {
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  std::vector<base::Task<Known>> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(AskFor(&callout, server.hop(), "bob"));
  const auto answers = server.reactor.RunUntilDone(base::WhenAll(std::move(tasks)));
  CHECK(answers == std::vector<Known>(20, Known::kYes));
  CHECK(server.connections == 1);
}

// Two servers that take one another for the next hop asked each other until no slot was left.
TEST_CASE("A question that comes back is not waited for", "[smtp-ingress][unit]") {
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  std::vector<base::Task<Known>> tasks;
  for (bool null_sender : {false, true}) {
    tasks.push_back(AskFor(&callout, server.hop(), "bob", null_sender));
  }
  const auto answers = server.reactor.RunUntilDone(base::WhenAll(std::move(tasks)));
  CHECK(answers == std::vector<Known>{Known::kYes, Known::kNotNow});
  CHECK(server.connections == 1);
}

TEST_CASE("One slow next hop does not take the slots of all", "[smtp-ingress][unit]") {
  ScriptedServer slow;
  ScriptedServer quick;
  slow.replies.erase("RCPT");
  CalloutOptions options = Options();
  options.timeout = absl::Milliseconds(300);
  options.max_questions = 6;
  options.max_questions_per_hop = 2;
  Callout callout(options, base::Clock::System(), nullptr);
  std::vector<base::Task<Known>> tasks;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    tasks.push_back(AskFor(&callout, slow.hop(), name));
  }
  for (const char* name : {"a", "b"}) tasks.push_back(AskFor(&callout, quick.hop(), name));
  auto answers = quick.reactor.RunUntilDone(base::WhenAll(std::move(tasks)));
  CHECK(slow.connections == 2);
  CHECK(answers.at(6) == Known::kYes);
  CHECK(answers.at(7) == Known::kYes);
}

TEST_CASE("A next hop that can not be reached rests", "[smtp-ingress][unit]") {
  ScriptedServer server;
  testing::FakeClock clock;
  Callout callout(Options(), &clock, nullptr);
  server.replies[""] = "421 4.3.2 busy";
  CHECK(server.Ask(&callout) == Known::kNotNow);
  CHECK(server.Ask(&callout, {"carol", "r.example"}) == Known::kNotNow);
  CHECK(server.connections == 1);
  server.replies[""] = "220 there";
  clock.Advance(absl::Seconds(6));
  CHECK(server.Ask(&callout) == Known::kYes);
}

}  // namespace
}  // namespace godwit::smtp_ingress

#include "services/smtp-ingress/callout.h"

#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/must.h"

namespace godwit::smtp_ingress {
namespace {

// Answers a command by its first word; says nothing to one that it does not know. Everything runs
// on one reactor.
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
    return reactor.RunUntilDone(callout->Ask(hop(), address));
  }

  net::Reactor reactor;
  // "" is the greeting.
  std::map<std::string, std::string> replies = {{"", "220 there ESMTP"},
                                                {"EHLO", "250 there"},
                                                {"MAIL", "250 ok"},
                                                {"RCPT", "250 ok"},
                                                {"QUIT", "221 bye"}};
  std::vector<std::string> commands;

 private:
  static base::Task<void> Serve(ScriptedServer* server, std::unique_ptr<net::Stream> stream) {
    net::Reader reader(stream.get());
    std::string verb;
    for (;;) {
      const auto reply = server->replies.find(verb);
      if (reply != server->replies.end()) {
        const std::string line = reply->second + "\r\n";
        const absl::Status written = co_await stream->Write(line);
        if (!written.ok()) co_return;
      }
      absl::StatusOr<std::string> line = co_await reader.ReadLine();
      if (!line.ok()) co_return;
      server->commands.push_back(*line);
      verb = line->substr(0, 4);
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

TEST_CASE("Only an answer about the mailbox is one (RFC 5321 §4.2.2, RFC 3463 §3.8)",
          "[smtp-ingress][unit]") {
  struct Row {
    std::string verb;
    std::string reply;
    Known known;
  };
  const Row row = GENERATE(values<Row>({{"RCPT", "251 will forward", Known::kYes},
                                        {"RCPT", "550 5.1.1 nobody", Known::kNo},
                                        {"RCPT", "550-no\r\n550 such user", Known::kNo},
                                        {"RCPT", "553 5.1.3 bad", Known::kNo},
                                        {"RCPT", "550 5.7.1 you may not", Known::kNotNow},
                                        {"RCPT", "554 5.5.1 no", Known::kNotNow},
                                        {"RCPT", "450 4.2.1 later", Known::kNotNow},
                                        {"RCPT", "250 ok\n", Known::kNotNow},
                                        {"RCPT", "nonsense", Known::kNotNow},
                                        {"MAIL", "550 5.1.7 no null sender", Known::kNotNow},
                                        {"MAIL", "250 ok\r\n550 5.1.1 uninvited", Known::kNotNow},
                                        {"EHLO", "421 4.3.2 busy", Known::kNotNow},
                                        {"", "554 5.7.1 go away", Known::kNotNow}}));
  CAPTURE(row.verb, row.reply);
  ScriptedServer server;
  Callout callout(Options(), base::Clock::System(), nullptr);
  server.replies[row.verb] = row.reply;
  CHECK(server.Ask(&callout) == row.known);
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
    return server.reactor.RunUntilDone(callout->Ask(hop, {"bob", "r.example"}));
  };
  CHECK(ask(&with, "hop.example" + port) == Known::kYes);
  CHECK(ask(&with, "gone.example" + port) == Known::kNotNow);
  CHECK(ask(&with, "nonsense") == Known::kNotNow);
  Callout without(Options(), base::Clock::System(), nullptr);
  CHECK(ask(&without, "hop.example" + port) == Known::kNotNow);
  CHECK(ask(&without, "127.0.0.1:1") == Known::kNotNow);
}

}  // namespace
}  // namespace godwit::smtp_ingress

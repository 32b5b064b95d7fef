// What clients may do, over all of the daemon: connections, rates, refusals, octets, time; and what
// an operator finds afterwards under the id of a reply.

#include <thread>

#include "absl/time/clock.h"
#include "libs/store/refused_sessions.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

constexpr std::string_view kText = "Subject: hello\r\n\r\nThe text.\r\n";
const std::string kAccepted = "250 2.0.0 Message accepted";
const std::string kTooMany = "421 4.7.0 Too many connections, try again later";
const std::string kUnknown = "550 5.1.1 No such user here";

// Clients come through a load balancer, which says who they are: our own machine is exempt.
class LimitsFixture : public IngressFixture {
 public:
  LimitsFixture() {
    listener = "{listen: \"127.0.0.1:0\", proxy_protocol: true, proxy_sources: [\"127.0.0.1\"]}";
  }

  std::unique_ptr<SmtpClient> ConnectFrom(const std::string& address) {
    auto client = std::make_unique<SmtpClient>(server->endpoints().at(0));
    client->Send("PROXY TCP4 " + address + " 192.0.2.1 1234 25\r\n");
    return client;
  }
  // With greeting and EHLO, in a transaction.
  std::unique_ptr<SmtpClient> BeginFrom(const std::string& address) {
    auto client = ConnectFrom(address);
    REQUIRE(client->Reply().substr(0, 3) == "220");
    client->Say("EHLO client.test");
    REQUIRE(client->Say("MAIL FROM:<s@x.example>").substr(0, 3) == "250");
    return client;
  }
  // Rows are written within a second or so, and when the transaction or the session is over.
  std::vector<store::RefusedSession> Find(const std::string& id, size_t count = 1) {
    std::vector<store::RefusedSession> found;
    for (int i = 0; i < 100 && found.size() < count; ++i) {
      absl::SleepFor(absl::Milliseconds(50));
      found = Must(store::FindRefusedSession(*connection, id));
    }
    REQUIRE(found.size() == count);
    return found;
  }
};

TEST_CASE_METHOD(LimitsFixture, "Connections of one network are bounded, and those of others not",
                 "[smtp-ingress][component]") {
  Start("clients: {connections: 2}\n");
  auto first = ConnectFrom("192.0.2.9");
  CHECK(first->Reply().substr(0, 3) == "220");
  auto second = ConnectFrom("192.0.2.9");
  CHECK(second->Reply().substr(0, 3) == "220");
  auto third = ConnectFrom("192.0.2.9");
  CHECK(third->Reply() == kTooMany);
  const std::string id = third->last_id();
  CHECK(third->Reply() == "(closed)");
  auto other = ConnectFrom("198.51.100.1");
  CHECK(other->Reply().substr(0, 3) == "220");

  const store::RefusedSession row = Find(id)[0];
  CHECK(row.client.ToString() == "192.0.2.9");
  CHECK(row.reason == "connections");
  CHECK(row.reply == kTooMany);
  CHECK_FALSE(row.mail_from.has_value());

  first.reset();
  std::string reply;
  for (int i = 0; i < 100 && reply.substr(0, 3) != "220"; ++i) {
    absl::SleepFor(absl::Milliseconds(20));
    reply = ConnectFrom("192.0.2.9")->Reply();
  }
  CHECK(reply.substr(0, 3) == "220");
}

TEST_CASE_METHOD(LimitsFixture, "New connections of one network are bounded in a minute",
                 "[smtp-ingress][component]") {
  Start("clients: {connections_per_minute: 5}\n");
  for (int i = 0; i < 5; ++i) {
    CHECK(ConnectFrom("2001:db8::1")->Reply() == "(closed)");  // no TCP4 address: a broken header
    CHECK(ConnectFrom("192.0.2.9")->Reply().substr(0, 3) == "220");
  }
  CHECK(ConnectFrom("192.0.2.9")->Reply() == kTooMany);
  CHECK(ConnectFrom("192.0.2.10")->Reply().substr(0, 3) == "220");
}

TEST_CASE_METHOD(LimitsFixture, "What other replicas say counts, too",
                 "[smtp-ingress][component]") {
  Start("clients: {connections: 10}\n");
  CHECK(ConnectFrom("192.0.2.9")->Reply().substr(0, 3) == "220");
  MustOk(connection
             ->ExecuteScript("INSERT INTO shared_limits VALUES (1, 'smtp-connections', "
                             "clock_timestamp() + interval '9 s', '{192.0.2.9/32}', '{10}')")
             .status());
  std::string reply;
  for (int i = 0; i < 100 && reply != kTooMany; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
    reply = ConnectFrom("192.0.2.9")->Reply();
  }
  CHECK(reply == kTooMany);
  CHECK(ConnectFrom("192.0.2.8")->Reply().substr(0, 3) == "220");
}

TEST_CASE_METHOD(LimitsFixture, "Who guesses recipients is slowed, cut, and kept out",
                 "[smtp-ingress][component]") {
  Start("clients: {refused_recipients_per_hour: 4, patience: 2, reply_delay: 300ms}\n");
  auto client = BeginFrom("192.0.2.9");
  const auto timed = [&](const std::string& line, std::string_view want) {
    const absl::Time begin = absl::Now();
    CHECK(client->Say(line) == want);
    return absl::Now() - begin;
  };
  CHECK(timed("RCPT TO:<a@y.example>", kUnknown) < absl::Milliseconds(290));
  CHECK(timed("RCPT TO:<b@y.example>", kUnknown) < absl::Milliseconds(290));
  CHECK(timed("RCPT TO:<c@y.example>", kUnknown) >= absl::Milliseconds(290));
  const std::string id = client->last_id();
  CHECK(timed("RCPT TO:<alice@y.example>", "250 2.1.5 Recipient OK") < absl::Milliseconds(290));
  CHECK(client->Say("RCPT TO:<d@y.example>") ==
        "421 4.7.0 Too many errors, closing the connection");
  CHECK(client->Reply() == "(closed)");
  CHECK(ConnectFrom("192.0.2.9")->Reply() == kTooMany);
  CHECK(ConnectFrom("192.0.2.10")->Reply().substr(0, 3) == "220");

  const store::RefusedSession row = Find(id)[0];
  CHECK(row.reason == "recipient");
  CHECK(row.mail_from == "s@x.example");
  CHECK(row.greeting_name == "client.test");
  CHECK(row.recipient_count == 5);
  REQUIRE(row.recipients.size() == 5);
  CHECK(row.recipients[2].address == "c@y.example");
  CHECK(row.recipients[2].reply == kUnknown);
  CHECK(row.recipients[4].address == "alice@y.example");
  CHECK(row.recipients[4].reply.empty());
}

TEST_CASE_METHOD(LimitsFixture, "Replies that come together wait together",
                 "[smtp-ingress][component]") {
  Start("clients: {patience: 0, reply_delay: 200ms}\n");
  auto client = BeginFrom("192.0.2.9");
  const absl::Time begin = absl::Now();
  client->Send("RCPT TO:<a@y.example>\r\nRCPT TO:<b@y.example>\r\nBAD\r\n");
  CHECK(client->Reply() == kUnknown);
  CHECK(absl::Now() - begin >= absl::Milliseconds(590));
  CHECK(client->Reply() == kUnknown);
  CHECK(client->Reply() == "500 5.5.1 Unknown command");
}

TEST_CASE_METHOD(LimitsFixture, "Octets of one network are bounded in an hour",
                 "[smtp-ingress][component]") {
  Start("clients: {bytes_per_hour: 64KiB}\n");
  auto client = ConnectFrom("192.0.2.9");
  client->Reply();
  std::string text = "A: b\r\n\r\n";
  while (text.size() < 70'000) text += std::string(70, 'x') + "\r\n";
  CHECK(client->SendMessage("s@x.example", {"alice@y.example"}, text) == kAccepted);
  CHECK(client->SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "451 4.7.1 Too much mail from your network, try again later");
  auto other = ConnectFrom("198.51.100.1");
  other->Reply();
  CHECK(other->SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
}

// It passed who never sent the last dot.
TEST_CASE_METHOD(LimitsFixture, "Octets count as they come, of a message without an end, too",
                 "[smtp-ingress][component]") {
  Start("clients: {bytes_per_hour: 64KiB}\n");
  auto client = ConnectFrom("192.0.2.9");
  client->Reply();
  REQUIRE(client->BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  std::string text = "A: b\r\n\r\n";
  while (text.size() < 90'000) text += std::string(70, 'x') + "\r\n";
  client->Send(text);
  const auto asked = [&] {
    auto next = ConnectFrom("192.0.2.9");
    next->Reply();
    next->Say("EHLO client.test");
    return next->Say("MAIL FROM:<s@x.example>");
  };
  std::string reply;
  for (int i = 0; i < 100 && reply.substr(0, 3) != "451"; ++i) {
    absl::SleepFor(absl::Milliseconds(20));
    reply = asked();
  }
  CHECK(reply == "451 4.7.1 Too much mail from your network, try again later");
}

// --- Time ----------------------------------------------------------------------------------------

// An octet every 100 ms for 20 seconds, or until the session is over; how long that took.
absl::Duration Trickle(Server* server, SmtpClient* client) {
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 200 && server->sessions() > 0; ++i) {
    client->Send("N");
    absl::SleepFor(absl::Milliseconds(100));
  }
  return absl::Now() - begin;
}

// Each octet began the waiting anew: a command of 2,000 octets could take a week.
TEST_CASE_METHOD(IngressFixture, "A command has to come as a whole in its time (RFC 5321 §4.5.3.2)",
                 "[smtp-ingress][component]") {
  Start("timeouts: {command: 2s}\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(Trickle(server.get(), &client) < absl::Seconds(8));
  CHECK(client.Reply() == "421 4.4.2 Timeout, closing the connection");
  CHECK(client.last_id().size() == 12);
  CHECK(client.Reply() == "(closed)");
}

TEST_CASE_METHOD(IngressFixture, "A message that trickles in is cut by its time in all",
                 "[smtp-ingress][component]") {
  Start("timeouts: {data_block: 10s, data_total: 2s}\n");
  SmtpClient client = Connect();
  client.Reply();
  REQUIRE(client.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  CHECK(Trickle(server.get(), &client) < absl::Seconds(8));
  CHECK(client.Reply() == "421 4.4.2 Timeout, closing the connection");
  CHECK(CountEmails() == "0");
}

// --- What the id in a reply leads to -------------------------------------------------------------

TEST_CASE_METHOD(LimitsFixture, "Every refusal is found by its id", "[smtp-ingress][component]") {
  Start();
  auto client = ConnectFrom("192.0.2.9");
  client->Reply();
  SECTION("of a message, with the verdict") {
    pb::DmarcResult* dmarc = verifier.response.mutable_dmarc();
    dmarc->set_result(pb::RESULT_FAIL);
    dmarc->set_from_domain("x.example");
    dmarc->set_disposition(pb::DmarcResult::DISPOSITION_REJECT);
    verifier.response.set_authentication_results("mx.y.example;\r\n\tdmarc=fail");
    const std::string reply = client->SendMessage("s@x.example", {"alice@y.example"}, kText);
    CHECK(reply == "550 5.7.26 Message rejected per DMARC policy for x.example");
    const std::string id = client->last_id();
    const store::RefusedSession row = Find(id)[0];
    CHECK(row.id() == id);
    CHECK(row.transaction == 1);
    CHECK(row.reply == reply);
    CHECK(row.reason == "dmarc-reject");
    CHECK(row.verdict == "mx.y.example; dmarc=fail");
    CHECK(row.recipients == std::vector<store::RefusedRecipient>{{"alice@y.example", ""}});
    // What was accepted leaves nothing.
    verifier.response.clear_dmarc();
    CHECK(client->SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
    client->Say("QUIT");
    server->Drain(absl::Seconds(5));  // writes what is left
    CHECK(Must(store::FindRefusedSession(*connection, row.session)).size() == 1);
  }
  SECTION("of a message that we could not judge") {
    verifier.failure = base::Unavailable("no DNS");
    CHECK(client->SendMessage("s@x.example", {"alice@y.example"}, kText).substr(0, 3) == "451");
    CHECK(Find(client->last_id())[0].reason == "verify");
  }
  SECTION("of a message that is wrong in itself") {
    CHECK(client->SendMessage("s@x.example", {"alice@y.example"}, "A: b\n\r\n").substr(0, 10) ==
          "550 5.6.11");
    CHECK(Find(client->last_id())[0].reason == "message");
  }
  SECTION("of commands: the last one's reply, when the session is over") {
    client->Say("EHLO client.test");
    CHECK(client->Say("MAIL FROM:<s@x.example") == "501 5.1.7 Bad sender address syntax");
    const std::string id = client->last_id();
    CHECK(client->Say("NONSENSE") == "500 5.5.1 Unknown command");
    CHECK(client->last_id() == id);
    client->Say("QUIT");
    const store::RefusedSession row = Find(id)[0];
    CHECK(row.transaction == 0);
    CHECK(row.reply == "500 5.5.1 Unknown command");
    CHECK(row.reason == "command");
    CHECK(row.greeting_name == "client.test");
  }
}

// The last reply of a session that idles until its time is over was a refusal of its own in the
// list; and what was refused before a drain was not found.
TEST_CASE_METHOD(LimitsFixture, "Whoever only idles leaves nothing, and a timeout hides nothing",
                 "[smtp-ingress][component]") {
  Start("timeouts: {command: 1s}\n");
  auto idle = ConnectFrom("192.0.2.9");
  CHECK(idle->Reply().substr(0, 3) == "220");
  CHECK(idle->Reply() == "421 4.4.2 Timeout, closing the connection");
  const std::string nothing = idle->last_id();
  auto wrong = ConnectFrom("192.0.2.9");
  wrong->Reply();
  CHECK(wrong->Say("NONSENSE") == "500 5.5.1 Unknown command");
  CHECK(wrong->Reply() == "421 4.4.2 Timeout, closing the connection");
  const store::RefusedSession row = Find(wrong->last_id())[0];
  CHECK(row.reply == "500 5.5.1 Unknown command");
  CHECK(row.reason == "command-time");
  auto drained = ConnectFrom("192.0.2.9");
  drained->Reply();
  CHECK(drained->Say("NONSENSE") == "500 5.5.1 Unknown command");
  server->Drain(absl::Seconds(5));
  CHECK(Must(store::FindRefusedSession(*connection, drained->last_id())).size() == 1);
  CHECK(Must(store::FindRefusedSession(*connection, nothing)).empty());
}

TEST_CASE_METHOD(LimitsFixture, "Refused sessions are sampled, and mail does not wait for them",
                 "[smtp-ingress][component]") {
  // Half of it for those who were turned away.
  Start("refused_sessions: {per_minute: 6}\nclients: {connections_per_minute: 1}\n");
  auto mail = ConnectFrom("198.51.100.1");
  mail->Reply();
  CHECK(ConnectFrom("192.0.2.9")->Reply().substr(0, 3) == "220");
  for (int i = 0; i < 20; ++i) CHECK(ConnectFrom("192.0.2.9")->Reply() == kTooMany);
  // Nobody may write the rows now.
  MustOk(connection->ExecuteScript("BEGIN; LOCK TABLE refused_sessions").status());
  CHECK(mail->SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  MustOk(connection->ExecuteScript("COMMIT").status());
  server->Drain(absl::Seconds(5));  // writes what is left
  CHECK(database.Ask("SELECT count(*) FROM refused_sessions") == "3");
}

}  // namespace
}  // namespace godwit::smtp_ingress

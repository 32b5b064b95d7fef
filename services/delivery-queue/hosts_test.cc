// What other servers do, and what the worker makes of it: slowness, refusals, the next host, TLS.

#include "libs/store/queue_admin.h"
#include "services/delivery-queue/queue_fixture.h"
#include "services/delivery-queue/raw_server.h"

namespace godwit::delivery_queue {
namespace {

namespace tls = ::godwit::tls_policy::v1;
using Peer = RawServer::Peer;

constexpr char kShort[] =
    "retry: {first: 1h}\ntimeouts: {reply: 400ms, opening: 2s, transaction: 1s}\n";
constexpr absl::Duration kDrip = absl::Milliseconds(50);

bool Contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

// --- Time

// The wait was for the next octet, so that a server could have a connection, and the message on it,
// for as long as it liked with one now and then: no timer ever left that state.
TEST_CASE_METHOD(QueueFixture, "A reply has its time, whatever it dribbles",
                 "[delivery-queue][integration]") {
  SECTION("at the greeting") {
    RawServer remote([](Peer& peer) { peer.Dribble("220-x\r\n", kDrip); });
    Start(remote.port(), kShort);
    Must(Enqueue({}));
    CHECK(WaitFor("SELECT last_reply FROM queue_recipients",
                  "451 4.4.2 mx.x.example could not be spoken to: no reply in time"));
  }
  SECTION("octet by octet") {
    RawServer remote([](Peer& peer) {
      peer.Say("2");
      peer.Dribble("2", kDrip);
    });
    Start(remote.port(), kShort);
    Must(Enqueue({}));
    CHECK(WaitFor("SELECT last_reply FROM queue_recipients",
                  "451 4.4.2 mx.x.example could not be spoken to: no reply in time"));
  }
  SECTION("in an envelope") {
    RawServer remote([](Peer& peer) {
      peer.Greet();
      peer.ReadLine();
      peer.Dribble("250-x\r\n", kDrip);
    });
    Start(remote.port(), kShort);
    Must(Enqueue({}));
    CHECK(WaitFor("SELECT last_reply FROM queue_recipients",
                  "451 4.4.2 The connection to the next server was lost"));
  }
}

TEST_CASE_METHOD(QueueFixture, "Replies that are each in time do not make a transaction endless",
                 "[delivery-queue][integration]") {
  RawServer remote([](Peer& peer) {
    peer.Greet();
    while (!peer.ReadLine().empty()) {
      absl::SleepFor(absl::Milliseconds(200));
      if (!peer.Say("250 ok\r\n")) break;
    }
  });
  Start(remote.port(), kShort);
  Mail mail;
  for (int i = 0; i < 50; ++i) mail.to.push_back("r" + std::to_string(i) + "@x.example");
  Must(Enqueue(mail));
  CHECK(WaitFor("SELECT count(*) FROM queue_recipients WHERE attempts = 1", "51"));
  CHECK(remote.lines().size() < 20);
}

// Only the first of them was forgiven: mail was put off for minutes when a server had been
// restarted.
TEST_CASE_METHOD(QueueFixture, "All kept connections may be dead",
                 "[delivery-queue][integration]") {
  auto before = std::make_unique<TestMx>();
  before->reply_after = absl::Milliseconds(500);
  const uint16_t port = before->port();
  Start(port);
  for (int i = 0; i < 6; ++i) Must(Enqueue({}));
  REQUIRE(before->WaitFor(6));
  REQUIRE(WaitFor("SELECT count(*) FROM queue_messages", "0"));
  REQUIRE(before->connections > 2);
  before.reset();
  TestMx after({.port = port});
  Must(Enqueue({}));
  CHECK(after.WaitFor(1));
  CHECK(WaitFor("SELECT count(*) FROM queue_messages", "0"));
}

// RFC 5321 §5.1: at least two addresses are tried.
TEST_CASE_METHOD(QueueFixture, "A host that dribbles leaves time for the next",
                 "[delivery-queue][integration]") {
  // It answers everything in time, and comes to no end.
  RawServer endless([](Peer& peer) {
    peer.Say("220 x\r\n");
    while (!peer.ReadLine().empty()) {
      absl::SleepFor(absl::Milliseconds(300));
      for (int i = 0; i < 100; ++i) {
        if (!peer.Say("250-x\r\n")) return;
        absl::SleepFor(absl::Milliseconds(30));
      }
    }
  });
  TestMx mx({.port = endless.port(), .host = "127.0.0.2"});
  Start(endless.port(), "retry: {first: 1h}\ntimeouts: {opening: 6s}\n");
  policy.Answer("x.example", ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"}));
  Must(Enqueue({}));
  CHECK(mx.WaitFor(1));
  CHECK(WaitForMessages(0));
}

// --- Replies

// A second reply to the dot was taken for that to the next MAIL, and all behind it shifted by one:
// recipients failed with what was said of others.
TEST_CASE_METHOD(QueueFixture, "A reply too much ends a connection, not a recipient",
                 "[delivery-queue][integration]") {
  RawServer remote([](Peer& peer) {
    peer.Greet();
    for (std::string line = peer.ReadLine(); !line.empty() && line != "QUIT";
         line = peer.ReadLine()) {
      peer.Take(line, "250 taken\r\n550 and something else\r\n");
    }
  });
  Start(remote.port(), "limits: {threads: 1, connections_per_site: 1}\nretry: {first: 1h}\n");
  for (int i = 0; i < 4; ++i) Must(Enqueue({}));
  CHECK(WaitForMessages(0));
  CHECK(remote.connections() == 4);
  CHECK(internal->messages().empty());
}

// RFC 5321 §4.1.1.10.
TEST_CASE_METHOD(QueueFixture, "A session that is of no use ends with QUIT",
                 "[delivery-queue][integration]") {
  RawServer remote([](Peer& peer) {
    peer.Greet();
    while (!peer.ReadLine().empty()) {
    }
  });
  Start(remote.port(), "retry: {first: 1h}\n");
  policy.Answer("x.example", ScriptedPolicy::OneHost("mx.x.example", tls::REQUIREMENT_ENCRYPT));
  Must(Enqueue({}));
  REQUIRE(WaitFor("SELECT min(attempts) FROM queue_recipients", "1"));
  CHECK(remote.lines() == std::vector<std::string>{"EHLO out.y.example", "QUIT"});
}

// --- The next host

// RFC 5321 §5.1: a first host that greets, and whose back is broken, kept mail from the second for
// five days.
TEST_CASE_METHOD(QueueFixture, "The next host is tried when the first can not take it now",
                 "[delivery-queue][integration]") {
  TestMx first;
  TestMx second({.port = first.port(), .host = "127.0.0.2"});
  const smtp::Reply reply = GENERATE(values<smtp::Reply>({
      {451, "4.3.0", {"Try later"}},
      {421, "4.3.2", {"Going"}},
  }));
  first.on_rcpt = [&](const std::string&) { return reply; };
  Start(first.port(), "retry: {first: 1h}\nlimits: {threads: 1, connections_per_site: 1}\n");
  policy.Answer("x.example", ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"}));
  for (int i = 0; i < 3; ++i) Must(Enqueue({}));
  CHECK(second.WaitFor(3));
  CHECK(WaitForMessages(0));
  CHECK(first.messages().empty());
}

TEST_CASE_METHOD(QueueFixture, "What a host says for ever, or of the message, is not asked again",
                 "[delivery-queue][integration]") {
  TestMx first;
  TestMx second({.port = first.port(), .host = "127.0.0.2"});
  SECTION("a recipient") {
    first.on_rcpt = [](const std::string&) { return smtp::Reply{550, "5.1.1", {"Nobody"}}; };
  }
  SECTION("after the dot, for now") {
    first.on_message = [](const TakenMessage&) { return smtp::Reply{451, "4.3.0", {"Later"}}; };
  }
  // A chunk could be refused for either.
  Start(first.port(), "retry: {first: 1h}\n", ", data_only: true");
  policy.Answer("x.example", ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"}));
  Must(Enqueue({}));
  CHECK(
      WaitFor("SELECT count(*) FROM queue_messages WHERE origin = 'submission' AND queue_id NOT "
              "IN (SELECT queue_id FROM queue_recipients WHERE attempts = 1)",
              "0"));
  CHECK(second.messages().empty());
}

// RFC 3030 §2: what says that there is no room now may be the answer to the only chunk.
TEST_CASE_METHOD(QueueFixture, "The next host is tried when the first refuses a chunk for now",
                 "[delivery-queue][integration]") {
  TestMx first;
  TestMx second({.port = first.port(), .host = "127.0.0.2"});
  first.on_message = [](const TakenMessage&) { return smtp::Reply{452, "4.3.1", {"Full"}}; };
  Start(first.port(), "retry: {first: 1h}\n");
  policy.Answer("x.example", ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"}));
  Must(Enqueue({}));
  CHECK(second.WaitFor(1));
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(QueueFixture, "Where no host takes it now it is put off once",
                 "[delivery-queue][integration]") {
  TestMx first;
  TestMx second({.port = first.port(), .host = "127.0.0.2"});
  first.on_rcpt = [](const std::string&) { return smtp::Reply{451, "4.3.0", {"First"}}; };
  second.on_rcpt = [](const std::string&) { return smtp::Reply{451, "4.3.0", {"Second"}}; };
  Start(first.port(), "retry: {first: 1h}\n");
  policy.Answer("x.example", ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"}));
  Must(Enqueue({}));
  // Without the id that our server puts behind it.
  CHECK(
      WaitFor("SELECT split_part(last_reply, ' [', 1) FROM queue_recipients", "451 4.3.0 Second"));
}

// RFC 8689 §4.2.1: each host of the list, before the message fails.
TEST_CASE_METHOD(QueueFixture, "REQUIRETLS finds the host that can do it",
                 "[delivery-queue][integration]") {
  smtp::ExtensionSet extensions = smtp::ServerOptions().extensions;
  extensions.Add(smtp::Extension::kRequireTls);
  TestMx first(TestMx::Options{.tls = ServerTls("mx1.x.example")});
  TestMx second(TestMx::Options{.tls = ServerTls("mx2.x.example"),
                                .extensions = extensions,
                                .port = first.port(),
                                .host = "127.0.0.2"});
  Start(first.port(), "retry: {first: 1h}\n");
  tls::ResolveResponse answer = ScriptedPolicy::Hosts({"mx1.x.example", "mx2.x.example"});
  SECTION("by MTA-STS") {
    for (tls::Host& host : *answer.mutable_hosts()) {
      host.set_requirement(tls::REQUIREMENT_MTA_STS);
      host.set_mta_sts_matched(true);
    }
    policy.Answer("x.example", answer);
    Must(Enqueue({.requiretls = true}));
    CHECK(second.WaitFor(1));
    CHECK(WaitForMessages(0));
    CHECK(internal->messages().empty());
  }
  SECTION("by DNSSEC and a certificate that nobody asked for") {
    for (tls::Host& host : *answer.mutable_hosts()) host.set_mx_secure(true);
    policy.Answer("x.example", answer);
    Must(Enqueue({.requiretls = true}));
    CHECK(second.WaitFor(1));
    CHECK(WaitForMessages(0));
  }
  // Step 2: a policy in mode testing that does not name the host. Its certificate is good, and who
  // forged the MX record has it.
  SECTION("not by a host that anybody may have named") {
    for (tls::Host& host : *answer.mutable_hosts()) host.set_mta_sts_testing(true);
    policy.Answer("x.example", answer);
    Must(Enqueue({.requiretls = true}));
    REQUIRE(internal->WaitFor(1));
    CHECK(Contains(internal->messages().at(0).text, "Status: 5.7.30"));
    CHECK(second.messages().empty());
  }
  SECTION("and waits for one that is away") {
    *answer.add_hosts() = ScriptedPolicy::OneHost("mx3.x.example").hosts(0);
    answer.mutable_hosts()->DeleteSubrange(1, 1);
    answer.mutable_hosts(1)->set_addresses(0, std::string("\x7f\0\0\3", 4));
    policy.Answer("x.example", answer);
    Must(Enqueue({.requiretls = true}));
    CHECK(WaitFor("SELECT last_reply FROM queue_recipients",
                  "451 4.4.1 Not every server of the domain can be reached"));
  }
}

// --- What is told of TLS

// All sessions of a provider were counted to whichever domain had opened one.
TEST_CASE_METHOD(QueueFixture, "Each domain whose mail goes over a session is told of it, once",
                 "[delivery-queue][integration]") {
  TestMx mx(TestMx::Options{.tls = ServerTls("mx.shared.example")});
  Start(mx.port(), "limits: {threads: 1, connections_per_site: 1}\n");
  for (const char* domain : {"one.example", "two.example"}) {
    tls::ResolveResponse answer = ScriptedPolicy::OneHost("mx.shared.example");
    answer.mutable_hosts(0)->mutable_report()->set_domain(domain);
    policy.Answer(domain, answer);
  }
  Must(Enqueue({.to = {"a@one.example"}}));
  REQUIRE(mx.WaitFor(1));
  Must(Enqueue({.to = {"a@two.example"}}));
  Must(Enqueue({.to = {"b@two.example", "c@one.example"}}));
  REQUIRE(mx.WaitFor(3));
  CHECK(mx.connections == 1);
  for (int i = 0; i < 200 && policy.outcomes().size() < 2; ++i)
    absl::SleepFor(absl::Milliseconds(20));
  std::map<std::string, int> told;
  for (const auto& outcome : policy.outcomes()) ++told[outcome.policy().domain()];
  CHECK(told == std::map<std::string, int>{{"one.example", 1}, {"two.example", 1}});
}

// All went in one call, which the server refused for its size, and all were lost without a word.
TEST_CASE_METHOD(QueueFixture, "Outcomes with large policies are told in several calls",
                 "[delivery-queue][integration]") {
  constexpr int kDomains = 60;
  TestMx mx;
  Start(mx.port());
  Mail mail;
  mail.to.clear();
  for (int i = 0; i < kDomains; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    tls::ResolveResponse answer = ScriptedPolicy::OneHost("mx.shared.example");
    answer.mutable_hosts(0)->mutable_report()->set_domain(domain);
    answer.mutable_hosts(0)->mutable_report()->add_policy(std::string(100'000, 'x'));
    policy.Answer(domain, answer);
    mail.to.push_back("a@" + domain);
  }
  Must(Enqueue(mail));
  REQUIRE(mx.WaitFor(1));
  for (int i = 0; i < 200 && policy.outcomes().size() < kDomains; ++i)
    absl::SleepFor(absl::Milliseconds(20));
  CHECK(policy.outcomes().size() == kDomains);
}

// RFC 8460 §4.3: the session in the clear that follows a failed handshake was told as one with a
// server that offers no STARTTLS.
TEST_CASE_METHOD(QueueFixture, "A handshake that fails is told once, as what it is",
                 "[delivery-queue][integration]") {
  RawServer remote([](Peer& peer) {
    if (!peer.Greet("250-x\r\n250 STARTTLS\r\n")) return;
    const std::string line = peer.ReadLine();
    if (line == "STARTTLS") {
      peer.Say("220 go\r\n");
      absl::SleepFor(absl::Milliseconds(100));
      peer.Say("this is no TLS");
    } else {
      peer.Take(line);
    }
  });
  Start(remote.port(), "retry: {first: 1h}\n");
  Must(Enqueue({}));
  CHECK(WaitForMessages(0));
  for (int i = 0; i < 100 && policy.outcomes().empty(); ++i) absl::SleepFor(absl::Milliseconds(20));
  absl::SleepFor(absl::Milliseconds(1200));  // another round of what is told
  REQUIRE(policy.outcomes().size() == 1);
  CHECK(policy.outcomes()[0].result() == tls::RESULT_TYPE_VALIDATION_FAILURE);
}

// --- Ways

// A cold tls-policy refuses what is above its bounds: everybody else's mail was put off for
// minutes.
TEST_CASE_METHOD(QueueFixture, "A tls-policy with too much to do costs no attempt",
                 "[delivery-queue][integration]") {
  TestMx mx;
  policy.busy = 2;
  Start(mx.port(), "retry: {first: 1h}\n");
  for (int i = 0; i < 20; ++i) Must(Enqueue({}));
  CHECK(mx.WaitFor(20));
  CHECK(WaitForMessages(0));
  // One question at a time for one domain.
  CHECK(policy.resolves <= 4);
}

// --- Room

// What found its site full was looked for every 30 seconds, and everything due was read for that.
TEST_CASE_METHOD(QueueFixture, "A site's backlog above its bound flows",
                 "[delivery-queue][integration]") {
  TestMx mx;
  Start(mx.port(), "limits: {threads: 2, messages_per_site: 10, connections_per_site: 1}\n");
  for (int i = 0; i < 100; ++i) Must(Enqueue({}));
  CHECK(mx.WaitFor(100));
  CHECK(WaitForMessages(0));
  CHECK(mx.messages().size() == 100);
}

// --- Operators

// Workers look at what has become due; what was due an hour ago waited for their look at
// everything.
TEST_CASE_METHOD(QueueFixture, "What was held for long goes at once when it is released",
                 "[delivery-queue][integration]") {
  uint16_t port;
  {
    TestMx gone;
    port = gone.port();
  }
  Start(port, "retry: {first: 1h}\n");
  const int64_t id = Must(Enqueue({})).queue_id();
  REQUIRE(WaitFor("SELECT min(attempts) FROM queue_recipients", "1"));
  const store::QueueSelection whole{.ids = {store::QueueId{id}}};
  Must(store::HoldQueued(*connection, whole, ""));
  MustOk(connection
             ->ExecuteScript("UPDATE queue_recipients SET next_attempt_at = clock_timestamp() - "
                             "interval '1 hour'")
             .status());
  absl::SleepFor(absl::Milliseconds(200));
  TestMx back(TestMx::Options{.port = port});
  Must(store::ReleaseQueued(*connection, whole, absl::Now()));
  for (int i = 0; i < 40 && back.messages().empty(); ++i) absl::SleepFor(absl::Milliseconds(50));
  CHECK(back.messages().size() == 1);
  CHECK(WaitForMessages(0));
}

// --- Notices

// An outcome that the database never takes was tried for ever, in the company of all others.
TEST_CASE_METHOD(QueueFixture, "A notice that can not be enqueued does not keep the outcome",
                 "[delivery-queue][fault]") {
  MustOk(connection
             ->ExecuteScript(
                 "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
                 "EXCEPTION 'no' USING ERRCODE = '22000'; END $$; CREATE TRIGGER refuse BEFORE "
                 "INSERT ON queue_messages FOR EACH ROW WHEN (new.origin = 'dsn') EXECUTE FUNCTION "
                 "refuse()")
             .status());
  TestMx mx;
  mx.on_rcpt = [](const std::string&) { return smtp::Reply{550, "5.1.1", {"Nobody"}}; };
  Start(mx.port());
  Must(Enqueue({}));
  bool gone = false;
  for (int i = 0; i < 3 && !gone; ++i) gone = WaitForMessages(0);
  CHECK(gone);
  CHECK(internal->messages().empty());
}

}  // namespace
}  // namespace godwit::delivery_queue

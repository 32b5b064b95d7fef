// The daemon as a whole: a real PostgreSQL, real gRPC, mail servers in this process.

#include <filesystem>
#include <fstream>
#include <sstream>

#include "libs/rpc/call.h"
#include "services/delivery-queue/queue_fixture.h"

namespace godwit::delivery_queue {
namespace {

namespace fs = std::filesystem;
namespace pb = ::godwit::delivery_queue::v1;
namespace tls = ::godwit::tls_policy::v1;
using Code = absl::StatusCode;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

bool Contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

// --- Where mail goes

TEST_CASE_METHOD(QueueFixture, "Mail for our own domain goes to smtp-ingress with its origin",
                 "[delivery-queue][integration]") {
  StartCapture();
  Mail mail;
  mail.to = {"alice@y.example", "Bob@Y.Example"};
  const auto response = Must(Enqueue(mail));
  CHECK(response.queue_id() > 0);
  CHECK_FALSE(response.duplicate());
  REQUIRE(internal->WaitFor(1));
  const TakenMessage taken = internal->messages().at(0);
  CHECK(taken.from == "alice@y.example");
  CHECK(taken.to == std::vector<std::string>{"alice@y.example", "Bob@y.example"});
  CHECK(taken.text == mail.header + mail.body);
  CHECK(taken.mail.origin->kind == smtp::OriginKind::kSubmission);
  CHECK(taken.mail.origin->account == store::ToInt(alice));
  CHECK(taken.mail.origin->client == "192.0.2.7");
  CHECK(taken.mail.origin->user == "alice@y.example");
  CHECK(WaitForMessages(0));
}

// It was thought to need neither: the message stays in the house. It may go on from there.
TEST_CASE_METHOD(QueueFixture, "smtp-ingress hears what the sender wants (RFC 8689, RFC 3461)",
                 "[delivery-queue][integration]") {
  StartCapture();
  Must(Enqueue({.to = {"bob@y.example"},
                .notify = pb::NOTIFY_SUCCESS | pb::NOTIFY_DELAY,
                .requiretls = true,
                .envid = "one"}));
  REQUIRE(internal->WaitFor(1));
  const TakenMessage taken = internal->messages().at(0);
  CHECK(taken.mail.requiretls);
  CHECK(taken.mail.envid == "one");
  CHECK(taken.rcpt.at(0).notify.success);
  CHECK(taken.rcpt.at(0).notify.delay);
  CHECK(WaitForMessages(0));
  CHECK(internal->messages().size() == 1);  // it tells, not we
}

TEST_CASE_METHOD(QueueFixture, "Captured mail lies in numbered files that are never reused",
                 "[delivery-queue][integration]") {
  StartCapture();
  Mail mail;
  mail.to = {"bob@x.example", "carol@z.example"};
  mail.notify = pb::NOTIFY_NEVER;
  Must(Enqueue(mail));
  REQUIRE(WaitForMessages(0));
  CHECK(ReadFile(folder + "/capture/001.eml") == mail.header + mail.body);
  const std::string envelope = ReadFile(folder + "/capture/001.json");
  CHECK(Contains(envelope, "\"mail_from\": \"alice@y.example\""));
  CHECK(Contains(envelope, "\"rcpt_to\": [\"bob@x.example\", \"carol@z.example\"]"));
  fs::remove(folder + "/capture/001.eml");
  fs::remove(folder + "/capture/001.json");
  Stop();
  StartCapture();
  mail.body = std::string(700 * 1024, 'x') + "\r\n";  // staged, and read again
  Must(Enqueue(mail));
  REQUIRE(WaitForMessages(0));
  CHECK_FALSE(fs::exists(folder + "/capture/001.eml"));
  CHECK(ReadFile(folder + "/capture/002.eml") == mail.header + mail.body);
  CHECK(database.Ask("SELECT count(*) FROM queue_staged") == "0");
}

TEST_CASE_METHOD(QueueFixture, "Mail for other domains goes to their hosts, connections are reused",
                 "[delivery-queue][integration]") {
  TestMx mx;
  Start(mx.port(), "limits: {threads: 1, connections_per_site: 1}\n");
  for (int i = 0; i < 5; ++i) Must(Enqueue({.to = {"bob@x.example", "dan@x.example"}}));
  REQUIRE(mx.WaitFor(5));
  CHECK(mx.connections == 1);
  CHECK(mx.messages().at(0).to.size() == 2);
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(QueueFixture, "Some recipients may fail while others are served",
                 "[delivery-queue][integration]") {
  TestMx mx;
  std::atomic<int> busy{1};
  mx.on_rcpt = [&](const std::string& to) {
    if (to == "nobody@x.example") return smtp::Reply{550, "5.1.1", {"No such user"}};
    if (to == "later@x.example" && busy-- > 0) return smtp::Reply{450, "4.2.1", {"Busy"}};
    return smtp::MakeReply(smtp::ReplyKind::kRecipientOk);
  };
  Start(mx.port(), "retry: {first: 1s}\n");
  Must(Enqueue({.to = {"bob@x.example", "nobody@x.example", "later@x.example"}}));
  REQUIRE(mx.WaitFor(2));
  CHECK(mx.messages().at(0).to == std::vector<std::string>{"bob@x.example"});
  CHECK(mx.messages().at(1).to == std::vector<std::string>{"later@x.example"});
  // The bounce goes to its sender, who is ours.
  REQUIRE(internal->WaitFor(1));
  const TakenMessage bounce = internal->messages().at(0);
  CHECK(bounce.from.empty());
  CHECK(bounce.to == std::vector<std::string>{"alice@y.example"});
  CHECK(bounce.mail.origin->kind == smtp::OriginKind::kDsn);
  CHECK(Contains(bounce.text, "nobody@x.example"));
  CHECK(Contains(bounce.text, "Action: failed"));
  CHECK(Contains(bounce.text, "Status: 5.1.1"));
  CHECK(Contains(bounce.text, "postmaster@y.example"));
  CHECK(Contains(bounce.text, "Hello."));
  CHECK(WaitForMessages(0));
  CHECK(internal->messages().size() == 1);
}

TEST_CASE_METHOD(QueueFixture, "Domains that take no mail or do not exist bounce at once",
                 "[delivery-queue][integration]") {
  Start(1);
  tls::ResolveResponse null_mx, nowhere, broken;
  null_mx.set_outcome(tls::OUTCOME_NULL_MX);
  nowhere.set_outcome(tls::OUTCOME_NO_DOMAIN);
  broken.set_outcome(tls::OUTCOME_TEMPORARY);
  policy.Answer("null.example", null_mx);
  policy.Answer("nowhere.example", nowhere);
  policy.Answer("broken.example", broken);
  Must(Enqueue({.to = {"a@null.example", "b@nowhere.example", "c@broken.example"}}));
  REQUIRE(internal->WaitFor(2));
  std::string text;
  for (const TakenMessage& message : internal->messages()) text += message.text;
  CHECK(Contains(text, "Status: 5.1.10"));
  CHECK(Contains(text, "Status: 5.1.2"));
  CHECK_FALSE(Contains(text, "c@broken.example\r\nAction"));
  CHECK(WaitFor("SELECT count(*) FROM queue_recipients WHERE state = 'pending'", "1"));
  CHECK(database.Ask("SELECT last_reply LIKE '451 4.4.3 %' FROM queue_recipients "
                     "WHERE state = 'pending'") == "t");
}

TEST_CASE_METHOD(QueueFixture, "The next host is tried when the first can not be reached",
                 "[delivery-queue][integration]") {
  TestMx mx;
  Start(mx.port(), "timeouts: {connect: 500ms}\n");
  tls::ResolveResponse two = ScriptedPolicy::OneHost("first.x.example");
  two.mutable_hosts(0)->set_addresses(0, std::string("\x7f\0\0\2", 4));  // nobody listens there
  *two.add_hosts() = ScriptedPolicy::OneHost("second.x.example").hosts(0);
  policy.Answer("x.example", two);
  Must(Enqueue({}));
  CHECK(mx.WaitFor(1));
}

TEST_CASE_METHOD(QueueFixture, "Nobody there: put off, with the reason, and tried again",
                 "[delivery-queue][integration]") {
  uint16_t port;
  {
    TestMx gone;
    port = gone.port();
  }
  Start(port, "retry: {first: 1s}\n");
  Must(Enqueue({}));
  REQUIRE(WaitFor("SELECT min(attempts) > 0 FROM queue_recipients", "t"));
  CHECK(database.Ask("SELECT last_reply LIKE '451 4.4.1 No connection to mx.x.example%' "
                     "FROM queue_recipients") == "t");
  CHECK(database.Ask("SELECT claim_worker IS NULL FROM queue_messages") == "t");
  TestMx back(TestMx::Options{.port = port});
  CHECK(back.WaitFor(1));
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(QueueFixture, "A connection that was closed while it waited costs no attempt",
                 "[delivery-queue][integration]") {
  auto mx = std::make_unique<TestMx>();
  const uint16_t port = mx->port();
  Start(port, "retry: {first: 1h}\n");
  Must(Enqueue({}));
  REQUIRE(mx->WaitFor(1));
  REQUIRE(WaitForMessages(0));
  // The server goes and comes back; our connection to it waits for another message.
  mx = nullptr;
  mx = std::make_unique<TestMx>(TestMx::Options{.port = port});
  Must(Enqueue({}));
  CHECK(mx->WaitFor(1));
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(QueueFixture,
                 "What the sender asks of notifications goes on to a server that knows them",
                 "[delivery-queue][integration]") {
  smtp::ExtensionSet extensions = smtp::ServerOptions().extensions;
  extensions.Add(smtp::Extension::kDsn);
  TestMx mx(TestMx::Options{.extensions = extensions});
  Start(mx.port());
  Must(Enqueue({.notify = pb::NOTIFY_SUCCESS | pb::NOTIFY_FAILURE,
                .orcpt = "rfc822;b+2Bob@z.example",
                .ret = pb::RET_HDRS,
                .envid = "QQ 314159"}));
  REQUIRE(mx.WaitFor(1));
  const TakenMessage message = mx.messages().at(0);
  CHECK(message.mail.ret == smtp::DsnReturn::kHeaders);
  CHECK(message.mail.envid == "QQ 314159");
  CHECK(message.rcpt.at(0).notify.success);
  CHECK_FALSE(message.rcpt.at(0).notify.delay);
  CHECK(message.rcpt.at(0).orcpt_address == "b+ob@z.example");
  CHECK(WaitForMessages(0));
  CHECK(internal->messages().empty());  // it tells of the success, not we

  // One that does not know them: we say "relayed".
  TestMx plain;
  policy.Answer("w.example", ScriptedPolicy::OneHost("mx.w.example"));
  Stop();
  Start(plain.port());
  Must(Enqueue({.to = {"bob@w.example"}, .notify = pb::NOTIFY_SUCCESS}));
  REQUIRE(internal->WaitFor(1));
  CHECK(Contains(internal->messages().at(0).text, "Action: relayed"));
}

// It would be the sending half of "SMTP smuggling". Such a message was taken, failed with every
// server, and its notice, which brought it back, failed as well: nobody was told.
TEST_CASE_METHOD(QueueFixture, "A message with a bare CR or LF is not taken",
                 "[delivery-queue][integration]") {
  StartCapture();
  for (const char* body : {"one\n.\r\nMAIL FROM:<x@y.example>\r\n", "\rone\r\n", "one\r"}) {
    CAPTURE(body);
    CHECK(Enqueue({.body = body}).status().code() == Code::kInvalidArgument);
  }
  CHECK(Enqueue({.header = "Subject: a\nb\r\n\r\n"}).status().code() == Code::kInvalidArgument);
  CHECK(CountMessages() == "0");
}

// --- TLS

TEST_CASE_METHOD(QueueFixture, "TLS is used where it is offered, and as the policy says",
                 "[delivery-queue][integration]") {
  TestMx mx(TestMx::Options{.tls = ServerTls("mx.x.example")});
  Start(mx.port(), "retry: {first: 1h}\n");
  policy.Answer("sts.example", ScriptedPolicy::OneHost("mx.x.example", tls::REQUIREMENT_MTA_STS));
  policy.Answer("wrong.example",
                ScriptedPolicy::OneHost("other.example", tls::REQUIREMENT_MTA_STS));
  policy.Answer("unusable.example",
                ScriptedPolicy::OneHost("mx.x.example", tls::REQUIREMENT_UNUSABLE));
  Must(Enqueue({.to = {"a@plain.example"}}));
  Must(Enqueue({.to = {"b@sts.example"}}));
  REQUIRE(mx.WaitFor(2));
  for (const TakenMessage& message : mx.messages()) CHECK(message.tls);
  Must(Enqueue({.to = {"c@wrong.example"}}));
  Must(Enqueue({.to = {"d@unusable.example"}}));
  REQUIRE(WaitFor("SELECT count(*) FROM queue_recipients WHERE last_reply LIKE '451 4.7.5%'", "2"));
  CHECK(mx.messages().size() == 2);
  // What became of TLS is told, each with its result.
  for (int i = 0; i < 200 && policy.outcomes().size() < 3; ++i)
    absl::SleepFor(absl::Milliseconds(20));
  std::map<std::string, int> results;
  for (const auto& outcome : policy.outcomes()) ++results[tls::ResultType_Name(outcome.result())];
  CHECK(results["RESULT_TYPE_SUCCESS"] == 2);
  CHECK(results["RESULT_TYPE_CERTIFICATE_HOST_MISMATCH"] == 1);
}

TEST_CASE_METHOD(QueueFixture, "Without the TLS that is required nothing is sent",
                 "[delivery-queue][integration]") {
  TestMx mx;  // no STARTTLS
  Start(mx.port(), "retry: {first: 1h}\n");
  policy.Answer("x.example", ScriptedPolicy::OneHost("mx.x.example", tls::REQUIREMENT_ENCRYPT));
  Must(Enqueue({}));
  CHECK(WaitFor("SELECT count(*) FROM queue_recipients WHERE last_reply LIKE '451 4.7.4%'", "1"));
  CHECK(mx.messages().empty());
}

TEST_CASE_METHOD(QueueFixture,
                 "REQUIRETLS, 8-bit and UTF-8 mail bounces where the way can not carry it",
                 "[delivery-queue][integration]") {
  smtp::ExtensionSet bare = {smtp::Extension::kSize};
  TestMx mx(TestMx::Options{.extensions = bare});
  Start(mx.port());
  Must(Enqueue({.requiretls = true}));
  REQUIRE(internal->WaitFor(1));
  CHECK(Contains(internal->messages().at(0).text, "Status: 5.7.30"));
  Must(Enqueue({.body = "gr\xc3\xbc\xc3\x9f\x65\r\n"}));
  REQUIRE(internal->WaitFor(2));
  CHECK(Contains(internal->messages().at(1).text, "Status: 5.6.3"));
  Must(Enqueue({.to = {"gr\xc3\xbc\xc3\x9f@x.example"}, .smtputf8 = true}));
  REQUIRE(internal->WaitFor(3));
  CHECK(Contains(internal->messages().at(2).text, "Status: 5.6.7"));
  // SMTPUTF8 was announced but nothing needs it.
  Must(Enqueue({.smtputf8 = true}));
  CHECK(mx.WaitFor(1));
}

// --- Enqueue

TEST_CASE_METHOD(QueueFixture, "A second call with the same key changes nothing",
                 "[delivery-queue][integration]") {
  StartCapture();
  const auto first = Must(Enqueue({.key = "the-one-key"}));
  const auto second = Must(Enqueue({.key = "the-one-key"}));
  CHECK(second.duplicate());
  CHECK(second.queue_id() == first.queue_id());
  REQUIRE(WaitForMessages(0));
  // After the delivery, too; another daemon's key is another key.
  CHECK(Must(Enqueue({.key = "the-one-key"})).duplicate());
  CHECK_FALSE(Must(Enqueue({.key = "the-one-key"}, "webmail-api")).duplicate());
  CHECK(WaitForMessages(0));
  CHECK(fs::exists(folder + "/capture/002.eml"));
  CHECK_FALSE(fs::exists(folder + "/capture/003.eml"));
}

TEST_CASE_METHOD(QueueFixture, "What may not be enqueued is refused",
                 "[delivery-queue][integration]") {
  StartCapture();
  CHECK(Enqueue({}, "imap-gateway").status().code() == Code::kUnauthenticated);
  CHECK(Enqueue({.origin = pb::ORIGIN_FORWARD}).status().code() == Code::kPermissionDenied);
  CHECK(Enqueue({.from = "", .origin = pb::ORIGIN_DSN}).status().code() == Code::kPermissionDenied);
  CHECK(Enqueue({.origin = pb::ORIGIN_DSN}, "smtp-ingress").status().code() ==
        Code::kInvalidArgument);
  CHECK(Enqueue({.from = "", .to = {"a@x.example", "b@x.example"}, .origin = pb::ORIGIN_DSN},
                "smtp-ingress")
            .status()
            .code() == Code::kInvalidArgument);
  CHECK(Enqueue({.from = "a@elsewhere.example"}).status().code() == Code::kPermissionDenied);
  CHECK(Enqueue({.to = {"not an address"}}).status().code() == Code::kInvalidArgument);
  CHECK(Enqueue({.to = {}}).status().code() == Code::kInvalidArgument);
  // A newer caller comes again, and may meet a newer replica.
  CHECK(Enqueue({.origin = static_cast<pb::Origin>(1000)}).status().code() == Code::kUnavailable);
  CHECK(Enqueue({.key = "short"}).status().code() == Code::kInvalidArgument);
  CHECK(Enqueue({.header = "no end"}).status().code() == Code::kInvalidArgument);
  // A forward keeps its sender, who is anybody's.
  CHECK(
      Enqueue({.from = "x@elsewhere.example", .origin = pb::ORIGIN_FORWARD}, "smtp-ingress").ok());
  CHECK(Enqueue({.from = "", .origin = pb::ORIGIN_DSN}, "smtp-ingress").ok());

  MustOk(connection->ExecuteScript("UPDATE accounts SET disabled = true").status());
  absl::SleepFor(absl::Milliseconds(2100));  // what was looked up before holds for two seconds
  CHECK(Enqueue({}).status().code() == Code::kPermissionDenied);

  pb::EnqueueRequest body;
  body.set_body("x");
  CHECK(Call({body}, "submission").status().code() == Code::kInvalidArgument);
  CHECK(Call({}, "submission").status().code() == Code::kInvalidArgument);
  CHECK(WaitForMessages(0));
}

// A grant that was missing was answered as if the sender might not send: 550 for everybody's mail.
TEST_CASE_METHOD(QueueFixture, "What the database refuses us is no verdict about the message",
                 "[delivery-queue][integration]") {
  StartCapture();
  const char* taken = GENERATE("SELECT ON domains", "SELECT (account_id, disabled) ON accounts",
                               "EXECUTE ON FUNCTION queue_enqueue", "INSERT ON queue_staged");
  CAPTURE(taken);
  const std::string right = taken;
  MustOk(connection->ExecuteScript("REVOKE " + right + " FROM godwit_delivery_queue").status());
  std::string body;
  while (body.size() < 600 * 1024) body += std::string(70, 'x') + "\r\n";
  CHECK(Enqueue({.body = body}).status().code() == Code::kUnavailable);
  MustOk(connection->ExecuteScript("GRANT " + right + " TO godwit_delivery_queue").status());
  CHECK(Enqueue({.body = body}).ok());
}

TEST_CASE_METHOD(QueueFixture, "What will never fit is told apart from what does not fit now",
                 "[delivery-queue][integration]") {
  StartCapture("limits: {message_size: 1MiB, recipients: 100}\n");
  std::string body;
  while (body.size() <= 1024 * 1024) body += std::string(70, 'x') + "\r\n";
  CHECK(Enqueue({.body = body}).status().code() == Code::kOutOfRange);
  std::vector<std::string> to;
  for (int i = 0; i < 101; ++i) to.push_back("b" + std::to_string(i) + "@x.example");
  CHECK(Enqueue({.to = to}).status().code() == Code::kOutOfRange);
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(QueueFixture, "Every RPC is its callers' alone", "[delivery-queue][integration]") {
  StartCapture();
  for (const char* caller : {"smtp-ingress", "submission", "imap-gateway", "auth-verifier",
                             "tls-policy", "webmail-api", "acme", "delivery-queue"}) {
    CAPTURE(caller);
    auto stub = Stub(caller);
    grpc::ClientContext client;
    pb::ListResponse response;
    const grpc::Status status = stub->List(&client, {}, &response);
    CHECK(status.ok() == (std::string(caller) == "webmail-api"));
    const std::set<std::string> enqueuers = {"smtp-ingress", "submission", "auth-verifier",
                                             "tls-policy", "webmail-api"};
    const bool denied = Call({}, caller).status().code() == Code::kUnauthenticated;
    CHECK(denied == !enqueuers.contains(caller));
  }
}

TEST_CASE_METHOD(QueueFixture, "Without a database Enqueue fails for now and nothing is lost",
                 "[delivery-queue][fault]") {
  TestMx mx;
  Start(mx.port());
  Must(Enqueue({}));
  REQUIRE(mx.WaitFor(1));
  REQUIRE(WaitForMessages(0));
  testing::ScratchDatabase::StopCluster();
  CHECK(Enqueue({}).status().code() == Code::kUnavailable);
  testing::ScratchDatabase::StartCluster();
  connection = database.Connect();
  absl::Status taken = base::Unavailable("");
  for (int i = 0; i < 100 && !taken.ok(); ++i) {
    taken = Enqueue({}).status();
    absl::SleepFor(absl::Milliseconds(50));
  }
  CHECK(taken.ok());
  CHECK(mx.WaitFor(2));
  CHECK(WaitForMessages(0));
}

// --- Operators

TEST_CASE_METHOD(QueueFixture, "An administrator sees and changes what waits",
                 "[delivery-queue][integration]") {
  Start(1, "retry: {first: 1h}\n");
  const int64_t id = Must(Enqueue({})).queue_id();
  REQUIRE(WaitFor("SELECT min(attempts) > 0 FROM queue_recipients", "t"));
  auto stub = Stub("webmail-api");
  auto call = [&](auto method, auto request, auto response) {
    grpc::ClientContext client;
    const grpc::Status status = (stub.get()->*method)(&client, request, &response);
    INFO(status.error_message());
    CHECK(status.ok());
    return response;
  };
  using Service = pb::DeliveryQueue::Stub;
  const auto list = call(&Service::List, pb::ListRequest(), pb::ListResponse());
  REQUIRE(list.messages_size() == 1);
  CHECK(list.messages(0).queue_id() == id);
  CHECK(list.messages(0).recipients_pending() == 1);
  pb::ShowRequest show;
  show.set_queue_id(id);
  const auto shown = call(&Service::Show, show, pb::ShowResponse());
  CHECK(shown.message().recipients(0).address() == "bob@x.example");
  CHECK(Contains(shown.message().recipients(0).last_reply(), "4.4.1"));

  pb::SelectRequest one;
  one.mutable_selection()->add_queue_ids(id);
  call(&Service::Retry, one, pb::SelectResponse());
  CHECK(WaitFor("SELECT attempts FROM queue_recipients", "2"));
  pb::HoldRequest hold;
  *hold.mutable_selection() = one.selection();
  CHECK(call(&Service::Hold, hold, pb::SelectResponse()).messages() == 1);
  call(&Service::Retry, one, pb::SelectResponse());
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(database.Ask("SELECT attempts FROM queue_recipients") == "2");
  call(&Service::Release, one, pb::SelectResponse());
  CHECK(WaitFor("SELECT attempts FROM queue_recipients", "3"));
  pb::FailRequest fail;
  *fail.mutable_selection() = one.selection();
  fail.set_text("We do not send this");
  call(&Service::Fail, fail, pb::SelectResponse());
  REQUIRE(internal->WaitFor(1));
  CHECK(Contains(internal->messages().at(0).text, "We do not send this"));
  CHECK(WaitForMessages(0));
}

// --- Several workers

TEST_CASE_METHOD(QueueFixture, "Who drains gives back what it has, and another goes on",
                 "[delivery-queue][integration]") {
  uint16_t port;
  {
    TestMx gone;
    port = gone.port();
  }
  Start(port, "retry: {first: 1s}\n");
  for (int i = 0; i < 20; ++i) Must(Enqueue({}));
  REQUIRE(WaitFor("SELECT min(attempts) > 0 FROM queue_recipients", "t"));
  std::unique_ptr<Server> other = StartAnother("retry: {first: 1s}\n");
  CHECK(
      WaitFor("SELECT count(*) FROM (SELECT worker FROM queue_shards GROUP BY worker "
              "HAVING count(*) = 128) x",
              "2"));
  Stop();
  CHECK(WaitFor("SELECT count(DISTINCT worker) FROM queue_shards WHERE worker IS NOT NULL", "1"));
  TestMx mx(TestMx::Options{.port = port});
  CHECK(mx.WaitFor(20));
  CHECK(WaitForMessages(0));
  CHECK(mx.messages().size() == 20);
  other->Drain(absl::Seconds(5));
  CHECK(database.Ask("SELECT count(*) FROM queue_workers") == "0");
}

TEST_CASE_METHOD(QueueFixture, "The claims and shards of a dead worker are taken over",
                 "[delivery-queue][fault]") {
  // Traces of one that died in the middle of its first attempt.
  MustOk(
      connection
          ->ExecuteScript(
              "INSERT INTO queue_workers VALUES (5, 'dead:1', clock_timestamp(), "
              "clock_timestamp() + interval '1 second');"
              "UPDATE queue_shards SET worker = 5, epoch = 7;"
              "INSERT INTO queue_keys VALUES ('k', 300, clock_timestamp());"
              "INSERT INTO queue_messages (queue_id, shard, idempotency_key, origin, "
              "reverse_path, size, header_size, enqueued_at, expires_at, claim_worker, "
              "claim_expires_at, next_due) VALUES (300, 44, 'k', 'forward', 'a@b.example', 4, 2, "
              "clock_timestamp(), clock_timestamp() + interval '1 day', 5, clock_timestamp() + "
              "interval '1 second', clock_timestamp() + interval '1 second');"
              "INSERT INTO queue_chunks VALUES (300, 0, 2, 0, E'\\\\x0d0a'), (300, 1, 2, 0, "
              "E'\\\\x0d0a');"
              "INSERT INTO queue_recipients (queue_id, recipient_no, local_part, domain, "
              "next_attempt_at) VALUES (300, 1, 'bob', 'x.example', clock_timestamp())")
          .status());
  TestMx mx;
  Start(mx.port());
  CHECK(mx.WaitFor(1));
  CHECK(WaitForMessages(0));
  CHECK(database.Ask("SELECT min(epoch) FROM queue_shards") == "8");
}

// RFC 5321 §4.5.3.2.6, and the promise of architecture.md: between the dot and our commit a message
// may come twice, at most once an event, and it is counted.
TEST_CASE_METHOD(QueueFixture, "A lease that ends before the dot keeps the dot from being sent",
                 "[delivery-queue][fault]") {
  TestMx mx;
  mx.on_rcpt = [&](const std::string&) {
    absl::SleepFor(absl::Milliseconds(2500));  // longer than the lease
    return smtp::MakeReply(smtp::ReplyKind::kRecipientOk);
  };
  Start(mx.port(), "retry: {first: 1h}\n");
  Must(Enqueue({}));
  absl::SleepFor(absl::Milliseconds(300));
  // The database is away: the claim is not prolonged.
  testing::ScratchDatabase::StopCluster();
  absl::SleepFor(absl::Milliseconds(3000));
  CHECK(mx.messages().empty());
  testing::ScratchDatabase::StartCluster();
  connection = database.Connect();
  CHECK(WaitFor("SELECT max(attempts) FROM queue_recipients", "1"));
  CHECK(database.Ask("SELECT last_reply FROM queue_recipients") ==
        "451 4.3.0 Our lease on the message is over");
}

}  // namespace
}  // namespace godwit::delivery_queue

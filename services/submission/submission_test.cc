// The daemon as a whole, against a real PostgreSQL and gRPC servers over mutual TLS: what users are
// told, and what the signer and the queue get.

#include <catch2/catch.hpp>

#include "absl/time/clock.h"
#include "services/submission/submission_fixture.h"

namespace godwit::submission {
namespace {

namespace dq = ::godwit::delivery_queue::v1;

const std::string kText =
    "From: Alice <alice@y.example>\r\nTo: c@x.example\r\nSubject: hello\r\n\r\nThe text.\r\n";
constexpr char kTemporary[] = "451 4.3.0 Temporary failure, try again later";
constexpr char kNotSigned[] = "451 4.7.0 Can not sign the message now, try again later";

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string Send(SmtpClient* client, const std::string& text = kText,
                 const std::string& from = "alice@y.example",
                 const std::string& mail_parameters = "") {
  client->Say("RSET");
  return client->SendMessage(from, {"c@x.example"}, text, mail_parameters);
}

TEST_CASE_METHOD(SubmissionFixture, "A message is completed, signed and queued",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  CHECK(client->SendMessage("alice+tag@y.example", {"c@x.example", "bob@y.example"},
                            "From: Alice <alice@y.example>\r\nBcc: bob@y.example\r\n\r\n..dot\r\n",
                            " BODY=8BITMIME RET=HDRS ENVID=e+2B1") ==
        "250 2.0.0 Message queued as 1");
  const std::string id = client->last_id();

  CHECK(signer.context.account_id() == store::ToInt(alice));
  CHECK(signer.context.from_address() == "alice@y.example");
  const size_t message_id = signer.data.find("Message-ID: <");
  REQUIRE(message_id != std::string::npos);
  CHECK(Contains(signer.data, "@y.example>\r\nFrom: Alice <alice@y.example>\r\n\r\n.dot\r\n"));
  CHECK(signer.data.substr(0, 6) == "Date: ");
  CHECK_FALSE(Contains(signer.data, "Bcc"));

  const std::string front = "Received: by mail.y.example with ESMTPSA id " + id + "\r\n\t(TLSv1.3";
  CHECK(queue.header.substr(0, front.size()) == front);
  CHECK_FALSE(Contains(queue.header, "127.0.0.1"));
  CHECK_FALSE(Contains(queue.header, "client.test"));
  CHECK(Contains(queue.header, " +0000\r\nDKIM-Signature: v=1; d=y.example\r\nDate: "));
  // What was signed is what leaves.
  CHECK((queue.header + queue.body).ends_with("d=y.example\r\n" + signer.data));
  CHECK(queue.body == ".dot\r\n");
  // A stream that was cut can not be taken for a whole message.
  CHECK(queue.submission.size() == queue.header.size() + queue.body.size());

  const dq::Submission& submission = queue.submission;
  CHECK(submission.idempotency_key() == id);
  CHECK(submission.origin() == dq::ORIGIN_SUBMISSION);
  CHECK(submission.account_id() == store::ToInt(alice));
  CHECK(submission.client_address() == "127.0.0.1");
  CHECK(submission.user() == "alice@y.example");
  CHECK(submission.reverse_path() == "alice+tag@y.example");
  CHECK(submission.ret() == dq::RET_HDRS);
  CHECK(submission.envid() == "e+1");
  REQUIRE(submission.recipients_size() == 2);
  CHECK(submission.recipients(0).address() == "c@x.example");
  CHECK(submission.recipients(1).address() == "bob@y.example");
  CHECK_FALSE(submission.body_8bit());
  CHECK_FALSE(submission.smtputf8());
  CHECK_FALSE(submission.has_hold_until());
  CHECK(client->Say("QUIT") == "221 2.0.0 Goodbye");
}

TEST_CASE_METHOD(SubmissionFixture,
                 "A binary message in chunks is signed and queued in base64 (RFC 3030)",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  CHECK(Contains(client->Say("EHLO client.test"), "|CHUNKING|BINARYMIME|"));
  client->Say("MAIL FROM:<alice@y.example> BODY=BINARYMIME");
  client->Say("RCPT TO:<c@x.example>");
  CHECK(client->Say("DATA") == "503 5.5.1 BINARYMIME needs BDAT");
  client->Send(
      "BDAT 58\r\nFrom: alice@y.example\r\nContent-Transfer-Encoding: binary\r\n"
      "BDAT 6 LAST\r\n\r\na\nb\r");
  CHECK(client->Reply() == "250 2.0.0 58 octets received");
  CHECK(client->Reply().substr(0, 3) == "250");
  CHECK(Contains(queue.header, "Content-Transfer-Encoding: base64\r\n"));
  CHECK(queue.body == "YQpiDQ==\r\n");
  CHECK(Contains(signer.data, "YQpiDQ==\r\n"));
  CHECK_FALSE(queue.submission.body_8bit());

  client->Say("MAIL FROM:<alice@y.example> BODY=BINARYMIME");
  client->Say("RCPT TO:<c@x.example>");
  client->Send("BDAT 28 LAST\r\nFrom: alice@y.example\r\n\r\na\nb");
  CHECK(client->Reply() == "550 5.6.11 Bare CR or bare LF in the message");
}

TEST_CASE_METHOD(SubmissionFixture, "Parameters of the message go along to the queue",
                 "[submission][component]") {
  Start("policy: {client_trace: visible}\n");
  auto client = LogIn();
  client->Say("MAIL FROM:<alice@y.example> REQUIRETLS HOLDFOR=3600 SMTPUTF8 AUTH=<>");
  client->Say(
      "RCPT TO:<c@b\xc3\xbc"
      "cher.example> NOTIFY=SUCCESS,DELAY "
      "ORCPT=rfc822;c+2Bx@x.example");
  client->Say("RCPT TO:<d@x.example> NOTIFY=NEVER");
  REQUIRE(client->Say("DATA").substr(0, 3) == "354");
  CHECK(client->EndMessage("From: alice@y.example\r\nSubject: \xc3\xa4\r\n\r\n\xc3\xa4\r\n")
            .substr(0, 3) == "250");
  const dq::Submission& submission = queue.submission;
  CHECK(submission.requiretls());
  CHECK(submission.smtputf8());
  CHECK(submission.body_8bit());
  const int64_t hold = submission.hold_until().seconds() - absl::ToUnixSeconds(absl::Now());
  CHECK((hold > 3590 && hold <= 3600));
  CHECK(submission.recipients(0).address() == "c@xn--bcher-kva.example");
  CHECK(submission.recipients(0).notify() == (dq::NOTIFY_SUCCESS | dq::NOTIFY_DELAY));
  CHECK(submission.recipients(0).orcpt() == "rfc822;c+2Bx@x.example");
  CHECK(submission.recipients(1).notify() == dq::NOTIFY_NEVER);
  CHECK(
      Contains(queue.header,
               "Received: from client.test ([127.0.0.1])\r\n\tby mail.y.example with UTF8SMTPSA"));
  // SMTPUTF8 that nothing needs is not asked of the next server: 8-bit text is 8BITMIME's.
  CHECK(Send(client.get(), kText, "alice@y.example", " SMTPUTF8").substr(0, 3) == "250");
  CHECK_FALSE(queue.submission.smtputf8());
  CHECK(Send(client.get(), kText + "\xc3\xa4\r\n", "alice@y.example", " SMTPUTF8 BODY=8BITMIME")
            .substr(0, 3) == "250");
  CHECK_FALSE(queue.submission.smtputf8());
  CHECK(queue.submission.body_8bit());
  const std::string parts =
      "From: alice@y.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
      "\r\n--b\r\nContent-Disposition: attachment; filename=\"\xc3\xa4\"\r\n\r\nx\r\n--b--\r\n";
  CHECK(Send(client.get(), parts, "alice@y.example", " SMTPUTF8").substr(0, 3) == "250");
  CHECK(queue.submission.smtputf8());

  client->Say("RSET");
  CHECK(client->Say("MAIL FROM:<alice@y.example> HOLDFOR=5184001") ==
        "501 5.5.4 A message is not held for so long");
  CHECK(client->Say("MAIL FROM:<alice@y.example> HOLDUNTIL=2999-01-01T00:00:00Z") ==
        "501 5.5.4 A message is not held for so long");
}

TEST_CASE_METHOD(SubmissionFixture, "Users send as themselves only", "[submission][component]") {
  MustOk(store::AddAddress(*connection, "sales@y.example", alice, absl::Now()));
  MustOk(store::AddAlias(*connection, {"team@y.example", true, {"alice@y.example"}}, absl::Now()));
  MustOk(store::AddDomain(*connection, "z.example", absl::Now()));
  store::Domain domain = Must(store::GetDomain(*connection, "z.example"));
  domain.catch_all = alice;
  MustOk(store::UpdateDomain(*connection, domain));
  std::string policy;
  bool loose = GENERATE(false, true);
  if (loose) {
    policy =
        "policy: {alias_senders: members, catch_all_senders: nobody, "
        "null_reverse_path: reject}\n";
  }
  CAPTURE(loose);
  Start(policy);
  auto client = LogIn();
  const auto mail = [&](const std::string& from) {
    client->Say("RSET");
    return client->Say("MAIL FROM:<" + from + ">");
  };
  const std::string ok = "250 2.1.0 Sender OK";
  const auto no = [](const std::string& address) {
    return "550 5.7.1 Not an address of yours: " + address;
  };
  CHECK(mail("ALICE+news@y.example") == ok);
  CHECK(mail("sales@y.example") == ok);
  CHECK(mail("bob@y.example") == no("bob@y.example"));
  CHECK(mail("nobody@y.example") == no("nobody@y.example"));
  CHECK(mail("alice@x.example") == no("alice@x.example"));
  CHECK(mail("alice@[127.0.0.1]") == no("alice@[127.0.0.1]"));
  CHECK(mail("team@y.example") == (loose ? ok : no("team@y.example")));
  CHECK(mail("any@z.example") == (loose ? no("any@z.example") : ok));
  CHECK(mail("") == (loose ? "550 5.7.1 The sender must not be empty" : ok));

  const auto from = [&](const std::string& header) {
    return Send(client.get(), header + "\r\n\r\ntext\r\n").substr(0, 3);
  };
  CHECK(from("From: sales@y.example") == "250");
  CHECK(from("From: bob@y.example") == "550");
  CHECK(from("From: alice@y.example, bob@y.example") == "550");
  CHECK(from("From: alice@y.example\r\nSender: bob@y.example") == "550");
  CHECK(from("From: alice@y.example\r\nSender: sales@y.example") == "250");
  CHECK(from("To: c@x.example") == "550");
  CHECK(from("From: team@y.example") == (loose ? "250" : "550"));
  CHECK(from("From: any@z.example") == (loose ? "550" : "250"));
  CHECK(Send(client.get(), "From: bob@y.example\r\n\r\n") == no("bob@y.example"));
}

TEST_CASE_METHOD(SubmissionFixture, "A disabled domain sends nothing for now",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  store::Domain domain = Must(store::GetDomain(*connection, "y.example"));
  domain.disabled = true;
  MustOk(store::UpdateDomain(*connection, domain));
  CHECK(client->Say("MAIL FROM:<alice@y.example>") == "451 4.3.0 The sender's domain is disabled");
}

TEST_CASE_METHOD(SubmissionFixture, "Recipients that can not be are told at once",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  client->Say("MAIL FROM:<alice@y.example>");
  CHECK(client->Say("RCPT TO:<c@x.example>") == "250 2.1.5 Recipient OK");
  CHECK(client->Say("RCPT TO:<c@X.Example>") == "250 2.1.5 Recipient OK");  // gets it once
  CHECK(client->Say("RCPT TO:<BOB+tag@Y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client->Say("RCPT TO:<nobody@y.example>") == "550 5.1.1 No such user here");
  CHECK(client->Say("RCPT TO:<c@localhost>") == "550 5.1.2 The domain is not fully qualified");
  CHECK(client->Say("RCPT TO:<c@[127.0.0.1]>") == "550 5.1.2 No such domain");
  CHECK(client->Say("RCPT TO:<postmaster>") == "550 5.1.1 No such user here");
  MustOk(store::SetPostmaster(*connection, bob));
  CHECK(client->Say("RCPT TO:<Postmaster>") == "250 2.1.5 Recipient OK");
  client->Say("DATA");
  CHECK(client->EndMessage(kText).substr(0, 3) == "250");
  REQUIRE(queue.submission.recipients_size() == 3);
  CHECK(queue.submission.recipients(2).address() == "postmaster@y.example");
}

TEST_CASE_METHOD(SubmissionFixture, "Messages that are wrong in themselves are refused in step",
                 "[submission][component]") {
  Start("limits: {message_size: 64KiB, received_fields: 10}\n");
  auto client = LogIn();
  const auto send = [&](const std::string& text) { return Send(client.get(), text); };
  CHECK(send("From: alice@y.example\nBcc: x\r\n\r\n") ==
        "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send("From: alice@y.example\r\n\r\na\r\n.\nMAIL FROM:<alice@y.example>\r\n") ==
        "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send("") == "550 5.6.0 From is missing");
  CHECK(send("From: alice@y.example\r\nno field\r\n\r\n") ==
        "550 5.6.0 A line of the header is no field");
  CHECK(send("From: alice@y.example\r\nSubject: \xc3\xa4\r\n\r\n") ==
        "550 5.6.9 Non-ASCII header needs SMTPUTF8");
  CHECK(send(std::string("From: alice@y.example\r\n\r\na\0\r\n", 29)) ==
        "550 5.6.0 NUL in the text");
  std::string hops = "From: alice@y.example\r\n";
  for (int i = 0; i < 11; ++i) hops += "Received: by a; now\r\n";
  CHECK(send(hops + "\r\n") == "550 5.4.6 Routing loop, too many Received fields");
  CHECK(send("From: alice@y.example\r\n\r\n" + std::string(999, 'x') + "\r\n") ==
        "550 5.6.0 Line too long in the message");
  client->Say("RSET");
  CHECK(client->Say("MAIL FROM:<alice@y.example> SIZE=65537") ==
        "552 5.3.4 Message size exceeds the limit");
  CHECK(signer.calls == 0);
  CHECK(queue.calls == 0);
  CHECK(send(kText) == "250 2.0.0 Message queued as 1");
}

TEST_CASE_METHOD(SubmissionFixture, "No signature, no sending", "[submission][component]") {
  Start();
  auto client = LogIn();
  SECTION("no key, no database, too busy") {
    for (const absl::Status& failure :
         {base::FailedPrecondition("no active key"), base::Unavailable("no database"),
          base::ResourceExhausted("too many")}) {
      signer.failure = failure;
      CHECK(Send(client.get()) == kNotSigned);
    }
  }
  SECTION("an empty answer") {
    signer.response.clear_header_fields();
    CHECK(Send(client.get()) == kNotSigned);
  }
  SECTION("nobody there, and then there again") {
    StopSigner();
    CHECK(Send(client.get()) == kNotSigned);
    CHECK(queue.calls == 0);
    StartSigner();
    std::string reply;
    for (int i = 0; i < 100 && reply.substr(0, 3) != "250"; ++i) {  // gRPC's pause
      absl::SleepFor(absl::Milliseconds(100));
      reply = Send(client.get());
    }
    CHECK(reply == "250 2.0.0 Message queued as 1");
    return;
  }
  SECTION("not for this account") {
    signer.failure = base::PermissionDenied("not yours");
    CHECK(Send(client.get()) == "550 5.7.1 You may not sign for alice@y.example");
  }
  SECTION("a header that is too large") {
    signer.failure = base::OutOfRange("the header is too large");
    CHECK(Send(client.get()) == "552 5.3.4 Message header too large");
  }
  SECTION("a daemon whose certificate has another name") {
    signer.failure = base::Unauthenticated("a peer without a name may not call");
    CHECK(Send(client.get()) == kNotSigned);
  }
  SECTION("a header that can not be signed") {
    signer.failure = base::InvalidArgument("two From");
    CHECK(Send(client.get()) == "550 5.6.0 The header is not well-formed");
  }
  CHECK(queue.calls == 0);
}

TEST_CASE_METHOD(SubmissionFixture, "What the queue does not take is not accepted",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  SECTION("for now") {
    for (const absl::Status& failure :
         {base::Unavailable("no database"), base::Unknown("the commit may have happened"),
          base::Internal("?")}) {
      queue.failure = failure;
      CHECK(Send(client.get()) == kTemporary);
    }
    queue.failure = base::ResourceExhausted("full");
    CHECK(Send(client.get()) == "452 4.3.1 Insufficient storage, try again later");
  }
  SECTION("for good") {
    queue.failure = base::OutOfRange("message too large");
    CHECK(Send(client.get()) == "552 5.3.4 More than the queue takes of one message");
    queue.failure = base::InvalidArgument("no");
    CHECK(Send(client.get()) == "554 5.6.0 The message can not be queued");
    queue.failure = base::PermissionDenied("no");
    CHECK(Send(client.get()) == "550 5.7.1 Message rejected");
  }
  SECTION("a daemon whose certificate has another name") {
    queue.failure = base::Unauthenticated("a peer without a name may not call");
    CHECK(Send(client.get()) == kTemporary);
  }
  SECTION("nobody there") {
    StopQueue();
    CHECK(Send(client.get()) == kTemporary);
  }
}

TEST_CASE_METHOD(SubmissionFixture, "An answer that was lost is asked for again with the same key",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  queue.failure = base::Unknown("the commit may have happened");
  queue.failures = 1;
  CHECK(Send(client.get()) == "250 2.0.0 Message queued as 2");
  CHECK(queue.calls == 2);
  CHECK(queue.submission.idempotency_key() == client->last_id());
}

TEST_CASE_METHOD(SubmissionFixture, "A queue that does not answer costs its deadline and a 451",
                 "[submission][component]") {
  deadline = "1s";
  queue.hang = 8;
  Start();
  auto client = LogIn();
  CHECK(Send(client.get()) == kTemporary);
  CHECK(queue.calls == 2);
}

// A call that our own timer ended was taken for one that somebody had given up, and not repeated:
// 451 for a message that the queue went on to commit, and the user's program sent it again.
TEST_CASE_METHOD(SubmissionFixture, "An answer that is late is asked for again with the same key",
                 "[submission][component]") {
  deadline = "1s";
  queue.hang = 1;
  Start();
  auto client = LogIn();
  CHECK(Send(client.get()) == "250 2.0.0 Message queued as 2");
  CHECK(queue.submission.idempotency_key() == client->last_id());
}

TEST_CASE_METHOD(SubmissionFixture, "A large message goes through in pieces, as it was",
                 "[submission][component]") {
  Start();
  auto client = LogIn();
  std::string body;
  for (int i = 0; body.size() < 2'000'000; ++i) {
    body += "line " + std::to_string(i) + std::string(60, 'x') + "\r\n";
  }
  CHECK(Send(client.get(), "From: alice@y.example\r\n\r\n" + body) ==
        "250 2.0.0 Message queued as 1");
  CHECK(queue.body == body);
  CHECK(signer.data.ends_with(body));
}

TEST_CASE_METHOD(SubmissionFixture, "An account has its messages and recipients a day",
                 "[submission][component]") {
  constexpr char kLimited[] = "451 4.7.1 You have sent too much for today, try again later";
  Start("daily: {messages: 3, recipients: 4}\n");
  auto client = LogIn();
  queue.failure = base::Unavailable("no");  // what was not sent is not counted
  for (int i = 0; i < 5; ++i) CHECK(Send(client.get()) == kTemporary);
  queue.failure = absl::OkStatus();
  CHECK(Send(client.get()).substr(0, 3) == "250");
  client->Say("RSET");
  CHECK(client->BeginMessage("alice@y.example", {"c@x.example", "d@x.example", "e@x.example",
                                                 "f@x.example"}) == kLimited);
  CHECK(client->Say("DATA").substr(0, 3) == "354");
  CHECK(client->EndMessage(kText).substr(0, 3) == "250");
  CHECK(Send(client.get()) == kLimited);  // no recipient left
  CHECK(LogIn("bob@y.example")->Say("MAIL FROM:<bob@y.example>") == "250 2.1.0 Sender OK");
}

TEST_CASE_METHOD(SubmissionFixture, "Messages of a day end at MAIL", "[submission][component]") {
  Start("daily: {messages: 1}\n");
  auto client = LogIn();
  CHECK(Send(client.get()).substr(0, 3) == "250");
  CHECK(client->Say("MAIL FROM:<alice@y.example>") ==
        "451 4.7.1 You have sent too much for today, try again later");
}

TEST_CASE_METHOD(SubmissionFixture, "Memory that fills up defers messages",
                 "[submission][component]") {
  Start("limits: {memory: 4MiB}\n");
  std::string text = kText;
  while (text.size() < 900 * 1024) text += std::string(998, 'x') + "\r\n";
  std::vector<std::unique_ptr<SmtpClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(LogIn());
    REQUIRE(clients.back()->BeginMessage("alice@y.example", {"c@x.example"}).substr(0, 3) == "354");
  }
  for (const auto& client : clients) client->Send(text);
  int deferred = 0;
  int accepted = 0;
  for (const auto& client : clients) {
    const std::string reply = client->EndMessage("the end\r\n");
    CAPTURE(reply);
    CHECK((reply.substr(0, 3) == "250" ||
           reply == "452 4.3.1 Insufficient storage, try again later"));
    ++(reply.substr(0, 3) == "250" ? accepted : deferred);
    CHECK(client->Say("NOOP") == "250 2.0.0 OK");  // in step
  }
  CHECK(accepted >= 1);
  CHECK(deferred >= 3);
  CHECK(Send(clients.front().get()).substr(0, 3) == "250");
}

// One password was enough to hold all of the memory for half an hour, with messages that never end.
TEST_CASE_METHOD(SubmissionFixture, "One account does not fill the memory of all",
                 "[submission][component]") {
  Start("limits: {memory: 32MiB, message_size: 1MiB}\n");
  std::string text = kText;
  while (text.size() < 900 * 1024) text += std::string(998, 'x') + "\r\n";
  std::vector<std::unique_ptr<SmtpClient>> clients;
  std::string reply;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(LogIn());
    reply = clients.back()->BeginMessage("alice@y.example", {"c@x.example"});
    if (reply.substr(0, 3) != "354") break;
    clients.back()->Send(text);
  }
  CHECK(reply == "452 4.3.1 Insufficient storage, try again later");
  CHECK(clients.size() >= 4);
  CHECK(clients.size() <= 30);
  auto other = LogIn("bob@y.example");
  CHECK(other->SendMessage("bob@y.example", {"c@x.example"}, "From: bob@y.example\r\n\r\n")
            .substr(0, 3) == "250");
}

TEST_CASE_METHOD(SubmissionFixture, "Draining lets a message finish", "[submission][component]") {
  Start();
  auto idle = LogIn();
  auto busy = LogIn();
  REQUIRE(busy->BeginMessage("alice@y.example", {"c@x.example"}).substr(0, 3) == "354");
  std::thread drain([&] { server->Drain(absl::Seconds(20)); });
  CHECK(idle->Reply() == "421 4.3.2 Service shutting down, try again");
  CHECK(busy->EndMessage(kText) == "250 2.0.0 Message queued as 1");
  CHECK(busy->Reply() == "421 4.3.2 Service shutting down, try again");
  drain.join();
}

}  // namespace
}  // namespace godwit::submission

// Mail that goes on to other servers: what delivery-queue is handed, and when the client gets its
// 250.

#include <vector>

#include "libs/base/ascii.h"
#include "libs/dsn/parse.h"
#include "services/smtp-ingress/onward_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace dq = ::godwit::delivery_queue::v1;
namespace pb = ::godwit::auth_verifier::v1;

constexpr std::string_view kText = "Subject: hello\r\n\r\nThe text.\r\n";
const std::string kAccepted = "250 2.0.0 Message accepted";

TEST_CASE_METHOD(OnwardFixture, "Mail of a relayed domain goes on as it came, with its trace",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  const std::string text =
      "Return-Path: <forged@x.example>\r\nReceived: from there\r\n" + std::string(kText);
  CHECK(client.SendMessage("s@x.example", {"Any.Body+tag@R.example", "other@r.example"}, text,
                           " BODY=8BITMIME SIZE=100") == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const dq::Submission& submission = queue.taken[0].submission;
  CHECK(submission.origin() == dq::ORIGIN_RELAY);
  CHECK(submission.reverse_path() == "s@x.example");
  CHECK(QueuedTo() == std::vector<std::string>{"Any.Body+tag@r.example", "other@r.example"});
  CHECK(submission.account_id() == 0);
  // RFC 6152 §3: what has no 8-bit octets needs no server that takes them, whatever BODY says.
  CHECK_FALSE(submission.body_8bit());
  CHECK(submission.client_address() == "127.0.0.1");
  const std::string& header = queue.taken[0].header;
  CHECK(header.substr(0, header.find("\r\n")) ==
        "Authentication-Results: mx.y.example; dmarc=none");
  CHECK(Contains(header, "\r\nReceived: from client.test ([127.0.0.1])\r\n\tby mx.y.example"));
  CHECK(Contains(header, "\r\nReceived: from there\r\n"));
  for (const char* ours : {"Return-Path", "Delivered-To", "X-Godwit-Reason"}) {
    CAPTURE(ours);
    CHECK_FALSE(Contains(header, ours));
  }
  CHECK(queue.taken[0].body == "The text.\r\n");
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(OnwardFixture,
                 "A forwarded message has a sender of ours, and its bounce finds the sender",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example", "bob@y.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("Sender@x.example", {"out@y.example"}, kText) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_FORWARD);
  CHECK(QueuedTo() == std::vector<std::string>{"e@z.example"});
  const std::string srs = queue.taken[0].submission.reverse_path();
  CHECK(srs.starts_with("SRS0="));
  CHECK(srs.ends_with("=x.example=Sender@y.example"));
  // The member who is here has it too.
  CHECK(Contains(OnlyMessage(bob), "Return-Path: <Sender@x.example>\r\n"));

  // The bounce, as a relay that folds case would bring it.
  queue.taken.clear();
  CHECK(client.SendMessage("", {base::Lower(srs)}, kText) == kAccepted);
  CHECK(queue.taken.at(0).submission.reverse_path().empty());
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_FORWARD);
  CHECK(QueuedTo() == std::vector<std::string>{"sender@x.example"});

  client.Say("MAIL FROM:<spammer@x.example>");
  CHECK(client.Say("RCPT TO:<" + srs + ">").substr(0, 9) == "550 5.7.1");
  client.Say("RSET");
  client.Say("MAIL FROM:<>");
  std::string forged = srs;
  forged[6] = forged[6] == 'A' ? 'B' : 'A';
  CHECK(client.Say("RCPT TO:<" + forged + ">").substr(0, 9) == "550 5.1.1");
  CHECK(client.Say("RCPT TO:<" + srs.substr(0, srs.find('@')) + "@z.example>").substr(0, 9) ==
        "550 5.7.1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "Null senders stay, those of another forwarder are wrapped",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto sender = [&](const std::string& from) {
    queue.taken.clear();
    CHECK(client.SendMessage(from, {"out@y.example"}, kText) == kAccepted);
    REQUIRE(queue.taken.size() == 1);
    return queue.taken[0].submission.reverse_path();
  };
  CHECK(sender("") == "");
  CHECK(sender("a@[192.0.2.1]") == "a@[192.0.2.1]");
  CHECK(Contains(sender("SRS0=AAAA=BB=w.example=u@f.example"),
                 "=f.example==AAAA=BB=w.example=u@y.example"));
  // A long sender becomes longer than RFC 5321 §4.5.3.1.1 has it; its bounce comes all the same.
  const std::string long_sender =
      sender(std::string(60, 'l') + "@" + std::string(50, 'd') + ".example");
  queue.taken.clear();
  CHECK(client.SendMessage("", {long_sender}, kText) == kAccepted);
  CHECK(QueuedTo() ==
        std::vector<std::string>{std::string(60, 'l') + "@" + std::string(50, 'd') + ".example"});
}

TEST_CASE_METHOD(OnwardFixture, "Recipients of one way go together, others apart",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  AddAlias("one@y.example", {"a@z.example", "b@z.example"});
  AddAlias("two@y.example", {"b@z.example", "c@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage(
            "s@x.example",
            {"one@y.example", "r@r.example", "two@y.example", "alice@y.example", "q@r.example"},
            kText) == kAccepted);
  REQUIRE(queue.taken.size() == 3);
  CHECK(QueuedTo(0) == std::vector<std::string>{"a@z.example", "b@z.example"});
  CHECK(QueuedTo(1) == std::vector<std::string>{"r@r.example", "q@r.example"});
  CHECK(QueuedTo(2) == std::vector<std::string>{"b@z.example", "c@z.example"});
  CHECK(queue.taken[0].submission.idempotency_key() != queue.taken[1].submission.idempotency_key());
  CHECK(CountEmails() == "1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "A queue that takes nothing is a 451, and nothing is delivered",
                 "[smtp-ingress][component]") {
  AddAlias("both@y.example", {"e@z.example", "alice@y.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto answer = [&](absl::Status failure) {
    queue.failure = std::move(failure);
    return client.SendMessage("s@x.example", {"both@y.example"}, kText).substr(0, 9);
  };
  CHECK(answer(base::Unavailable("away")) == "451 4.3.0");
  CHECK(answer(base::PermissionDenied("no")) == "451 4.3.0");
  CHECK(answer(base::ResourceExhausted("full")) == "452 4.3.1");
  CHECK(answer(base::InvalidArgument("bad")) == "554 5.6.0");
  CHECK(CountEmails() == "0");
  // One failure is tried again at once, with the same key.
  queue.taken.clear();
  queue.failures = 1;
  CHECK(answer(base::Unavailable("once")) == "250 2.0.0");
  REQUIRE(queue.taken.size() == 2);
  CHECK(queue.taken[0].submission.idempotency_key() == queue.taken[1].submission.idempotency_key());
  CHECK(CountEmails() == "1");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "A long message goes on whole, and into the mailbox in chunks",
                 "[smtp-ingress][component]") {
  AddAlias("both@y.example", {"e@z.example", "alice@y.example"});
  StartWithQueue();
  std::string body;
  while (body.size() < 3 * 1024 * 1024) body += "line " + std::to_string(body.size()) + "\r\n";
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"both@y.example"}, "Subject: long\r\n\r\n" + body) ==
        kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(queue.taken[0].body == body);
  const std::string stored = OnlyMessage(alice);
  CHECK(stored.substr(stored.size() - body.size()) == body);
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");
  CheckStore();
}

TEST_CASE_METHOD(OnwardFixture, "In a migration some are here and the others there",
                 "[smtp-ingress][component]") {
  MakeRelay("y.example", store::DomainKind::kLocalThenRelay, /*listed_only=*/true);
  MustOk(store::AddRelayedAddress(*connection, "carol@y.example", absl::Now()));
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<alice@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<carol@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<postmaster@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<nobody@y.example>") == "550 5.1.1 No such user here");
  CHECK(client.Say("DATA").substr(0, 3) == "354");
  CHECK(client.EndMessage(kText) == kAccepted);
  CHECK(QueuedTo() == std::vector<std::string>{"carol@y.example", "postmaster@y.example"});
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_RELAY);
  CHECK_FALSE(OnlyMessage(alice).empty());
}

TEST_CASE_METHOD(OnwardFixture, "The next hop is asked whether it has the address, once",
                 "[smtp-ingress][component]") {
  IngressFixture there;
  MustOk(store::AddDomain(*there.connection, "r.example", absl::Now()));
  there.AddAccount("bob@r.example");
  // RFC 3207 §4: 530 to MAIL, outside of TLS.
  there.Start(GENERATE("", "require_tls: true\n"));
  MustOk(store::AddDomain(*connection, "r.example", absl::Now()));
  store::Domain domain = Must(store::GetDomain(*connection, "r.example"));
  domain.kind = store::DomainKind::kRelay;
  domain.next_hop = there.server->endpoints().at(0).ToString();
  domain.callout = true;
  MustOk(store::UpdateDomain(*connection, domain));
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example> SMTPUTF8");
  auto answer = [&](const std::string& to) {
    return client.Say("RCPT TO:<" + to + ">").substr(0, 9);
  };
  CHECK(answer("bob@r.example") == "250 2.1.5");
  CHECK(answer("nobody@r.example") == "550 5.1.1");
  CHECK(answer("nobod\xc3\xbd@r.example") == "550 5.1.1");
  there.server->Drain(absl::ZeroDuration());
  CHECK(answer("bob@r.example") == "250 2.1.5");
  CHECK(answer("nobody@r.example") == "550 5.1.1");
  CHECK(answer("carol@r.example") == "450 4.1.1");
  // RFC 5321 §4.5.1: it has a postmaster, and is not asked.
  CHECK(answer("postmaster@r.example") == "250 2.1.5");
}

TEST_CASE_METHOD(OnwardFixture, "Mail that is rejected or too much goes nowhere",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  auto* dmarc = verifier.response.mutable_dmarc();
  dmarc->set_result(auth_verifier::v1::RESULT_FAIL);
  dmarc->set_disposition(auth_verifier::v1::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"out@y.example"}, kText).substr(0, 10) == "550 5.7.26");
  verifier.failure = base::Unavailable("no DNS");
  CHECK(client.SendMessage("s@x.example", {"out@y.example"}, kText).substr(0, 3) == "451");
  CHECK(queue.taken.empty());
}

TEST_CASE_METHOD(OnwardFixture, "Nobody of that name may be told after the data",
                 "[smtp-ingress][component]") {
  StartWithQueue("policy: {unknown_recipients: after_data}\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"nobody@y.example"}, kText) ==
        "550 5.1.1 No such user here");
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  // What is told of the second recipient says nothing of it.
  for (const char* first : {"alice@y.example", "nobody@y.example"}) {
    client.Say("MAIL FROM:<s@x.example>");
    CHECK(client.Say("RCPT TO:<" + std::string(first) + ">") == "250 2.1.5 Recipient OK");
    CHECK(client.Say("RCPT TO:<bob@y.example>").substr(0, 9) == "452 4.5.3");
    CHECK(client.Say("RCPT TO:<somebody@y.example>").substr(0, 9) == "452 4.5.3");
    client.Say("RSET");
  }
  // Another's domain is no secret.
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<a@z.example>").substr(0, 9) == "550 5.7.1");
  CHECK(CountEmails() == "1");
}

// --- Seals (RFC 8617 §5.1) -----------------------------------------------------------------------

TEST_CASE_METHOD(OnwardFixture, "What goes on is sealed by the domain it came to",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  AddAlias("out@y.example", {"e@z.example", "bob@y.example"});
  StartWithQueue();
  verifier.response.mutable_arc()->set_result(pb::RESULT_PASS);
  verifier.response.mutable_arc()->set_instances(2);
  verifier.seal.set_header_fields("ARC-Seal: i=3; cv=pass\r\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"out@y.example", "a@R.example", "b@r.example"}, kText) ==
        kAccepted);
  REQUIRE(verifier.seal_contexts.size() == 2);
  CHECK(verifier.seal_contexts[0].domain() == "r.example");
  CHECK(verifier.seal_contexts[1].domain() == "y.example");
  for (const pb::SealContext& seal : verifier.seal_contexts) {
    CHECK(seal.authserv_id() == "mx.y.example");
    CHECK(seal.authentication_results() == "mx.y.example; dmarc=none");
    CHECK(seal.arc().result() == pb::RESULT_PASS);
    CHECK(seal.arc().instances() == 2);
  }
  REQUIRE(queue.taken.size() == 2);
  for (const ScriptedQueue::Taken& taken : queue.taken) {
    // In front of what was sealed.
    const bool forwarded = taken.submission.origin() == dq::ORIGIN_FORWARD;
    CHECK(taken.header + taken.body == (forwarded ? "Delivered-To: out@y.example\r\n" : "") +
                                           std::string("ARC-Seal: i=3; cv=pass\r\n") +
                                           verifier.seal_data);
    CHECK(taken.submission.size() == taken.header.size() + taken.body.size());
  }
  CHECK_FALSE(Contains(OnlyMessage(bob), "ARC-Seal"));
}

TEST_CASE_METHOD(OnwardFixture, "Without a key there is no seal; without auth-verifier it waits",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  const auto send = [&] {
    return client.SendMessage("s@x.example", {"out@y.example"}, kText).substr(0, 9);
  };
  verifier.seal.set_not_sealed("the chain ended with cv=fail");
  CHECK(send() == "250 2.0.0");
  for (const absl::Status& none : {base::FailedPrecondition("no active RSA key"),
                                   base::InvalidArgument("the header is too large")}) {
    verifier.seal_failure = none;
    CHECK(send() == "250 2.0.0");
  }
  REQUIRE(queue.taken.size() == 3);
  for (const auto& taken : queue.taken) CHECK_FALSE(Contains(taken.header, "ARC-Seal"));
  for (const absl::Status& later :
       {base::Unavailable("no database"), base::ResourceExhausted("too many messages at once")}) {
    verifier.seal_failure = later;
    CHECK(send() == "451 4.3.0");
  }
  CHECK(queue.taken.size() == 3);
}

TEST_CASE_METHOD(OnwardFixture, "RFC 8617 §5.1: with verification off nothing is sealed",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue("verification: off\n");
  verifier.seal.set_header_fields("ARC-Seal: i=1; cv=none\r\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"out@y.example"}, kText) == kAccepted);
  CHECK(verifier.seal_contexts.empty());
  REQUIRE(queue.taken.size() == 1);
  CHECK(Contains(queue.taken[0].header, "Authentication-Results: mx.y.example; none\r\n"));
  CHECK_FALSE(Contains(queue.taken[0].header, "ARC-Seal"));
}

// --- DSN (RFC 3461 §5.2.7) -----------------------------------------------------------------------

TEST_CASE_METHOD(OnwardFixture, "The wishes of a sender go with his message",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  AddAlias("one@y.example", {"e@z.example"});
  AddAlias("many@y.example", {"f@z.example", "bob@y.example"});
  StartWithQueue();
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_PASS);
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c.x.example");
  const auto send = [&](const std::string& rcpt) {
    queue.taken.clear();
    client.Say("MAIL FROM:<alice@y.example> ENVID=a+2Bb RET=HDRS");
    CHECK(client.Say("RCPT TO:" + rcpt) == "250 2.1.5 Recipient OK");
    client.Say("DATA");
    CHECK(client.EndMessage(kText) == kAccepted);
    REQUIRE_FALSE(queue.taken.empty());
    CHECK(queue.taken[0].submission.envid() == "a+b");
    CHECK(queue.taken[0].submission.ret() == dq::RET_HDRS);
    return queue.taken[0].submission.recipients(0);
  };
  SECTION("to the next hop, and to the only member of an alias, as they are") {
    for (const char* to : {"<a@r.example>", "<one@y.example>"}) {
      const dq::Recipient told =
          send(std::string(to) + " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+40x.example");
      CHECK(told.notify() == static_cast<uint32_t>(dq::NOTIFY_SUCCESS | dq::NOTIFY_DELAY));
      CHECK(told.orcpt() == "rfc822;o@x.example");
      CHECK(queue.taken.size() == 1);  // who forwards to one address tells nothing
    }
  }
  SECTION("of several members none tells of his success: we say \"expanded\"") {
    CHECK(send("<many@y.example> NOTIFY=SUCCESS,FAILURE").notify() == dq::NOTIFY_FAILURE);
    REQUIRE(queue.taken.size() == 2);
    CHECK(queue.taken[1].submission.origin() == dq::ORIGIN_DSN);
    const auto parsed = dsn::Parse(queue.taken[1].header + queue.taken[1].body);
    REQUIRE(parsed);
    REQUIRE(parsed->report.recipients.size() == 1);
    CHECK(parsed->report.recipients[0].action == dsn::Action::kExpanded);
    // Who wants to hear of success only hears of nothing else.
    CHECK(send("<many@y.example> NOTIFY=SUCCESS").notify() == dq::NOTIFY_NEVER);
    CHECK(send("<many@y.example>").notify() == 0);
    CHECK(queue.taken.size() == 1);
  }
}

}  // namespace
}  // namespace godwit::smtp_ingress

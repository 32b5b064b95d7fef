// What does not go on though it came in, what others hear of it, and what it may cost us.

#include "services/smtp-ingress/onward_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace dq = ::godwit::delivery_queue::v1;
namespace pb = ::godwit::auth_verifier::v1;

const std::string kAccepted = "250 2.0.0 Message accepted";

std::string Text(const std::string& more = "") {
  return more + "Message-ID: <1@x.example>\r\nSubject: hello\r\n\r\nThe text.\r\n";
}

class RulesFixture : public OnwardFixture {
 public:
  // From another server.
  std::string Send(const std::string& from, const std::vector<std::string>& to,
                   const std::string& text = Text(), const std::string& parameters = "") {
    SmtpClient client = Connect();
    client.Reply();
    return client.SendMessage(from, to, text, parameters);
  }
  // From a daemon of ours.
  std::string SendInternal(const std::string& from, const std::string& to,
                           const std::string& parameters) {
    SmtpClient client(internal_endpoint());
    REQUIRE(client.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
    client.Reply();
    return client.SendMessage(from, {to}, Text(), parameters);
  }
  std::string QueuedFrom(size_t at = 0) {
    REQUIRE(queue.taken.size() > at);
    return queue.taken[at].submission.reverse_path();
  }
  void SetDmarc(pb::Result result, const std::string& author,
                pb::DmarcResult::Disposition disposition = pb::DmarcResult::DISPOSITION_NONE) {
    pb::DmarcResult* dmarc = verifier.response.mutable_dmarc();
    dmarc->set_result(result);
    dmarc->set_from_domain(author);
    dmarc->set_disposition(disposition);
  }
};

// --- Forged mail of our own domains --------------------------------------------------------------

// A sender of a local domain stayed, whoever had named it: SPF passed at the next server.
TEST_CASE_METHOD(RulesFixture, "A sender of ours stays for a user who has authenticated",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  CHECK(Send("alice@y.example", {"out@y.example"}) == kAccepted);
  CHECK(QueuedFrom().starts_with("SRS0="));
  CHECK(SendInternal("alice@y.example", "out@y.example", " XORIGIN=forward") == kAccepted);
  CHECK(QueuedFrom(1).starts_with("SRS0="));
  CHECK(SendInternal("alice@y.example", "out@y.example",
                     " XORIGIN=submission;account:1;user:alice@y.example") == kAccepted);
  CHECK(QueuedFrom(2) == "alice@y.example");
  // A user who sends as somebody else keeps no such sender.
  CHECK(SendInternal("alice@x.example", "out@y.example", " XORIGIN=submission;account:1") ==
        kAccepted);
  CHECK(QueuedFrom(3).starts_with("SRS0="));
}

// The rewritten sender is aligned with the author: the next server saw dmarc=pass.
TEST_CASE_METHOD(RulesFixture, "Forged mail of our own domains is not forwarded (RFC 7489 §3.1.2)",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example", "bob@y.example"});
  MakeRelay("r.example", store::DomainKind::kRelay);
  StartWithQueue();
  SetDmarc(pb::RESULT_FAIL, "y.example");
  for (const char* from : {"x@evil.example", "ceo@y.example", ""}) {
    CHECK(Send(from, {"out@y.example"}).substr(0, 10) == "550 5.7.26");
  }
  SetDmarc(pb::RESULT_FAIL, "sub.y.example", pb::DmarcResult::DISPOSITION_QUARANTINE);
  CHECK(Send("x@evil.example", {"out@y.example"}).substr(0, 3) == "550");
  CHECK(queue.taken.empty());
  CHECK(CountEmails() == "0");
  // What goes on with the sender it has is no more than it was, nor is what stays here.
  SetDmarc(pb::RESULT_FAIL, "y.example");
  CHECK(Send("x@evil.example", {"a@r.example", "bob@y.example"}) == kAccepted);
  // Signed by us when it left: a user's.
  CHECK(SendInternal("alice@y.example", "out@y.example", " XORIGIN=submission;account:1") ==
        kAccepted);
  SetDmarc(pb::RESULT_NONE, "y.example");
  CHECK(Send("x@evil.example", {"out@y.example"}).substr(0, 10) == "550 5.7.26");
  pb::DkimResult* dkim = verifier.response.add_dkim();
  dkim->set_result(pb::RESULT_PASS);
  dkim->set_domain("y.example");
  CHECK(Send("x@evil.example", {"out@y.example"}) == kAccepted);
  CHECK(queue.taken.size() == 3);
}

// --- Junk ----------------------------------------------------------------------------------------

TEST_CASE_METHOD(RulesFixture, "Junk is not forwarded, and goes on to a next hop with its reason",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example", "bob@y.example"});
  MakeRelay("r.example", store::DomainKind::kRelay);
  StartWithQueue();
  SetDmarc(pb::RESULT_FAIL, "x.example", pb::DmarcResult::DISPOSITION_QUARANTINE);
  CHECK(Send("s@x.example", {"out@y.example"}).substr(0, 9) == "550 5.7.1");
  // All or nothing.
  CHECK(Send("s@x.example", {"alice@y.example", "out@y.example"}).substr(0, 9) == "550 5.7.1");
  CHECK(queue.taken.empty());
  CHECK(CountEmails() == "0");
  CHECK(Send("s@x.example", {"alice@y.example", "a@r.example"}) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(Contains(queue.taken[0].header, "\r\nX-Godwit-Reason: dmarc-quarantine\r\n"));
  CHECK(Contains(OnlyMessage(alice, "Junk"), "X-Godwit-Reason: dmarc-quarantine\r\n"));
}

// --- Loops ---------------------------------------------------------------------------------------

// Only Received fields were counted: two members who return what they get made of one message two,
// four, and so on for fifty rounds.
TEST_CASE_METHOD(RulesFixture, "What comes back to the address that forwarded it is a loop",
                 "[smtp-ingress][component]") {
  AddAlias("list@y.example", {"e@z.example", "f@z.example", "bob@y.example"});
  AddAlias("other@y.example", {"g@z.example"});
  StartWithQueue();
  CHECK(Send("s@x.example", {"list+tag@y.example"}) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const std::string& header = queue.taken[0].header;
  CHECK(header.starts_with("Delivered-To: list@y.example\r\n"));
  // As a member returns it, and by another name of the same list.
  const std::string back = "Received: from z.example\r\n" + header + queue.taken[0].body;
  for (const char* to : {"list@y.example", "LIST+1@y.example"}) {
    CHECK(Send(QueuedFrom(), {to}, back).substr(0, 9) == "550 5.4.6");
  }
  CHECK(Send("s@x.example", {"alice@y.example", "list@y.example"}, back).substr(0, 9) ==
        "550 5.4.6");
  CHECK(queue.taken.size() == 1);
  // A list may be a member of another, elsewhere; who was a member may be written to.
  CHECK(Send("s@x.example", {"other@y.example", "alice@y.example"}, back) == kAccepted);
  REQUIRE(queue.taken.size() == 2);
  CHECK(Contains(queue.taken[1].header, "Delivered-To: other@y.example\r\n"));
  CHECK(Contains(queue.taken[1].header, "\r\nDelivered-To: list@y.example\r\n"));
  CHECK(CountEmails() == "2");
}

// A second alias with the same member lost what its sender wanted to hear; and who gets mail by one
// would see the other.
TEST_CASE_METHOD(RulesFixture, "Each address forwards for itself", "[smtp-ingress][component]") {
  AddAlias("one@y.example", {"e@z.example"});
  AddAlias("two@y.example", {"e@z.example"});
  StartWithQueue();
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_PASS);
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<one@y.example> NOTIFY=NEVER") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<two@y.example> NOTIFY=SUCCESS") == "250 2.1.5 Recipient OK");
  client.Say("DATA");
  CHECK(client.EndMessage(Text()) == kAccepted);
  REQUIRE(queue.taken.size() == 2);
  CHECK(queue.taken[0].submission.recipients(0).notify() == dq::NOTIFY_NEVER);
  CHECK(queue.taken[1].submission.recipients(0).notify() == dq::NOTIFY_SUCCESS);
  CHECK_FALSE(Contains(queue.taken[0].header, "two@"));
  CHECK_FALSE(Contains(queue.taken[1].header, "one@"));
}

TEST_CASE_METHOD(RulesFixture, "A long list goes to the queue in parts that it takes",
                 "[smtp-ingress][component]") {
  std::vector<std::string> members;
  for (int i = 0; i < 250; ++i) members.push_back("m" + std::to_string(i) + "@z.example");
  AddAlias("list@y.example", members);
  StartWithQueue();
  CHECK(Send("s@x.example", {"list@y.example"}) == kAccepted);
  REQUIRE(queue.taken.size() == 3);
  size_t all = 0;
  for (size_t i = 0; i < 3; ++i) {
    CHECK(QueuedTo(i).size() <= 100);  // RFC 5321 §4.5.3.1.8
    all += QueuedTo(i).size();
  }
  CHECK(all == members.size());
}

// --- Once more -----------------------------------------------------------------------------------

// The key was the transaction's: each try of the client after a 451 was another copy for all.
TEST_CASE_METHOD(RulesFixture, "A client who comes again after a 451 brings the same message",
                 "[smtp-ingress][component]") {
  AddAlias("both@y.example", {"e@z.example", "bob@y.example"});
  AddAlias("other@y.example", {"e@z.example"});
  StartWithQueue();
  queue.failure = base::Unavailable("away");
  CHECK(Send("s@x.example", {"both@y.example"}).substr(0, 3) == "451");
  queue.failure = absl::OkStatus();
  CHECK(Send("s@x.example", {"both@y.example"}) == kAccepted);
  REQUIRE(queue.taken.size() == 3);  // the first was tried twice
  const std::string key = queue.taken[0].submission.idempotency_key();
  CHECK(key.size() == 64);
  CHECK(queue.taken[1].submission.idempotency_key() == key);
  CHECK(queue.taken[2].submission.idempotency_key() == key);
  auto other = [&](const std::string& from, const std::string& to, const std::string& text) {
    queue.taken.clear();
    CHECK(Send(from, {to}, text) == kAccepted);
    REQUIRE(queue.taken.size() == 1);
    return queue.taken[0].submission.idempotency_key() != key;
  };
  CHECK_FALSE(other("s@x.example", "both@y.example", Text()));
  CHECK(other("t@x.example", "both@y.example", Text()));
  CHECK(other("s@x.example", "other@y.example", Text()));
  CHECK(other("s@x.example", "both@y.example", Text("Subject: more\r\n")));
  CHECK(other("s@x.example", "both@y.example", Text() + "more\r\n"));
  // RFC 5322 §3.6 wants a Date of each message. Two of a device without a clock are two.
  const std::string bare = "Subject: alarm\r\n\r\nagain\r\n";
  CHECK(other("s@x.example", "both@y.example", bare));
  const std::string first = queue.taken[0].submission.idempotency_key();
  CHECK(other("s@x.example", "both@y.example", bare));
  CHECK(queue.taken[0].submission.idempotency_key() != first);
}

// --- What senders are told (RFC 3461) ------------------------------------------------------------

TEST_CASE_METHOD(RulesFixture, "Nobody is told of the success of mail he may not have sent",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  StartWithQueue();
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_FAIL);
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<victim@v.example> RET=FULL");
  for (const char* to :
       {"<a@r.example> NOTIFY=SUCCESS", "<b@r.example> NOTIFY=SUCCESS,DELAY,FAILURE",
        "<c@r.example> NOTIFY=NEVER", "<d@r.example>"}) {
    CHECK(client.Say("RCPT TO:" + std::string(to)) == "250 2.1.5 Recipient OK");
  }
  client.Say("DATA");
  CHECK(client.EndMessage(Text()) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const dq::Submission& submission = queue.taken[0].submission;
  CHECK(submission.ret() == dq::RET_HDRS);
  CHECK(submission.recipients(0).notify() == dq::NOTIFY_NEVER);
  CHECK(submission.recipients(1).notify() == dq::NOTIFY_FAILURE);
  CHECK(submission.recipients(2).notify() == dq::NOTIFY_NEVER);
  CHECK(submission.recipients(3).notify() == 0);
}

// The internal listener offered no DSN, and the queue did not say REQUIRETLS there: a user's wishes
// ended at an alias.
TEST_CASE_METHOD(RulesFixture,
                 "What a user of ours wants goes on with his mail (RFC 8689, RFC 3461)",
                 "[smtp-ingress][component]") {
  AddAlias("team@y.example", {"e@z.example"});
  StartWithQueue();
  SmtpClient client(internal_endpoint());
  REQUIRE(client.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  client.Reply();
  const std::string offered = client.Say("EHLO queue");
  CHECK(Contains(offered, "DSN"));
  CHECK(Contains(offered, "REQUIRETLS"));
  const std::string mail =
      "MAIL FROM:<alice@y.example> REQUIRETLS RET=FULL ENVID=one "
      "XORIGIN=submission;account:1;user:alice@y.example";
  CHECK(client.Say(mail) == "250 2.1.0 Sender OK");
  CHECK(client.Say("RCPT TO:<team@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@x.example") ==
        "250 2.1.5 Recipient OK");
  client.Say("DATA");
  CHECK(client.EndMessage(Text()) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  const dq::Submission& submission = queue.taken[0].submission;
  CHECK(submission.requiretls());
  CHECK(submission.ret() == dq::RET_FULL);
  CHECK(submission.envid() == "one");
  CHECK(submission.recipients(0).notify() ==
        static_cast<uint32_t>(dq::NOTIFY_SUCCESS | dq::NOTIFY_DELAY));
  CHECK(submission.recipients(0).orcpt() == "rfc822;o@x.example");
  // Who logs in as whom is nobody's business elsewhere.
  CHECK_FALSE(Contains(queue.taken[0].header, "smtp.auth"));

  // Here it ends in a mailbox, and we tell.
  queue.taken.clear();
  CHECK(client.Say(mail) == "250 2.1.0 Sender OK");
  CHECK(client.Say("RCPT TO:<bob@y.example> NOTIFY=SUCCESS") == "250 2.1.5 Recipient OK");
  client.Say("DATA");
  CHECK(client.EndMessage(Text()) == kAccepted);
  REQUIRE(queue.taken.size() == 1);
  CHECK(queue.taken[0].submission.origin() == dq::ORIGIN_DSN);
  CHECK(QueuedTo() == std::vector<std::string>{"alice@y.example"});
  CHECK(Contains(OnlyMessage(bob), "smtp.auth=alice@y.example"));
}

// --- Addresses -----------------------------------------------------------------------------------

TEST_CASE_METHOD(RulesFixture, "An address that names somebody elsewhere is not sent on",
                 "[smtp-ingress][component]") {
  MakeRelay("r.example", store::DomainKind::kRelay);
  AddAlias("50%off@y.example", {"bob@y.example"});
  StartWithQueue();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  for (const char* to : {"victim%target.example@r.example", "target.example!victim@r.example",
                         "\"victim@target.example\"@r.example"}) {
    CHECK(client.Say("RCPT TO:<" + std::string(to) + ">").substr(0, 9) == "550 5.7.1");
  }
  CHECK(client.Say("RCPT TO:<50%off@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<a+b=c@r.example>") == "250 2.1.5 Recipient OK");
}

// Quotes made the rewritten sender longer than the queue takes: 554 for the whole message.
TEST_CASE_METHOD(RulesFixture, "A sender whose quotes make it too long stays as it is",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  StartWithQueue();
  const std::string sender = smtp::Address{std::string(120, '"'), "x.example"}.ToString();
  CHECK(Send(sender, {"out@y.example"}) == kAccepted);
  CHECK(QueuedFrom() == sender);
}

// --- Memory --------------------------------------------------------------------------------------

// A few clients who sent slowly to an address that forwards held the memory of all: 452 for
// everybody.
TEST_CASE_METHOD(RulesFixture, "Who holds the memory for what goes on keeps nobody else out",
                 "[smtp-ingress][component]") {
  AddAlias("out@y.example", {"e@z.example"});
  listener = "{listen: \"127.0.0.1:0\", proxy_protocol: true, proxy_sources: [\"127.0.0.1\"]}";
  Start(StartQueue("memory: 24MiB") + "limits: {memory: 4MiB, message_size: 1MiB}\n");
  const auto from = [&](const std::string& address) {
    auto client = std::make_unique<SmtpClient>(server->endpoints().at(0));
    client->Send("PROXY TCP4 " + address + " 192.0.2.1 1234 25\r\n");
    client->Reply();
    return client;
  };
  std::string held = "Message-ID: <1@x.example>\r\n\r\n";
  while (held.size() < 900 * 1024) held += std::string(998, 'x') + "\r\n";
  const auto hold = [&](const std::string& address) {
    std::vector<std::unique_ptr<SmtpClient>> clients;
    for (;;) {
      clients.push_back(from(address));
      const int begun = verifier.begun;
      const std::string reply = clients.back()->BeginMessage("s@x.example", {"out@y.example"});
      if (reply.substr(0, 3) != "354" || clients.size() > 30) {
        CHECK(reply.substr(0, 9) == "452 4.3.1");
        clients.pop_back();
        return clients;
      }
      clients.back()->Send(held);
      for (int i = 0; i < 500 && verifier.begun == begun; ++i) {
        absl::SleepFor(absl::Milliseconds(10));
      }
      absl::SleepFor(absl::Milliseconds(200));
    }
  };
  const auto first = hold("192.0.2.10");
  // A network has a quarter of it.
  CHECK(first.size() < 10);
  CHECK(first.front()->EndMessage("the end\r\n") == kAccepted);
  auto second = from("198.51.100.1");
  CHECK(second->SendMessage("s@x.example", {"out@y.example"}, held) == kAccepted);
  // Local mail has its own.
  CHECK(second->SendMessage("s@x.example", {"bob@y.example"}, held) == kAccepted);
  const auto others = {hold("198.51.100.2"), hold("203.0.113.1"), hold("203.0.113.2")};
  CHECK(second->SendMessage("s@x.example", {"bob@y.example"}, Text()) == kAccepted);
  CHECK(SendInternal("", "out@y.example", " XORIGIN=dsn") == kAccepted);
  CHECK(others.size() == 3);
}

TEST_CASE_METHOD(RulesFixture, "Memory that can not hold one message is no configuration",
                 "[smtp-ingress][component]") {
  CHECK_FALSE(TryStart(StartQueue("memory: 100MiB") + "limits: {message_size: 50MiB}\n").ok());
  CHECK(TryStart(StartQueue("memory: 104MiB") + "limits: {message_size: 50MiB}\n").ok());
}

}  // namespace
}  // namespace godwit::smtp_ingress

// The daemon as a whole, against a real PostgreSQL: what clients are told, and what lies in the
// mailboxes afterwards.

#include <fstream>
#include <optional>

#include "libs/dns/scripted_server.h"
#include "libs/store/delivery.h"
#include "libs/store/dmarc_reports.h"
#include "libs/store/watch.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

constexpr std::string_view kText = "Subject: hello\r\n\r\nThe text.\r\n";
const std::string kAccepted = "250 2.0.0 Message accepted";

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void FailDmarc(ScriptedVerifier* verifier, pb::DmarcResult::Disposition disposition) {
  pb::DmarcResult* dmarc = verifier->response.mutable_dmarc();
  dmarc->set_result(pb::RESULT_FAIL);
  dmarc->set_from_domain("x.example");
  dmarc->set_disposition(disposition);
}

TEST_CASE_METHOD(IngressFixture, "A message is verified, gets its trace fields and is delivered",
                 "[smtp-ingress][component]") {
  Start();
  verifier.response.mutable_iprev()->set_result(pb::RESULT_PASS);
  verifier.response.mutable_iprev()->set_name("host.x.example");
  SmtpClient client = Connect();
  CHECK(client.Reply() == "220 mx.y.example ESMTP Godwit");
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"},
                           "Authentication-Results: mx.y.example; dmarc=pass\r\n"
                           "Subject: hello\r\n\r\n..dot\r\n") == kAccepted);
  const std::string id = client.last_id();

  CHECK(verifier.envelope.client_ip() == std::string("\x7f\0\0\x01", 4));
  CHECK(verifier.envelope.helo() == "client.test");
  CHECK(verifier.envelope.mail_from() == "s@x.example");
  CHECK(verifier.envelope.authserv_id() == "mx.y.example");
  CHECK_FALSE(verifier.envelope.internal_hop());
  CHECK(verifier.data ==
        "Authentication-Results: mx.y.example; dmarc=pass\r\nSubject: hello\r\n\r\n.dot\r\n");

  const std::string stored = OnlyMessage(alice);
  const std::string front =
      "Return-Path: <s@x.example>\r\n"
      "Delivered-To: alice@y.example\r\n"
      "Authentication-Results: mx.y.example; dmarc=none\r\n"
      "Received-SPF: none (mx.y.example: nothing)\r\n"
      "X-Godwit-Reason: accepted\r\n"
      "Received: from client.test (host.x.example [127.0.0.1])\r\n"
      "\tby mx.y.example with ESMTP id " +
      id + "\r\n\tfor <alice@y.example>;\r\n\t";
  CHECK(stored.substr(0, front.size()) == front);
  CHECK(Contains(stored, "+0000\r\nSubject: hello\r\n\r\n.dot\r\n"));
  CHECK_FALSE(Contains(stored, "dmarc=pass"));
  CHECK(client.Say("QUIT") == "221 2.0.0 Goodbye");
  CHECK(client.Reply() == "(closed)");
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "RFC 8601 §2.2: with verification off the result is none",
                 "[smtp-ingress][component]") {
  Start("verification: off\n");
  StopVerifier();
  SmtpClient client = Connect();
  client.Reply();
  // No From: with verification on, 550.
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"},
                           "Authentication-Results: mx.y.example; dmarc=pass\r\n"
                           "Subject: hello\r\n\r\ntext\r\n") == kAccepted);
  const std::string stored = OnlyMessage(alice);
  const std::string front =
      "Return-Path: <s@x.example>\r\n"
      "Delivered-To: alice@y.example\r\n"
      "Authentication-Results: mx.y.example; none\r\n"
      "X-Godwit-Reason: accepted\r\n"
      "Received: from client.test ([127.0.0.1])\r\n";
  CHECK(stored.substr(0, front.size()) == front);
  CHECK(Contains(stored, "\r\n\r\ntext\r\n"));
  CHECK_FALSE(Contains(stored, "dmarc=pass"));
}

TEST_CASE_METHOD(IngressFixture, "RCPT is answered from the directory",
                 "[smtp-ingress][component]") {
  const store::AccountId full = AddAccount("full@y.example");
  MustOk(store::SetQuota(*connection, full, 1000));
  const store::AccountId off = AddAccount("off@y.example");
  MustOk(store::SetAccountDisabled(*connection, off, true));
  const absl::Time now = absl::Now();
  MustOk(store::AddAlias(*connection,
                         {"team@y.example", true, {"alice@y.example", "bob@y.example"}}, now));
  MustOk(store::AddAlias(*connection, {"out@y.example", true, {"alice@y.example", "e@z.example"}},
                         now));
  MustOk(store::AddAlias(*connection, {"closed@y.example", false, {"alice@y.example"}}, now));
  Start();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example> SIZE=2000");
  CHECK(client.Say("RCPT TO:<alice@Y.Example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<alice+tag@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<nobody@y.example>") == "550 5.1.1 No such user here");
  CHECK(client.Say("RCPT TO:<alice@z.example>") == "550 5.7.1 Relay access denied");
  CHECK(client.Say("RCPT TO:<alice@[127.0.0.1]>") == "550 5.7.1 Relay access denied");
  CHECK(client.Say("RCPT TO:<full@y.example>") == "452 4.2.2 Mailbox full");
  CHECK(client.Say("RCPT TO:<off@y.example>") == "450 4.2.1 Mailbox temporarily disabled");
  CHECK(client.Say("RCPT TO:<team@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<out@y.example>").substr(0, 9) == "450 4.3.5");
  CHECK(client.Say("RCPT TO:<closed@y.example>").substr(0, 9) == "550 5.7.2");
  CHECK(client.Say("DATA").substr(0, 3) == "354");
  // alice stands behind three recipients and gets one copy; several recipients: no "for".
  CHECK(client.EndMessage(kText) == kAccepted);
  CHECK_FALSE(Contains(OnlyMessage(alice), "\tfor <"));
  CHECK(Contains(OnlyMessage(bob), "Delivered-To: team@y.example\r\n"));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "A recipient who is known takes no mail that he may not have",
                 "[smtp-ingress][component]") {
  recipient_cache = "2s";
  Start();
  SmtpClient client = Connect();
  client.Reply();
  const absl::Time begin = absl::Now();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  MustOk(store::SetAccountDisabled(*connection, alice, true));
  client.Say("MAIL FROM:<s@x.example>");
  const std::string taken = client.Say("RCPT TO:<alice@y.example>");
  if (absl::Now() - begin < absl::Seconds(2)) {
    CHECK(taken == "250 2.1.5 Recipient OK");
    client.Say("DATA");
    CHECK(client.Say("Subject: late\r\n\r\ntext\r\n.").substr(0, 9) == "451 4.3.0");
  }
  absl::SleepFor(absl::Seconds(2));
  client.Say("RSET");
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<alice@y.example>") == "450 4.2.1 Mailbox temporarily disabled");
  MustOk(store::SetAccountDisabled(*connection, alice, false));
  CHECK(client.Say("RCPT TO:<alice@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(Contains(OnlyMessage(alice), kText));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "RFC 5782: a client on a DNS list is refused with its words",
                 "[smtp-ingress][component]") {
  Start();
  auto* listed = verifier.response.add_dnsbl();
  listed->set_list("bl.example");
  listed->set_outcome(pb::DnsblResult::OUTCOME_LISTED);
  listed->set_weight(1);
  listed->set_text("see https://bl.example/");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "550 5.7.1 Message rejected, listed by bl.example: see https://bl.example/");
  CHECK(CountEmails() == "0");
  // What could not be found out is no listing.
  listed->set_outcome(pb::DnsblResult::OUTCOME_NO_ANSWER);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
}

TEST_CASE_METHOD(IngressFixture, "RFC 8617 §7.2: a trusted forwarder's mail comes in",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
  verifier.response.mutable_dmarc()->set_override_type("trusted_forwarder");
  verifier.response.mutable_evaluation()->set_policy_domain("x.example");
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  const auto recorded = verifier.AwaitRecorded(1);
  REQUIRE(recorded.size() == 1);
  CHECK(recorded[0].disposition() == pb::DmarcResult::DISPOSITION_NONE);
  CHECK(recorded[0].override() == pb::RecordedMessage::OVERRIDE_TRUSTED_FORWARDER);
  CHECK(Contains(OnlyMessage(alice), "X-Godwit-Reason: dmarc-overridden\r\n"));
}

TEST_CASE_METHOD(IngressFixture, "DMARC reject is honoured, quarantine goes to Junk",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "550 5.7.26 Message rejected per DMARC policy for x.example");
  CHECK(CountEmails() == "0");
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_QUARANTINE);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  CHECK(Contains(OnlyMessage(alice, "Junk"), "X-Godwit-Reason: dmarc-quarantine\r\n"));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "RFC 7489 §6.3: quarantine may be reject, and reject Junk",
                 "[smtp-ingress][component]") {
  Start("policy: {dmarc_quarantine: reject, dmarc_reject: quarantine}\n");
  SmtpClient client = Connect();
  client.Reply();
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_QUARANTINE);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "550 5.7.26 Message rejected per DMARC policy for x.example");
  CHECK(CountEmails() == "0");
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  CHECK(Contains(OnlyMessage(alice, "Junk"), "X-Godwit-Reason: dmarc-reject\r\n"));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "RFC 7372: what SPF and reverse DNS are refused with",
                 "[smtp-ingress][component]") {
  Start("policy: {spf_fail: reject, spf_error: reject, reverse_dns: reject}\n");
  SmtpClient client = Connect();
  client.Reply();
  const auto send = [&] { return client.SendMessage("s@x.example", {"alice@y.example"}, kText); };
  auto* spf = verifier.response.mutable_spf_mail_from();
  spf->set_domain("x.example");
  spf->set_result(pb::RESULT_FAIL);
  CHECK(send() == "550 5.7.23 SPF MAIL FROM check failed for x.example");
  spf->set_explanation("See https://x.example/");
  CHECK(send() ==
        "550 5.7.23 SPF MAIL FROM check failed for x.example|The domain x.example explains:"
        "|See https://x.example/");
  spf->set_result(pb::RESULT_PERMERROR);
  CHECK(send() == "550 5.7.24 SPF of x.example can not be evaluated");
  spf->set_result(pb::RESULT_TEMPERROR);
  CHECK(send() == "451 4.7.24 SPF of x.example can not be evaluated now");
  spf->set_result(pb::RESULT_SOFTFAIL);
  // RFC 8601 §2.7.3: no name (permerror), or none that leads back (fail).
  for (const pb::Result result : {pb::RESULT_FAIL, pb::RESULT_PERMERROR}) {
    verifier.response.mutable_iprev()->set_result(result);
    CHECK(send() == "550 5.7.25 Your address has no name that leads back to it");
  }
  spf->set_result(pb::RESULT_FAIL);
  spf->clear_explanation();
  CHECK(send() == "550 5.7.26 SPF MAIL FROM check failed for x.example");
  CHECK(CountEmails() == "0");
  verifier.response.mutable_iprev()->set_result(pb::RESULT_TEMPERROR);
  spf->set_result(pb::RESULT_NEUTRAL);
  CHECK(send() == kAccepted);
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "SPF and reverse DNS refuse nothing unless the operator wants it",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  verifier.response.mutable_spf_mail_from()->set_result(pb::RESULT_FAIL);
  verifier.response.mutable_iprev()->set_result(pb::RESULT_PERMERROR);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  CHECK(Contains(OnlyMessage(alice), "X-Godwit-Reason: accepted\r\n"));
}

TEST_CASE_METHOD(IngressFixture,
                 "Without auth-verifier nothing is accepted, and with it again it is",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  verifier.failure = base::Unavailable("no DNS");
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "451 4.3.0 Temporary failure, try again later");
  StopVerifier();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "451 4.3.0 Temporary failure, try again later");
  CHECK(CountEmails() == "0");
  verifier.failure = absl::OkStatus();
  StartVerifier();
  std::string reply;
  for (int i = 0; i < 100 && reply != kAccepted; ++i) {  // gRPC's own pause before it reconnects
    absl::SleepFor(absl::Milliseconds(100));
    reply = client.SendMessage("s@x.example", {"alice@y.example"}, kText);
  }
  CHECK(reply == kAccepted);
  CHECK(CountEmails() == "1");
}

TEST_CASE_METHOD(IngressFixture,
                 "An auth-verifier that does not answer costs its deadline and a 451",
                 "[smtp-ingress][component]") {
  verify_deadline = "1s";
  verifier.hang = true;
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "451 4.3.0 Temporary failure, try again later");
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(IngressFixture, "Without the database nothing is accepted",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  REQUIRE(client.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  testing::ScratchDatabase::StopCluster();
  CHECK(client.EndMessage(kText) == "451 4.3.0 Temporary failure, try again later");
  CHECK(client.BeginMessage("s@x.example", {"alice@y.example"}) ==
        "451 4.3.0 Temporary failure, try again later");
  testing::ScratchDatabase::StartCluster();
  connection = database.Connect();
  CHECK(CountEmails() == "0");
  std::string reply;
  for (int i = 0; i < 100 && reply != kAccepted; ++i) {
    client.Say("RSET");
    reply = client.SendMessage("s@x.example", {"alice@y.example"}, kText);
    if (reply != kAccepted) absl::SleepFor(absl::Milliseconds(100));
  }
  CHECK(reply == kAccepted);
  CHECK(CountEmails() == "1");
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "A large message is staged as it comes, and comes out as it was",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  std::string body;
  for (int i = 0; body.size() < 1'500'000; ++i) {
    body += "line " + std::to_string(i) + std::string(60, 'x') + "\r\n";
  }
  CHECK(client.SendMessage("s@x.example", {"alice@y.example", "bob@y.example"},
                           "Subject: large\r\n\r\n" + body) == kAccepted);
  const std::string hers = OnlyMessage(alice);
  CHECK(hers.substr(hers.size() - body.size()) == body);
  const std::string his = OnlyMessage(bob);
  CHECK(his.substr(his.size() - body.size()) == body);
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");

  // One that is refused at its end leaves nothing behind.
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, "Subject: large\r\n\r\n" + body)
            .substr(0, 10) == "550 5.7.26");
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "Messages that are wrong in themselves are refused in step",
                 "[smtp-ingress][component]") {
  Start("limits: {message_size: 64KiB, received_fields: 10}\n");
  SmtpClient client = Connect();
  client.Reply();
  const auto send = [&](const std::string& text) {
    return client.SendMessage("s@x.example", {"alice@y.example"}, text);
  };
  CHECK(send("a\nb\r\n") == "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send("a\r\n.\nMAIL FROM:<evil@x.example>\r\n") ==
        "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send(std::string(999, 'x') + "\r\n") == "550 5.6.0 Line too long in the message");
  std::string big = "Subject: a\r\n\r\n";
  while (big.size() <= 65536) big += std::string(98, 'x') + "\r\n";
  CHECK(send(big) == "552 5.3.4 Message size exceeds the limit");
  std::string hops;
  for (int i = 0; i < 11; ++i) hops += "Received: by a; now\r\n";
  CHECK(send(hops + "\r\n") == "550 5.4.6 Routing loop, too many Received fields");
  CHECK(client.Say("MAIL FROM:<s@x.example> SIZE=65537") ==
        "552 5.3.4 Message size exceeds the limit");
  CHECK(CountEmails() == "0");
  CHECK(send("") == kAccepted);  // an empty message is a message
  CHECK(CountEmails() == "1");
}

TEST_CASE_METHOD(IngressFixture, "A header too large for the store is refused",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  std::string header;
  while (header.size() <= 512 * 1024) header += "X-Long: " + std::string(900, 'x') + "\r\n";
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, header + "\r\n") ==
        "552 5.3.4 Message header too large");
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(IngressFixture,
                 "STARTTLS, seen in Received, with certificates read again on change",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(Contains(client.Say("EHLO c"), "STARTTLS"));
  CHECK(client.Say("STARTTLS") == "220 2.0.0 Ready to start TLS");
  REQUIRE(client.StartTls(ClientTls(), "mx.y.example"));
  CHECK(client.Say("MAIL FROM:<s@x.example>") == "503 5.5.1 Send EHLO first");
  CHECK_FALSE(Contains(client.Say("EHLO c"), "STARTTLS"));
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  const std::string stored = OnlyMessage(alice);
  CHECK(Contains(stored, "with ESMTPS id "));
  CHECK(Contains(stored, "\r\n\t(TLSv1.3 TLS_"));

  // A new certificate for another name: the old name does not verify any more.
  const testing::LeafFiles fresh = authority.Issue({.names = {"new.y.example"}});
  for (const auto& [from, to] : {std::pair(fresh.chain_pem, public_leaf.chain_file),
                                 std::pair(fresh.key_pem, public_leaf.key_file)}) {
    std::ofstream(to, std::ios::trunc) << from;
  }
  bool reloaded = false;
  for (int i = 0; i < 100 && !reloaded; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    SmtpClient other = Connect();
    other.Reply();
    other.Say("EHLO c");
    other.Say("STARTTLS");
    reloaded = other.StartTls(ClientTls(), "new.y.example");
  }
  CHECK(reloaded);
}

// SIGHUP looked at the files on the main thread while the first reactor did the same.
TEST_CASE_METHOD(IngressFixture, "SIGHUP reads certificates on the thread that watches them",
                 "[smtp-ingress][component]") {
  Start();
  const testing::LeafFiles fresh = authority.Issue({.names = {"new.y.example"}});
  for (const auto& [from, to] : {std::pair(fresh.chain_pem, public_leaf.chain_file),
                                 std::pair(fresh.key_pem, public_leaf.key_file)}) {
    std::ofstream(to, std::ios::trunc) << from;
  }
  MustOk(server->Reload());  // comes back when it is done
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("STARTTLS");
  CHECK(client.StartTls(ClientTls(), "new.y.example"));
}

// mail.example has a host, null.example a null MX, nothing else is there.
std::optional<std::string> AnswerMx(const dns::ScriptedServer::Query& query) {
  dns::ReplyBuilder reply(query.bytes);
  const std::string& name = query.message.question;
  const bool null = name == "null.example";
  if (!null && name != "mail.example") return reply.Rcode(dns::kRcodeNoDomain).bytes();
  if (query.message.question_type != static_cast<uint16_t>(base::DnsType::kMx)) {
    return reply.bytes();
  }
  const std::string host = null ? std::string(1, '\0') : dns::NameData("mx.mail.example");
  return reply.Answer(name, base::DnsType::kMx, 60, dns::U16Data(0) + host).bytes();
}

TEST_CASE_METHOD(IngressFixture, "RFC 7505 §4.2: nobody sends from a domain with a null MX",
                 "[smtp-ingress][component]") {
  const dns::ScriptedServer dns(AnswerMx);
  Start("dns: {servers: [\"127.0.0.1:" + std::to_string(dns.port()) + "\"], timeout: 2s}\n");
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  CHECK(client.Say("MAIL FROM:<a@null.example>") == "550 5.7.27 The sender's domain has a null MX");
  CHECK(client.Say("MAIL FROM:<a@gone.example>") ==
        "550 5.1.8 The sender's domain has no host for mail");
  CHECK(client.Say("MAIL FROM:<a@mail.example>") == "250 2.1.0 Sender OK");
}

TEST_CASE_METHOD(IngressFixture, "Senders whose domain can not be looked up come again",
                 "[smtp-ingress][component]") {
  Start("dns: {servers: [\"127.0.0.1:1\"], timeout: 100ms, attempts: 1}\n");
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  CHECK(client.Say("MAIL FROM:<a@x.example>").substr(0, 9) == "451 4.4.3");
  // A bounce has no sender, an address literal needs no DNS.
  CHECK(client.Say("MAIL FROM:<>") == "250 2.1.0 Sender OK");
  client.Say("RSET");
  CHECK(client.Say("MAIL FROM:<a@[192.0.2.1]>") == "250 2.1.0 Sender OK");
}

TEST_CASE_METHOD(IngressFixture, "Of our own daemons no reverse DNS is asked",
                 "[smtp-ingress][component]") {
  Start("policy: {reverse_dns: reject}\n");
  verifier.response.mutable_iprev()->set_result(pb::RESULT_PERMERROR);
  SmtpClient client(internal_endpoint());
  REQUIRE(client.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  client.Reply();
  CHECK(client.SendMessage("bob@y.example", {"alice@y.example"}, kText,
                           " XORIGIN=submission;user:bob@y.example") == kAccepted);
}

TEST_CASE_METHOD(IngressFixture, "The internal listener takes mail from our daemons only",
                 "[smtp-ingress][component]") {
  Start();
  SECTION("a daemon that may") {
    SmtpClient client(internal_endpoint());
    REQUIRE(client.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
    CHECK(client.Reply() == "220 mx.y.example ESMTP Godwit");
    CHECK(Contains(client.Say("EHLO queue"), "XORIGIN"));
    CHECK(client.Say("MAIL FROM:<bob@y.example>") == "501 5.5.4 XORIGIN is required here");
    CHECK(client.SendMessage("bob@y.example", {"alice@y.example"}, kText,
                             " XORIGIN=submission;account:7;client:192.0.2.1;user:bob@y.example") ==
          kAccepted);
    CHECK(verifier.envelope.internal_hop());
    CHECK(Contains(OnlyMessage(alice), "auth=pass smtp.auth=bob@y.example"));
    // DMARC applies to what users submit, and not to what the queue made itself; what we forward to
    // another domain of ours was judged when it came, and SPF says nothing any more.
    FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
    CHECK(client
              .SendMessage("bob@y.example", {"alice@y.example"}, kText,
                           " XORIGIN=submission;user:bob@y.example")
              .substr(0, 10) == "550 5.7.26");
    CHECK(client.SendMessage("", {"bob@y.example"}, kText, " XORIGIN=dsn") == kAccepted);
    CHECK(client.SendMessage("s@y.example", {"bob@y.example"}, kText, " XORIGIN=forward") ==
          kAccepted);
  }
  SECTION("another daemon") {
    SmtpClient client(internal_endpoint());
    client.StartTls(ClientTls("imap-gateway"), "smtp-ingress");
    CHECK(client.Reply() == "(closed)");
  }
  SECTION("nobody") {
    SmtpClient client(internal_endpoint());
    client.StartTls(ClientTls(), "smtp-ingress");
    CHECK(client.Reply() == "(closed)");
  }
  SECTION("XORIGIN is unknown outside") {
    SmtpClient client = Connect();
    client.Reply();
    client.Say("EHLO c");
    CHECK(client.Say("MAIL FROM:<a@x.example> XORIGIN=dsn") ==
          "555 5.5.4 Parameter not recognized");
  }
}

TEST_CASE_METHOD(IngressFixture, "RFC 9990 §3.1: what became of a message is told for reports",
                 "[smtp-ingress][component]") {
  Start("policy: {dmarc_quarantine: accept}\n");
  verifier.response.mutable_evaluation()->set_policy_domain("x.example");
  verifier.response.mutable_evaluation()->set_source_ip("\x7f\0\0\1", 4);
  verifier.refuse_records = 1;  // it is kept, and told again
  SmtpClient client = Connect();
  client.Reply();
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText).substr(0, 3) == "550");
  FailDmarc(&verifier, pb::DmarcResult::DISPOSITION_QUARANTINE);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  verifier.response.mutable_dmarc()->set_result(pb::RESULT_TEMPERROR);
  verifier.response.mutable_dmarc()->set_worst_disposition(pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText).substr(0, 3) == "451");
  verifier.response.clear_evaluation();
  verifier.response.mutable_dmarc()->set_result(pb::RESULT_PASS);
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);

  const auto recorded = verifier.AwaitRecorded(2);
  REQUIRE(recorded.size() == 2);
  CHECK(recorded[0].evaluation().policy_domain() == "x.example");
  CHECK(recorded[0].disposition() == pb::DmarcResult::DISPOSITION_REJECT);
  CHECK(recorded[0].override() == pb::RecordedMessage::OVERRIDE_UNSPECIFIED);
  CHECK(recorded[0].envelope_to() == "y.example");
  CHECK(recorded[1].disposition() == pb::DmarcResult::DISPOSITION_NONE);
  CHECK(recorded[1].override() == pb::RecordedMessage::OVERRIDE_LOCAL_POLICY);
  CHECK(recorded[1].comment() == "dmarc-quarantine");
}

TEST_CASE_METHOD(IngressFixture,
                 "Mail to a report address is looked into, and delivered whatever is in it",
                 "[smtp-ingress][component]") {
  MustOk(store::SetReportAddress(*connection, "bob", "y.example", true));
  Start();
  verifier.response.mutable_evaluation()->set_policy_domain("x.example");
  verifier.response.mutable_evaluation()->set_source_ip("\x7f\0\0\1", 4);
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  CHECK(!verifier.envelope.report_address());
  verifier.response.mutable_report()->set_problem("no report is attached");
  CHECK(client.SendMessage("s@x.example", {"Bob@Y.example"},
                           "X-Godwit-Report: stored\r\n" + std::string(kText)) == kAccepted);
  CHECK(verifier.envelope.report_address());
  const std::string stored = OnlyMessage(bob);
  CHECK(Contains(stored, "X-Godwit-Report: not stored: no report is attached\r\n"));
  CHECK(!Contains(stored, "X-Godwit-Report: stored"));
  const auto recorded = verifier.AwaitRecorded(2);
  REQUIRE(recorded.size() == 2);
  CHECK((!recorded[0].to_report_address() && recorded[1].to_report_address()));
}

TEST_CASE_METHOD(IngressFixture, "A hint goes to the gateway that watches the account",
                 "[smtp-ingress][component]") {
  const store::GatewayId id{7};
  MustOk(store::RegisterGateway(*connection, id, "imap-gateway",
                                "127.0.0.1:" + std::to_string(gateway_port)));
  const store::Modseq before = Must(store::WatchAccount(*connection, alice, id));
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
  for (int i = 0; i < 500 && gateway.last_account == 0; ++i) absl::SleepFor(absl::Milliseconds(10));
  CHECK(gateway.last_account == store::ToInt(alice));
  CHECK(gateway.last_modseq > before);
}

TEST_CASE_METHOD(IngressFixture, "More sessions than allowed are told 421",
                 "[smtp-ingress][component]") {
  Start("limits: {sessions: 1}\n");
  SmtpClient first = Connect();
  CHECK(first.Reply().substr(0, 3) == "220");
  SmtpClient second = Connect();
  CHECK(second.Reply() == "421 4.7.0 Too many connections, try again later");
  CHECK(second.Reply() == "(closed)");
  // Who fills the public port does not keep our own mail out.
  SmtpClient internal(internal_endpoint());
  REQUIRE(internal.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  CHECK(internal.Reply() == "220 mx.y.example ESMTP Godwit");
}

TEST_CASE_METHOD(IngressFixture, "A silent client is told 421 and cut",
                 "[smtp-ingress][component]") {
  Start("timeouts: {command: 1s, data_block: 1s}\n");
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.Reply() == "421 4.4.2 Timeout, closing the connection");
  CHECK(client.Reply() == "(closed)");
  SmtpClient other = Connect();
  other.Reply();
  REQUIRE(other.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  CHECK(other.Reply() == "421 4.4.2 Timeout, closing the connection");
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(IngressFixture, "Draining tells idle sessions 421 and lets a transaction finish",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient idle = Connect();
  idle.Reply();
  SmtpClient busy = Connect();
  busy.Reply();
  REQUIRE(busy.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  std::thread drain([&] { server->Drain(absl::Seconds(20)); });
  CHECK(idle.Reply() == "421 4.3.2 Service shutting down, try again");
  CHECK(idle.Reply() == "(closed)");
  CHECK(busy.EndMessage(kText) == kAccepted);
  CHECK(busy.Reply() == "421 4.3.2 Service shutting down, try again");
  drain.join();
  CHECK(CountEmails() == "1");
}

// A session after MAIL held up the whole grace period and was then cut without a word.
TEST_CASE_METHOD(IngressFixture, "At the end of the grace period all but data is told 421",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient half = Connect();
  half.Reply();
  half.Say("EHLO c");
  half.Say("MAIL FROM:<s@x.example>");
  half.Say("RCPT TO:<alice@y.example>");
  SmtpClient in_data = Connect();
  in_data.Reply();
  REQUIRE(in_data.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  std::thread drain([&] { server->Drain(absl::Seconds(4)); });
  CHECK(half.Reply() == "421 4.3.2 Service shutting down, try again");
  CHECK(half.Reply() == "(closed)");
  CHECK(in_data.Reply() == "(closed)");  // a reply here would be taken for the message's
  drain.join();
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(IngressFixture, "Behind a PROXY header the client's own address counts",
                 "[smtp-ingress][component]") {
  SECTION("from a source that is listed") {
    listener = "{listen: \"127.0.0.1:0\", proxy_protocol: true, proxy_sources: [\"127.0.0.0/8\"]}";
    Start();
    SmtpClient client = Connect();
    client.Send("PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n");
    CHECK(client.Reply() == "220 mx.y.example ESMTP Godwit");
    CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
    CHECK(verifier.envelope.client_ip() == std::string("\xc0\0\x02\x09", 4));
    CHECK(Contains(OnlyMessage(alice), "Received: from client.test ([192.0.2.9])"));
  }
  SECTION("from another one") {
    listener = "{listen: \"127.0.0.1:0\", proxy_protocol: true, proxy_sources: [\"192.0.2.0/24\"]}";
    Start();
    SmtpClient client = Connect();
    client.Send("PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n");
    CHECK(client.Reply() == "(closed)");
  }
  SECTION("on a listener without it the header is no command") {
    Start();
    SmtpClient client = Connect();
    client.Reply();
    CHECK(client.Say("PROXY TCP4 192.0.2.9 192.0.2.1 1234 25") ==
          "554 5.5.1 This is an SMTP server");
    CHECK(client.Reply() == "(closed)");
  }
}

// 2,000 clients that did so took all places of auth-verifier: everybody else's mail was deferred.
TEST_CASE_METHOD(IngressFixture, "Who waits within DATA takes no place at auth-verifier",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  client.Send("A: b\r\n\r\nthe first line\r\n");
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(verifier.begun == 0);
  CHECK(client.EndMessage("the last\r\n") == kAccepted);
  CHECK(verifier.begun == 1);
  CHECK(verifier.data == "A: b\r\n\r\nthe first line\r\nthe last\r\n");
}

// About a quarter of a MiB of body: it is held, and not staged.
std::string HeldText() {
  std::string text = "A: b\r\n\r\n";
  while (text.size() < 250 * 1024) text += std::string(998, 'x') + "\r\n";
  return text;
}

TEST_CASE_METHOD(IngressFixture, "Full memory defers messages with 452",
                 "[smtp-ingress][component]") {
  Start("limits: {memory: 4MiB}\n");
  std::vector<std::unique_ptr<SmtpClient>> clients;
  const std::string body = HeldText();
  std::string reply;
  for (int i = 0; i < 20 && reply.substr(0, 3) != "452"; ++i) {
    clients.push_back(std::make_unique<SmtpClient>(server->endpoints().at(0)));
    clients.back()->Reply();
    reply = clients.back()->BeginMessage("s@x.example", {"alice@y.example"});
    if (reply.substr(0, 3) != "354") break;
    clients.back()->Send(body);
    for (int wait = 0; wait < 500 && verifier.begun < i + 1; ++wait) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
  CHECK(reply == "452 4.3.1 Insufficient storage, try again later");
  SmtpClient internal(internal_endpoint());
  REQUIRE(internal.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  internal.Reply();
  CHECK(internal.SendMessage("", {"alice@y.example"}, kText, " XORIGIN=dsn") == kAccepted);
}

// The bound was looked at before DATA's 354 only: whoever had that could fill the memory.
TEST_CASE_METHOD(IngressFixture, "Memory that fills up while messages come defers some of them",
                 "[smtp-ingress][component]") {
  Start("limits: {memory: 4MiB}\n");
  const std::string text = HeldText();
  std::vector<std::unique_ptr<SmtpClient>> clients;
  for (int i = 0; i < 32; ++i) {  // twice what there is room for
    clients.push_back(std::make_unique<SmtpClient>(server->endpoints().at(0)));
    clients.back()->Reply();
    REQUIRE(clients.back()->BeginMessage("s@x.example", {"alice@y.example"}).substr(0, 3) == "354");
  }
  for (const auto& client : clients) client->Send(text);
  int accepted = 0;
  int deferred = 0;
  for (const auto& client : clients) {
    const std::string reply = client->EndMessage("the end\r\n");
    CAPTURE(reply);
    CHECK((reply == kAccepted || reply == "452 4.3.1 Insufficient storage, try again later"));
    ++(reply == kAccepted ? accepted : deferred);
    CHECK(client->Say("NOOP") == "250 2.0.0 OK");  // in step
  }
  CHECK(accepted >= 4);
  CHECK(deferred >= 8);
  CHECK(CountEmails() == std::to_string(accepted));
  CHECK(clients.front()->SendMessage("s@x.example", {"bob@y.example"}, kText) == kAccepted);
  CheckStore();
}

// One octet of Latin-1 in an id, or a NUL in a subject, and the database took the message never:
// 451 until the sender gave up.
TEST_CASE_METHOD(IngressFixture, "Octets that are not UTF-8 in a header are no obstacle",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  const std::string header =
      "Message-ID: <caf\xe9@x.example>\r\nReferences: <\xff@x.example>\r\n"
      "In-Reply-To: <\xc3@x.example>\r\nSubject: =?utf-8?Q?a=00=ff?= \xe9\r\n"
      "From: \xe9 <\xe9@x.example>\r\n";
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, header + "\r\n\xe9\r\n") ==
        kAccepted);
  CHECK(Contains(OnlyMessage(alice), header));  // as it came
  CheckStore();
}

// What the store can never take got 451 like a store that is not there.
TEST_CASE_METHOD(IngressFixture, "A message that the store can never take is refused for good",
                 "[smtp-ingress][component]") {
  Start();
  // With this field the header is longer than the store's bound.
  verifier.response.set_authentication_results("mx.y.example; " +
                                               std::string(store::kMaxHeaderSize, 'x'));
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) ==
        "554 5.6.0 The message can not be stored");
  CHECK(CountEmails() == "0");
}

// More copies than one delivery may have were accepted one by one at RCPT, and then 451 for ever.
TEST_CASE_METHOD(IngressFixture, "Recipients over what one delivery may have are told to wait",
                 "[smtp-ingress][component]") {
  store::Alias lists[] = {{"one@y.example", true, {}}, {"two@y.example", true, {}}};
  for (size_t i = 0; i < store::kMaxTargets + 200; ++i) {
    const std::string address = "m" + std::to_string(i) + "@y.example";
    AddAccount(address);
    lists[i % 2].members.push_back(address);
  }
  for (const store::Alias& list : lists) MustOk(store::AddAlias(*connection, list, absl::Now()));
  Start();
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Say("MAIL FROM:<s@x.example>");
  CHECK(client.Say("RCPT TO:<one@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("RCPT TO:<two@y.example>") == "452 4.5.3 Too many recipients");
  CHECK(client.Say("RCPT TO:<alice@y.example>") == "250 2.1.5 Recipient OK");
  CHECK(client.Say("DATA").substr(0, 3) == "354");
  CHECK(client.EndMessage(kText) == kAccepted);
  CHECK(CountEmails() == std::to_string(lists[0].members.size() + 1));
  CHECK(client.SendMessage("s@x.example", {"two@y.example"}, kText) == kAccepted);
}

}  // namespace
}  // namespace godwit::smtp_ingress

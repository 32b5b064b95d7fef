// Who gets in, by which mechanism, and what failing costs; against a real PostgreSQL.

#include <catch2/catch.hpp>
#include <fstream>

#include "absl/time/clock.h"
#include "libs/base/encoding.h"
#include "libs/base/random.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/credentials.h"
#include "services/submission/submission_fixture.h"

namespace godwit::submission {
namespace {

const std::string kFailed = "535 5.7.8 Authentication credentials invalid";
const std::string kIn = "235 2.7.0 Authentication succeeded";

// The same wrong one again would count once.
std::string Wrong(size_t number) { return "wrong" + std::to_string(number); }

std::string Encode(std::string_view text) { return base::Base64Encode(text); }

// The decoded text of a 334.
std::string Challenge(const std::string& reply) {
  REQUIRE(reply.substr(0, 4) == "334 ");
  return *base::Base64Decode(reply.substr(4));
}

// A client's side of SCRAM-SHA-256 (RFC 7677); the last reply.
std::string Scram(SmtpClient* client, const std::string& user, const std::string& password) {
  const std::string bare = "n=" + user + ",r=clientnonce";
  const std::string first = Challenge(client->Say("AUTH SCRAM-SHA-256 " + Encode("n,," + bare)));
  const size_t salt_at = first.find(",s=") + 3;
  const size_t iterations_at = first.find(",i=") + 3;
  const std::string nonce = first.substr(2, salt_at - 5);
  REQUIRE(nonce.substr(0, 11) == "clientnonce");
  const std::string salt = *base::Base64Decode(first.substr(salt_at, iterations_at - 3 - salt_at));
  const auto iterations = static_cast<uint32_t>(std::stoi(first.substr(iterations_at)));
  const std::string without_proof = "c=biws,r=" + nonce;
  const std::string signed_text = bare + "," + first + "," + without_proof;

  namespace scram = sasl::scram_internal;
  constexpr auto kHash = sasl::ScramHash::kSha256;
  // Hi(password, salt, iterations), RFC 5802 §2.2.
  std::string block = scram::Hmac(kHash, password, salt + std::string("\0\0\0\1", 4));
  std::string salted = block;
  for (uint32_t i = 1; i < iterations; ++i) {
    block = scram::Hmac(kHash, password, block);
    salted = scram::Xor(salted, block);
  }
  const std::string client_key = scram::Hmac(kHash, salted, "Client Key");
  const std::string signature = scram::Hmac(kHash, scram::Digest(kHash, client_key), signed_text);
  const std::string proof = Encode(scram::Xor(client_key, signature));
  const std::string reply = client->Say(Encode(without_proof + ",p=" + proof));
  if (reply.substr(0, 3) != "334") return reply;
  const std::string server_key = scram::Hmac(kHash, salted, "Server Key");
  CHECK(Challenge(reply) == "v=" + Encode(scram::Hmac(kHash, server_key, signed_text)));
  return client->Say("");
}

TEST_CASE_METHOD(SubmissionFixture, "Users log in by PLAIN, LOGIN and SCRAM-SHA-256",
                 "[submission][component]") {
  Start();
  CHECK(Connect()->Say("AUTH PLAIN " + PlainMessage("Alice@Y.example", "secret")) == kIn);
  auto plain = Connect();
  CHECK(plain->Say("AUTH PLAIN") == "334 ");
  CHECK(plain->Say(PlainMessage("alice@y.example", "secret")) == kIn);
  auto login = Connect();
  CHECK(Challenge(login->Say("AUTH LOGIN")) == "Username:");
  CHECK(Challenge(login->Say(Encode("alice@y.example"))) == "Password:");
  CHECK(login->Say(Encode("secret")) == kIn);
  auto initial = Connect();  // what many programs do
  CHECK(Challenge(initial->Say("AUTH LOGIN " + Encode("alice@y.example"))) == "Password:");
  CHECK(initial->Say(Encode("secret")) == kIn);
  CHECK(Scram(Connect().get(), "alice@y.example", "secret") == kIn);
}

TEST_CASE_METHOD(SubmissionFixture, "Who is not one of us looks like one with a wrong password",
                 "[submission][component]") {
  AddCredential(bob, "phone", "mailonly", store::kScopeImap);
  Start("login: {failure_delay: 10ms, failures: 100}\n");
  auto client = Connect();
  const auto plain = [&](const std::string& user, const std::string& password) {
    return client->Say("AUTH PLAIN " + PlainMessage(user, password));
  };
  CHECK(plain("alice@y.example", "wrong") == kFailed);
  CHECK(plain("nobody@y.example", "secret") == kFailed);
  CHECK(plain("bob@y.example", "mailonly") == kFailed);  // opens IMAP only
  CHECK(client->Say("AUTH PLAIN " +
                    Encode(std::string("bob@y.example\0alice@y.example\0secret", 36))) == kFailed);
  CHECK(Scram(client.get(), "alice@y.example", "wrong") == kFailed);
  CHECK(Scram(client.get(), "nobody@y.example", "secret") == kFailed);
  CHECK(client->Say("AUTH PLAIN " + Encode("nonsense")) == kFailed);
  CHECK(client->Say("MAIL FROM:<alice@y.example>") == "530 5.7.0 Authentication required");
}

TEST_CASE_METHOD(SubmissionFixture, "Only the right password learns that the account is disabled",
                 "[submission][component]") {
  MustOk(store::SetAccountDisabled(*connection, bob, true));
  Start();
  auto client = Connect();
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("bob@y.example", "wrong")) == kFailed);
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("bob@y.example", "secret")) ==
        "525 5.7.13 Account disabled");
}

TEST_CASE_METHOD(SubmissionFixture, "Failed logins are held back, and end the session",
                 "[submission][component]") {
  Start("login: {failure_delay: 300ms, failures: 2}\n");
  auto client = Connect();
  const absl::Time begin = absl::Now();
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("alice@y.example", "wrong")) == kFailed);
  CHECK(absl::Now() - begin >= absl::Milliseconds(290));
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("alice@y.example", "wrong")) ==
        "421 4.7.0 Too many failed logins");
  CHECK(client->Reply() == "(closed)");
}

TEST_CASE_METHOD(SubmissionFixture, "Failed logins of an address are counted over its sessions",
                 "[submission][component]") {
  Start("login: {failure_delay: 1ms, failed_logins: {per_minute: 3}}\n");
  for (size_t i = 0; i < 3; ++i) {
    CHECK(Connect()->Say("AUTH PLAIN " + PlainMessage("alice@y.example", Wrong(i))) == kFailed);
  }
  auto client = Connect();
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("alice@y.example", "secret")) ==
        "421 4.7.0 Too many failed logins, try again later");
  CHECK(client->Reply() == "(closed)");
}

// One program with an old password kept all of its network out.
TEST_CASE_METHOD(SubmissionFixture,
                 "Failed logins keep out neither who is known, nor by repetition",
                 "[submission][component]") {
  Start("login: {failure_delay: 1ms, failed_logins: {per_minute: 3}}\n");
  const std::string right = "AUTH PLAIN " + PlainMessage("alice@y.example", "secret");
  for (int i = 0; i < 6; ++i) {
    CHECK(Connect()->Say("AUTH PLAIN " + PlainMessage("bob@y.example", "old")) == kFailed);
  }
  CHECK(Connect()->Say(right).substr(0, 3) == "235");
  for (size_t i = 0; i < 3; ++i) {
    Connect()->Say("AUTH PLAIN " + PlainMessage("bob@y.example", Wrong(i)));
  }
  CHECK(Connect()->Say("AUTH PLAIN " + PlainMessage("bob@y.example", "secret")) ==
        "421 4.7.0 Too many failed logins, try again later");
  CHECK(Connect()->Say(right).substr(0, 3) == "235");
}

// The bound was looked at before the verdict and counted after it: each session had a try.
TEST_CASE_METHOD(SubmissionFixture, "Failed logins at the same moment are no more than one by one",
                 "[submission][component]") {
  Start("login: {failure_delay: 1ms, failed_logins: {per_minute: 3}}\n");
  std::vector<std::unique_ptr<SmtpClient>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(Connect());
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i]->Send("AUTH PLAIN " + PlainMessage("alice@y.example", Wrong(i)) + "\r\n");
  }
  int judged = 0;
  for (const auto& client : clients) {
    const std::string reply = client->Reply();
    CAPTURE(reply);
    CHECK((reply == kFailed || reply == "421 4.7.0 Too many failed logins, try again later"));
    if (reply == kFailed) ++judged;
  }
  CHECK(judged == 3);
}

// One host took all sessions, and kept each for two hours by NOOP every few minutes.
TEST_CASE_METHOD(SubmissionFixture, "Who does not log in has to go", "[submission][component]") {
  Start("login: {failure_delay: 1ms, timeout: 1s}\n");
  auto user = LogIn();
  auto idler = Connect();
  CHECK(idler->Say("NOOP") == "250 2.0.0 OK");
  CHECK(idler->Reply() == "421 4.4.2 Timeout, closing the connection");
  CHECK(idler->Reply() == "(closed)");
  CHECK(user->Say("NOOP") == "250 2.0.0 OK");
}

// Clients come through a load balancer, which says who they are: our own machine is exempt.
TEST_CASE_METHOD(SubmissionFixture, "One network has some of the sessions, not all",
                 "[submission][component]") {
  listeners = "[{listen: \"127.0.0.1:0\", proxy_protocol: true, proxy_sources: [\"127.0.0.1\"]}]";
  Start("clients: {connections: 2}\n");
  const auto connect = [this](const std::string& address) {
    auto client = std::make_unique<SmtpClient>(server->endpoints().at(0));
    client->Send("PROXY TCP4 " + address + " 192.0.2.1 1234 587\r\n");
    return client;
  };
  auto first = connect("192.0.2.9");
  CHECK(first->Reply().substr(0, 3) == "220");
  auto second = connect("192.0.2.9");
  CHECK(second->Reply().substr(0, 3) == "220");
  auto third = connect("192.0.2.9");
  CHECK(third->Reply() == "421 4.7.0 Too many connections, try again later");
  CHECK(third->Reply() == "(closed)");
  auto other = connect("198.51.100.1");
  CHECK(other->Reply().substr(0, 3) == "220");
  first->Say("QUIT");
  CHECK(first->Reply() == "(closed)");
  std::string greeting;
  for (int i = 0; i < 100 && greeting.substr(0, 3) != "220"; ++i) {  // until the first has gone
    absl::SleepFor(absl::Milliseconds(50));
    greeting = connect("192.0.2.9")->Reply();
  }
  CHECK(greeting.substr(0, 3) == "220");
}

TEST_CASE_METHOD(SubmissionFixture, "Without the database logging in fails for now",
                 "[submission][component]") {
  Start();
  auto client = Connect();
  testing::ScratchDatabase::StopCluster();
  CHECK(client->Say("AUTH PLAIN " + PlainMessage("alice@y.example", "secret")) ==
        "454 4.7.0 Temporary authentication failure");
  testing::ScratchDatabase::StartCluster();
  connection = database.Connect();
  std::string reply;
  for (int i = 0; i < 100 && reply != kIn; ++i) {
    reply = client->Say("AUTH PLAIN " + PlainMessage("alice@y.example", "secret"));
    if (reply != kIn) absl::SleepFor(absl::Milliseconds(100));
  }
  CHECK(reply == kIn);
}

TEST_CASE_METHOD(SubmissionFixture, "A login that ended takes its session with it",
                 "[submission][component]") {
  Start();
  SECTION("the account is disabled") {
    auto client = LogIn();
    CHECK(client->Say("MAIL FROM:<alice@y.example>") == "250 2.1.0 Sender OK");
    client->Say("RSET");
    MustOk(store::SetAccountDisabled(*connection, alice, true));
    CHECK(client->Say("MAIL FROM:<alice@y.example>") == "421 4.7.0 Log in again");
    CHECK(client->Reply() == "(closed)");
  }
  SECTION("the password is another one") {
    auto client = LogIn();
    AddCredential(alice, "password", "changed", store::kScopeAll);
    CHECK(client->Say("MAIL FROM:<alice@y.example>") == "421 4.7.0 Log in again");
  }
}

TEST_CASE_METHOD(SubmissionFixture, "Port 465 has TLS from the first octet",
                 "[submission][component]") {
  Start();
  SmtpClient client(server->endpoints().at(1));
  REQUIRE(client.StartTls(ClientTls(), "mail.y.example"));
  CHECK(client.Reply() == "220 mail.y.example ESMTP Godwit");
  const std::string offered = client.Say("EHLO client.test");
  CHECK(offered.find("STARTTLS") == std::string::npos);
  CHECK(offered.find("AUTH SCRAM-SHA-256 PLAIN LOGIN") != std::string::npos);
  CHECK(offered.find("FUTURERELEASE 5184000 20") != std::string::npos);
  CHECK(client.Say("AUTH PLAIN " + PlainMessage("alice@y.example", "secret")) == kIn);
}

TEST_CASE_METHOD(SubmissionFixture, "Without TLS nothing goes but STARTTLS, and there is no AUTH",
                 "[submission][component]") {
  Start();
  SmtpClient client(server->endpoints().at(0));
  client.Reply();
  CHECK(client.Say("EHLO client.test").find("AUTH") == std::string::npos);
  CHECK(client.Say("AUTH PLAIN " + PlainMessage("alice@y.example", "secret")) ==
        "538 5.7.11 Encryption required, use STARTTLS first");
  CHECK(client.Say("MAIL FROM:<alice@y.example>") ==
        "530 5.7.0 Must issue a STARTTLS command first");
}

// The migrations give a daemon what it needs and nothing else.
TEST_CASE_METHOD(SubmissionFixture, "Its role reads no mail, no signing key and no names",
                 "[submission][component]") {
  auto own = database.Connect("godwit_submission");
  for (const char* forbidden :
       {"SELECT private_key FROM dkim_keys", "SELECT data FROM blob_chunks",
        "SELECT name FROM accounts", "SELECT email_count FROM accounts", "SELECT * FROM emails",
        "SELECT * FROM queue_messages", "DELETE FROM credentials"}) {
    CAPTURE(forbidden);
    CHECK_FALSE(own->ExecuteScript(forbidden).ok());
  }
}

}  // namespace
}  // namespace godwit::submission

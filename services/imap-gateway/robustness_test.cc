// The daemon and what goes wrong: a store that fails for a while, clients that ask for too much,
// and those that want to know or to hold what is not theirs.

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/store/credentials.h"
#include "services/imap-gateway/gateway_fixture.h"

namespace godwit::imap_gateway {
namespace {

const std::string kMessage = "Subject: one\r\n\r\nHello.\r\n";

std::string Repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// The hint of a change came once, the query that it caused failed, and nothing asked again: IDLE
// stayed silent until the next mail.
TEST_CASE("IDLE tells what the store could not tell at once", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto reader = gateway.Client();
  auto writer = gateway.Client();
  reader->Ok("SELECT INBOX");
  reader->Play("C: i IDLE\nS: + idling\n");
  REQUIRE(gateway.connection()
              .ExecuteScript("REVOKE SELECT ON change_log FROM godwit_imap_gateway")
              .ok());
  CHECK(writer->Append("INBOX", "", kMessage).starts_with("OK"));
  for (int i = 0; i < 100; ++i) writer->Ok("STATUS INBOX (MESSAGES)");
  REQUIRE(
      gateway.connection().ExecuteScript("GRANT SELECT ON change_log TO godwit_imap_gateway").ok());
  reader->Play("S: * 1 EXISTS\nS: * 0 RECENT\nC: DONE\nS: i OK Idle completed\n");
}

// The body was forgotten before the delivery was tried: each refused one lay in the store for two
// hours.
TEST_CASE("A refused APPEND leaves no staged body", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  const std::string large = "Subject: x\r\n\r\n" + Repeat("a line of the body\r\n", 100'000);
  client->Send("a APPEND INBOX {" + std::to_string(large.size()) + "}\r\n");
  REQUIRE(client->Read().starts_with("+ "));
  // The room goes while the message comes.
  client->Send(large.substr(0, 1'000'000));
  REQUIRE(gateway.connection().ExecuteScript("UPDATE accounts SET quota_bytes = 1000").ok());
  client->Send(large.substr(1'000'000) + "\r\n");
  CHECK(client->Read() == "a NO [OVERQUOTA] Over quota");
  CHECK(gateway.database().Ask("SELECT count(*) FROM staged_blobs") == "0");
}

// Every key folded the field anew, on the thread that serves everybody: 900 keys over 20 messages
// held the others up for more than a second.
TEST_CASE("A search has a bounded number of texts", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "", kMessage);
  client->Ok("SELECT INBOX");
  CHECK(client->Run("SEARCH" + Repeat(" NOT SUBJECT x", 51)).back() ==
        "NO [LIMIT] Too many texts to look for");
  CHECK(client->Ok("SEARCH" + Repeat(" NOT SUBJECT x", 50)).front() == "* SEARCH 1");
  CHECK(client->Ok("SEARCH" + Repeat(" NOT TEXT x", 50)).front() == "* SEARCH 1");
  CHECK(client->Ok("SEARCH" + Repeat(" NOT SEEN", 900)).front() == "* SEARCH 1");
}

// A scan of the database's thread stops after some megabytes, and has to go on where it stopped.
TEST_CASE("A search through large messages finds all of them", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  const std::string body = "\r\n" + Repeat("a line of the body\r\n", 150'000);
  for (const char* end : {"needle\r\n", "needle\r\n", "nothing\r\n", "needle\r\n", "needle\r\n"}) {
    REQUIRE(client->Append("INBOX", "", kMessage + body + end).starts_with("OK"));
  }
  client->Ok("SELECT INBOX");
  CHECK(client->Ok("SEARCH BODY needle").front() == "* SEARCH 1 2 4 5");
}

TEST_CASE("LIST has a bounded number of patterns", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Run("LIST \"\" (a" + Repeat(" *", 10) + ")").back() ==
        "NO [LIMIT] Too many patterns");
  CHECK(client->Ok("LIST \"\" (a" + Repeat(" Sent", 9) + ")").size() == 2);
}

// Each command began the time anew, so that one octet a minute held a connection for ever.
TEST_CASE("Who does not log in has to go, however busy", "[imap-gateway][component]") {
  GatewayFixture gateway(
      [](Config* config) { config->mutable_timeouts()->mutable_before_login()->set_seconds(1); });
  ImapClient client(gateway.port());
  std::string response = client.Read();
  for (int i = 0; i < 1000 && !response.empty() && !response.starts_with("* BYE"); ++i) {
    client.Send("a NOOP\r\n");
    response = client.Read();
    absl::SleepFor(absl::Milliseconds(10));
  }
  CHECK(response == "* BYE Too slow to log in");
}

// 1.4 GB were read and thrown away before anybody had logged in.
TEST_CASE("A stranger's message is not swallowed", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Play(R"(
    S: * OK *?
    C: a APPEND INBOX {10}
    S: a BAD Log in first
    C: b APPEND INBOX {9000000000000000000+}
    S: * BYE Log in first
  )");
  CHECK(client.Read().empty());
}

// The database refused the text, which was told as our bug, without delay and uncounted.
TEST_CASE("A name that is no text fails as any other", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Read();
  for (int i = 0; i < 2; ++i) {
    client.Send("a LOGIN {15+}\r\nalice\xff@b.exampl secret\r\n");
    CHECK(client.Read() == "a NO [AUTHENTICATIONFAILED] Authentication failed");
  }
  client.Send("a LOGIN {15+}\r\nalice\xff@b.exampl secret\r\n");
  CHECK(client.Read() == "* BYE Too many failed logins");
}

TEST_CASE("Failed logins of a network are counted over its sessions", "[imap-gateway][component]") {
  GatewayFixture gateway([](Config* config) {
    auto* failed = config->mutable_login()->mutable_failed_logins();
    failed->set_per_minute(3);
    failed->mutable_networks()->set_ipv4_nearest(32);
    failed->mutable_networks()->set_wider_factor(3);
    failed->mutable_networks()->set_widest_factor(9);
  });
  for (int i = 0; i < 3; ++i) {
    ImapClient client(gateway.port());
    client.Read();
    client.Send("a LOGIN alice@b.example wrong" + std::to_string(i) + "\r\n");
    CHECK(client.Read() == "a NO [AUTHENTICATIONFAILED] Authentication failed");
  }
  ImapClient client(gateway.port());
  client.Read();
  client.Send("a LOGIN alice@b.example secret\r\n");
  CHECK(client.Read() == "* BYE Too many failed logins, try again later");
  CHECK(client.Read().empty());
  ImapClient other(gateway.port());
  other.Read();
  other.Send("a AUTHENTICATE PLAIN\r\n");
  CHECK(other.Read() == "+ ");
  other.Send("AGFsaWNlQGIuZXhhbXBsZQBzZWNyZXQ=\r\n");  // alice@b.example, secret
  CHECK(other.Read() == "* BYE Too many failed logins, try again later");
}

// The parser was broken for good, the session went on: whatever came was swallowed in silence.
TEST_CASE("A bare line feed within AUTHENTICATE ends the session", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Play("S: * OK *?\nC: a AUTHENTICATE PLAIN\nS: +*?\n");
  client.Send("abc\nfoo\r\n");
  CHECK(client.Read() == "* BYE Line does not end with CRLF, or has a control");
  CHECK(client.Read().empty());
}

// The selected mailbox was closed before the store was asked whether it may be deleted.
TEST_CASE("A DELETE that fails leaves the mailbox selected", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Ok("CREATE a/b");
  client->Ok("SELECT a");
  CHECK(client->Run("DELETE a").back() == "NO [HASCHILDREN] Mailbox has children");
  client->Ok("UID FETCH 1:* FLAGS");
}

std::string StatementsOfLookup(GatewayFixture* gateway, std::string_view address) {
  // What is prepared on a new connection is what was run.
  auto connection = gateway->database().Connect();
  REQUIRE(store::LookupLogin(*connection, address).ok());
  auto rows = connection->ExecuteScript(
      "SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements");
  REQUIRE(rows.ok());
  return std::string((*rows)[0].Text(0));
}

// An unknown user cost one query, a known one four: the time told who has an account.
TEST_CASE("Unknown users cost the database what known ones cost", "[imap-gateway][component]") {
  GatewayFixture gateway;
  const std::string known = StatementsOfLookup(&gateway, "alice@b.example");
  CHECK(known.find("credentials_verifiers") != std::string::npos);
  CHECK(StatementsOfLookup(&gateway, "nobody@b.example") == known);
  CHECK(StatementsOfLookup(&gateway, "no address") == known);
  CHECK(StatementsOfLookup(&gateway, "alice\xff@b.example") == known);
}

// RFC 9051 §9: CHAR8 has no NUL.
TEST_CASE("NUL neither comes in nor goes out", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Append("INBOX", "", kMessage + std::string("a\0b", 3)) ==
        "NO [CANNOT] A message has no NUL");
  CHECK(client->Append("INBOX", "", kMessage).starts_with("OK"));
  gateway.Deliver("alice@b.example", "Subject: x\r\n\r\n" + std::string("a\0b\r\n", 5), "");
  client->Ok("SELECT INBOX");
  CHECK(client->Ok("FETCH 2 BODY.PEEK[TEXT]").front() ==
        "* 2 FETCH (BODY[TEXT] {5}\r\na\x80"
        "b\r\n)");
  CHECK(client->Ok("FETCH 2 BINARY.PEEK[1]").front() ==
        "* 2 FETCH (BINARY[1] ~{5}\r\n" + std::string("a\0b\r\n)", 6));
}

// The whole mailbox was read into memory at once, and also when nothing had happened in it.
TEST_CASE("QRESYNC works without a change log", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 0; i < 3; ++i) client->Append("INBOX", "", kMessage);
  client->Ok("ENABLE QRESYNC");
  const std::string status = client->Ok("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)").front();
  const size_t at = status.find("UIDVALIDITY ") + 12;
  const std::string validity = status.substr(at, status.find(' ', at) - at);
  const size_t modseq_at = status.find("HIGHESTMODSEQ ") + 14;
  const std::string modseq = status.substr(modseq_at, status.find(')') - modseq_at);
  client->Ok("SELECT INBOX");
  client->Ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
  client->Ok("EXPUNGE");
  client->Ok("STORE 2 +FLAGS.SILENT (\\Flagged)");
  client->Ok("CLOSE");
  REQUIRE(gateway.connection()
              .ExecuteScript("DELETE FROM change_log; UPDATE accounts SET change_floor = modseq")
              .ok());
  const std::string select = "SELECT INBOX (QRESYNC (" + validity + " ";
  client->Play("C: q " + select + modseq +
               "))\nS: ...\nS: * VANISHED (EARLIER) 1\n"
               "S: * 2 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (*?))\nS: q OK *?\n");
}

// A saved result is packed while the session waits, as the map of UIDs is.
TEST_CASE("A saved result of many pieces is there later", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  std::string odd = "1";
  for (int i = 1; i <= 40; ++i) {
    REQUIRE(client->Append("INBOX", "", kMessage).starts_with("OK"));
    if (i % 2 == 1 && i > 1) odd += "," + std::to_string(i);
  }
  client->Ok("SELECT INBOX");
  client->Ok("SEARCH RETURN (SAVE) " + odd);
  client->Ok("NOOP");
  CHECK(client->Ok("SEARCH RETURN (COUNT) $").front().ends_with(" COUNT 20"));
  client->Ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
  client->Ok("EXPUNGE");
  CHECK(client->Ok("SEARCH RETURN (COUNT) $").front().ends_with(" COUNT 19"));
}

}  // namespace
}  // namespace godwit::imap_gateway

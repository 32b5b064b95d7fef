// The daemon and what is too much: quota, counts, names, and what is too large for one transaction.

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "libs/store/mailbox.h"
#include "services/imap-gateway/gateway_fixture.h"

namespace godwit::imap_gateway {
namespace {

const std::string kMessage = "Subject: one\r\n\r\nHello.\r\n";

void Run(GatewayFixture* gateway, const std::string& sql) {
  REQUIRE(gateway->connection().ExecuteScript(sql).ok());
}

// The message was read, verified and staged, and refused at its end.
TEST_CASE("APPEND is refused for its size before the message comes", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  Run(&gateway, "UPDATE accounts SET quota_bytes = 1000");
  client->Play("C: a APPEND INBOX {1001}\nS: a NO [OVERQUOTA] Over quota\n");
  // Without waiting: the octets come all the same, and are thrown away.
  client->Send("b APPEND INBOX {5000+}\r\n" + std::string(5000, 'x') + "\r\nc NOOP\r\n");
  CHECK(client->Read() == "b NO [OVERQUOTA] Over quota");
  CHECK(client->Read() == "c OK Done");
  CHECK(client->Append("INBOX", "", kMessage).starts_with("OK"));
  client->Play("C: d APPEND INBOX {980}\nS: d NO [OVERQUOTA] Over quota\n");

  client->Play("C: e APPEND INBOX {8388609}\nS: e NO [TOOBIG] Message is too large\n");
  client->Send("f APPEND INBOX {8388609+}\r\n" + std::string(8388609, 'x') + "\r\ng NOOP\r\n");
  CHECK(client->Read() == "f NO [TOOBIG] Message is too large");
  CHECK(client->Read() == "g OK Done");
  CHECK(gateway.database().Ask("SELECT count(*) FROM blob_chunks") == "2");
}

// It was told as OVERQUOTA: clients asked their users to delete mail.
TEST_CASE("Too many keywords are no matter of the quota", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Append("INBOX", "", kMessage).starts_with("OK"));
  std::string keywords = "k0";
  for (int i = 1; i <= 100; ++i) keywords += " k" + std::to_string(i);
  client->Play("C: a APPEND INBOX (" + keywords + ") {100}\nS: a NO [LIMIT] Too many keywords\n");
  Run(&gateway,
      "INSERT INTO keywords SELECT account_id, g, 'k' || g FROM accounts, "
      "generate_series(1, 1000) g; UPDATE accounts SET next_keyword = 1001");
  CHECK(client->Append("INBOX", "(k1 k1000)", kMessage).starts_with("OK"));
  CHECK(client->Append("INBOX", "(other)", kMessage) == "NO [LIMIT] Too many keywords");
  client->Ok("SELECT INBOX");
  CHECK(client->Run("STORE 1 +FLAGS (other)").back() == "NO [LIMIT] Too many keywords");
}

TEST_CASE("Subscriptions and mailboxes are bounded", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  Run(&gateway,
      "INSERT INTO subscriptions SELECT account_id, 'n' || g FROM accounts, "
      "generate_series(7, 10000) g");
  CHECK(client->Run("SUBSCRIBE one/more").back() == "NO [LIMIT] Too many subscriptions");
  client->Ok("UNSUBSCRIBE n7");
  client->Ok("SUBSCRIBE one/more");
  Run(&gateway,
      "INSERT INTO mailboxes (account_id, mailbox_id, parent_id, name, role, uidvalidity, "
      "highest_modseq, created_modseq, changed_modseq) SELECT account_id, g, 0, 'm' || g, '', g, "
      "1, "
      "1, 1 FROM accounts, generate_series(1000, 10993) g; UPDATE accounts SET next_id = 20000");
  CHECK(client->Run("CREATE another").back() == "NO [LIMIT] Too many mailboxes");
  CHECK(client->Run("RENAME m1000 another/one").back() == "NO [LIMIT] Too many mailboxes");
  client->Ok("RENAME m1000 another");
}

// libs/imap and libs/store had bounds of their own, and a name that the one took the other refused.
TEST_CASE("Names are as long and deep as the store says", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  std::string deep = "a";
  for (size_t i = 1; i < store::kMaxMailboxDepth; ++i) deep += "/a";
  client->Ok("CREATE " + deep);
  CHECK(client->Run("CREATE " + deep + "/a").back() ==
        "NO [CANNOT] Mailbox can not have this name");
  CHECK(client->Run("RENAME a b/c").back() == "NO [CANNOT] Mailbox can not get this name");
  client->Ok("CREATE " + std::string(store::kMaxMailboxName, 'x'));
  CHECK(client->Run("CREATE " + std::string(store::kMaxMailboxName + 1, 'x')).back() ==
        "NO [CANNOT] Mailbox can not have this name");
}

// Doubles the messages in INBOX, which is selected, so many times.
void Double(ImapClient* client, int doublings) {
  for (int i = 0; i < doublings; ++i) client->Ok("COPY 1:* INBOX");
  client->Ok("NOOP");
}

// The most entries that one change added (1) or took away (3).
std::string LargestChange(GatewayFixture* gateway, int kind) {
  return gateway->database().Ask(
      "SELECT max((SELECT sum(upper(r) - lower(r)) FROM unnest(uids) r)) FROM change_log "
      "WHERE kind = " +
      std::to_string(kind));
}

// Each was one statement: 100,000 messages held the account for four seconds, and whoever delivered
// meanwhile gave up after two.
TEST_CASE("What concerns many messages goes in pages", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Append("INBOX", "", kMessage).starts_with("OK"));
  client->Ok("SELECT INBOX");
  Double(client.get(), 11);  // 2,048
  const std::string total = "2048";
  client->Ok("CREATE box");

  SECTION("MOVE, and DELETE of a mailbox") {
    CHECK(client->Ok("MOVE 1:* box").front().ends_with(" 1:2048 1:2048] Moved"));
    client->Ok("DELETE box");
    CHECK(gateway.database().Ask("SELECT count(*) FROM emails") == "0");
    CHECK(gateway.database().Ask("SELECT count(*) FROM doomed_mailboxes") == "0");
  }
  SECTION("RENAME of INBOX") {
    client->Ok("RENAME INBOX old");
    CHECK(client->Ok("STATUS old (MESSAGES)").front() == "* STATUS old (MESSAGES " + total + ")");
  }
  SECTION("EXPUNGE") {
    client->Ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    CHECK(client->Ok("EXPUNGE").size() == 2049);
  }
  SECTION("CLOSE") {
    client->Ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    client->Ok("CLOSE");
  }
  CHECK(client->Ok("STATUS INBOX (MESSAGES)").front() == "* STATUS INBOX (MESSAGES 0)");
  CHECK(LargestChange(&gateway, 3) == "1000");
}

// RFC 9051 §6.4.7: after a failed COPY the mailbox is as before. What its first pages had copied
// stayed there.
TEST_CASE("A COPY of very many messages is done wholly or not at all",
          "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 0; i < 20; ++i) REQUIRE(client->Append("INBOX", "", kMessage).starts_with("OK"));
  client->Ok("SELECT INBOX");
  Double(client.get(), 9);  // 10,240
  CHECK(client->Ok("COPY 1:* Archive").back().ends_with("1:10240 1:10240] Copy completed"));
  CHECK(LargestChange(&gateway, 1) == "10000");

  // There is room for the first 10,000, which the mailbox has already, but not for all.
  Run(&gateway,
      "UPDATE accounts SET quota_bytes = used_bytes + 10100 * (used_bytes / email_count) "
      "WHERE email_count > 0");
  CHECK(client->Run("COPY 1:* Archive").back() == "NO [OVERQUOTA] Over quota");
  CHECK(client->Ok("STATUS Archive (MESSAGES)").front() == "* STATUS Archive (MESSAGES 10240)");
  CHECK(gateway.database().Ask("SELECT max(email_count) FROM accounts") == "10240");
}

// RFC 6851 §3.3: some may have been moved; the client has to be told which.
TEST_CASE("A MOVE that fails halfway tells what it moved", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 0; i < 20; ++i) REQUIRE(client->Append("INBOX", "", kMessage).starts_with("OK"));
  client->Ok("SELECT INBOX");
  Double(client.get(), 6);  // 1,280
  client->Ok("COPY 1:* Archive");
  // What Archive has already becomes a new email there, and there is room for 1,100.
  Run(&gateway,
      "UPDATE accounts SET quota_bytes = used_bytes + 1100 * (used_bytes / email_count) "
      "WHERE email_count > 0");
  const auto responses = client->Run("MOVE 1:* Archive");
  CHECK(responses.front().find(" 1:1000 1281:2280] Moved") != std::string::npos);
  CHECK(responses.back() == "NO [OVERQUOTA] Over quota");
  CHECK(client->Ok("STATUS INBOX (MESSAGES)").front() == "* STATUS INBOX (MESSAGES 280)");
  CHECK(client->Ok("STATUS Archive (MESSAGES)").front() == "* STATUS Archive (MESSAGES 2280)");
}

}  // namespace
}  // namespace godwit::imap_gateway

// How sessions are ended from outside: logins that are good no more, and a daemon that shuts down.

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "libs/base/encoding.h"
#include "libs/obs/metrics.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "services/imap-gateway/gateway_fixture.h"

namespace godwit::imap_gateway {
namespace {

const std::string kBye = "* BYE This login is not valid any more";

// Until only `count` sessions are open.
bool OnlyLeft(int count, absl::Duration patience) {
  obs::Gauge sessions("godwit_imap_gateway_sessions", "Open connections.");
  const absl::Time end = absl::Now() + patience;
  while (sessions.value() > count && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
  return sessions.value() <= count;
}

std::unique_ptr<ImapClient> Connect(GatewayFixture* gateway, std::string_view user,
                                    std::string_view password) {
  auto client = std::make_unique<ImapClient>(gateway->port());
  client->Login(user, password);
  return client;
}

// They lived on for up to a minute, and one in the middle of something as long as it liked.
TEST_CASE("Sessions of a disabled account end within two seconds", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto other = gateway.Client("bob@b.example");
  auto idler = gateway.Client();
  idler->Ok("SELECT INBOX");
  idler->Play("C: i IDLE\nS: + idling\n");
  auto waiter = gateway.Client();
  auto writer = gateway.Client();
  writer->Play("C: a APPEND INBOX {100000}\nS: + OK\n");
  writer->Send("Subject: half");
  auto reader = gateway.Client();
  const std::string large = "Subject: x\r\n\r\n" + std::string(7 << 20, 'x') + "\r\n";
  REQUIRE(reader->Append("INBOX", "", large).starts_with("OK"));
  reader->Ok("SELECT INBOX");
  for (int i = 0; i < 4; ++i) reader->Ok("COPY 1 INBOX");
  reader->Send("f FETCH 1:* BODY.PEEK[]\r\n");  // and takes nothing of it

  REQUIRE(store::SetAccountDisabled(gateway.connection(), gateway.account("alice@b.example"), true)
              .ok());
  CHECK(OnlyLeft(1, absl::Seconds(2)));
  CHECK(idler->Read().ends_with("EXISTS"));
  CHECK(waiter->Read() == kBye);
  CHECK(writer->Read() == kBye);
  other->Ok("NOOP");
  ImapClient again(gateway.port());
  again.Read();
  CHECK(again.Run("LOGIN alice@b.example secret").back().starts_with("NO "));
}

TEST_CASE("Sessions of a removed account end within two seconds", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto other = gateway.Client("bob@b.example");
  auto client = gateway.Client();
  client->Append("INBOX", "", "Subject: one\r\n\r\nHello.\r\n");
  REQUIRE(store::RemoveAccount(gateway.connection(), gateway.account("alice@b.example")).ok());
  CHECK(OnlyLeft(1, absl::Seconds(2)));
  CHECK(client->Read() == kBye);
  other->Ok("NOOP");
}

TEST_CASE("A new password ends the sessions of the old one, and no others",
          "[imap-gateway][component]") {
  GatewayFixture gateway;
  gateway.SetPassword("alice@b.example", "phone", "of-the-phone");
  auto phone = Connect(&gateway, "alice@b.example", "of-the-phone");
  auto client = gateway.Client();
  gateway.SetPassword("alice@b.example", "password", "new");
  CHECK(OnlyLeft(1, absl::Seconds(2)));
  CHECK(client->Read() == kBye);
  phone->Ok("NOOP");
  client = Connect(&gateway, "alice@b.example", "new");
  REQUIRE(store::RemoveCredential(gateway.connection(), gateway.account("alice@b.example"), "phone")
              .ok());
  CHECK(OnlyLeft(1, absl::Seconds(2)));
  client->Ok("NOOP");
}

// RFC 5802 §3: what a client answers to the server's first message.
std::string ClientFinal(const std::string& client_first_bare, const std::string& server_first,
                        const std::string& password) {
  using sasl::scram_internal::Digest;
  using sasl::scram_internal::Hmac;
  using sasl::scram_internal::Xor;
  constexpr auto kHash = sasl::ScramHash::kSha256;
  const size_t s = server_first.find(",s=") + 3;
  const size_t i = server_first.find(",i=");
  const std::string salt = *base::Base64Decode(server_first.substr(s, i - s));
  std::string u = Hmac(kHash, password, salt + std::string("\0\0\0\1", 4));
  std::string salted = u;
  for (int n = std::stoi(server_first.substr(i + 3)); n > 1; --n) {
    u = Hmac(kHash, password, u);
    salted = Xor(salted, u);
  }
  const std::string key = Hmac(kHash, salted, "Client Key");
  const std::string without_proof = "c=biws," + server_first.substr(0, server_first.find(','));
  const std::string message = client_first_bare + "," + server_first + "," + without_proof;
  const std::string proof = Xor(key, Hmac(kHash, Digest(kHash, key), message));
  return without_proof + ",p=" + base::Base64Encode(proof);
}

// AUTHENTICATE up to the client's last word; `before` happens in front of it.
std::string LogInSlowly(GatewayFixture* gateway, const std::function<void()>& before) {
  ImapClient client(gateway->port());
  client.Read();
  const std::string first = "n=alice@b.example,r=nonce";
  client.Send("a AUTHENTICATE SCRAM-SHA-256 " + base::Base64Encode("n,," + first) + "\r\n");
  const std::string server_first = *base::Base64Decode(client.Read().substr(2));
  before();
  client.Send(base::Base64Encode(ClientFinal(first, server_first, "secret")) + "\r\n");
  std::string answer = client.Read();
  if (answer.starts_with("+ ")) {
    client.Send("\r\n");
    answer = client.Read();
  }
  return answer.substr(0, answer.find(' ', 2));
}

// Who may log in was read when the exchange began; whoever was looked for before it ended was not
// there yet.
TEST_CASE("Who is shut out while he logs in does not get in", "[imap-gateway][component]") {
  GatewayFixture gateway;
  const auto log_in_while = [&](std::string_view address, bool disabled) {
    return LogInSlowly(&gateway, [&] {
      const store::AccountId account = gateway.account(address);
      REQUIRE(store::SetAccountDisabled(gateway.connection(), account, disabled).ok());
      absl::SleepFor(absl::Milliseconds(1500));  // the gateway has seen it
    });
  };
  CHECK(LogInSlowly(&gateway, [] {}) == "a OK");
  const std::string shut_out = log_in_while("alice@b.example", true);
  CHECK(shut_out == "a NO");
  const store::AccountId alice = gateway.account("alice@b.example");
  REQUIRE(store::SetAccountDisabled(gateway.connection(), alice, false).ok());
  const std::string of_no_concern = log_in_while("bob@b.example", true);
  CHECK(of_no_concern == "a OK");
}

// A client that had connected and said nothing held the end up for the whole grace.
TEST_CASE("A TLS handshake does not hold up the end", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient silent(gateway.tls_port());
  ImapClient upgrading(gateway.port());
  upgrading.Read();
  CHECK(upgrading.Ok("STARTTLS").back() == "OK Begin TLS negotiation now");
  const absl::Time begin = absl::Now();
  gateway.server()->Drain(absl::Seconds(20));
  CHECK(absl::Now() - begin < absl::Seconds(5));
  CHECK(silent.Read().empty());
  CHECK(upgrading.Read().empty());
}

}  // namespace
}  // namespace godwit::imap_gateway

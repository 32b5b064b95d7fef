#include "services/auth-verifier/message_signing.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/dkim/verify.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::auth_verifier {
namespace {

std::vector<dkim::SigningKey> Keys() {
  return {{"s1", dkim::PrivateKey::FromEd25519Seed(std::string(32, 'k')).value()}};
}

absl::StatusOr<std::string> Sign(const testing::Chunks& chunks, const testing::FakeClock& clock,
                                 SigningOptions options = {},
                                 const std::string& domain = "example.org") {
  MessageSigning signing(options, &clock, domain);
  for (const std::string_view chunk : chunks) signing.Feed(chunk);
  return signing.Finish(Keys());
}

absl::StatusCode CodeOf(std::string_view message, SigningOptions options = {}) {
  return Sign({message}, testing::FakeClock(), options).status().code();
}

TEST_CASE("The signature verifies, and is the same for every split", "[auth-verifier][unit]") {
  const std::string message =
      "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\n\r\nHello,\r\n\r\nBob.\r\n";
  const testing::FakeClock clock;
  testing::FakeZone zone;
  zone.Add("s1._domainkey.example.org TXT \"" + Keys()[0].key.PublicRecord() + "\"");
  testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const auto fields = Sign(chunks, clock, {.lifetime = absl::Hours(1)});
    REQUIRE(fields.ok());
    CHECK(fields->find("; t=1767225600; x=1767229200;") != std::string::npos);
    dkim::Verifier verifier({}, clock.Now());
    verifier.Feed(*fields + message);
    const auto results =
        testing::Evaluate(zone, [&](const auto& answers) { return verifier.Finish(answers); });
    REQUIRE(results.size() == 1);
    CHECK(results[0].reason == "");
    CHECK(results[0].code == dkim::ResultCode::kPass);
  });
}

TEST_CASE("Without a lifetime a signature does not expire", "[auth-verifier][unit]") {
  const auto fields = Sign({"From: ann@example.org\r\n\r\n"}, testing::FakeClock());
  REQUIRE(fields.ok());
  CHECK(fields->find(" x=") == std::string::npos);
}

TEST_CASE("Headers that are not to be signed", "[auth-verifier][unit]") {
  using Code = absl::StatusCode;
  CHECK(CodeOf("From: ann@example.org\r\n\r\n") == Code::kOk);
  CHECK(CodeOf("From: ann@example.org\r\n") == Code::kOk);
  CHECK(CodeOf("From: Bob <bob@other.example>, ann@EXAMPLE.org\r\n\r\n") == Code::kOk);
  CHECK(CodeOf("From: ann@example.org\r\n\r\nbody\nwith\rbare line ends") == Code::kOk);
  const std::string bad = GENERATE(
      as<std::string>(),  //
      "", "\r\n\r\n", "To: bob@example.net\r\n\r\nFrom: a@example.org",
      "From: ann@example.org\r\nFrom: ann@example.org\r\n\r\n", "From: ann@other.example\r\n\r\n",
      "From: ann\r\n\r\n", "From: ann@example.org.other.example\r\n\r\n", "From:\r\n\r\n",
      "From: \"ann@example.org\" <eve@other.example>\r\n\r\n",
      "From: ann@example.org\r\nSubject: a\nBcc: b\r\n\r\n",
      "From: ann@example.org\r\nSubject: a\rb\r\n\r\n", "From: ann@example.org\r\nno field\r\n\r\n",
      "From: ann@example.org\r\n: no name\r\n\r\n",
      "From ann@example.org Mon Jan 1\r\nFrom: ann@example.org\r\n\r\n");
  CAPTURE(bad);
  CHECK(CodeOf(bad) == Code::kInvalidArgument);
}

TEST_CASE("A header that is too large is not signed", "[auth-verifier][unit]") {
  const std::string message =
      "From: ann@example.org\r\nX: " + std::string(1000, 'x') + "\r\n\r\nbody";
  CHECK(CodeOf(message, {.header_bytes = 500}) == absl::StatusCode::kOutOfRange);
  CHECK(CodeOf(message, {.header_bytes = 2000}) == absl::StatusCode::kOk);
}

// The signature had expired before the message left.
TEST_CASE("The lifetime of a message that is held back begins with its release (RFC 4865)",
          "[auth-verifier][unit]") {
  const testing::FakeClock clock;
  const absl::Time leaves = clock.Now() + absl::Hours(48);
  MessageSigning signing({.lifetime = absl::Hours(24)}, &clock, "example.org", leaves);
  signing.Feed("From: ann@example.org\r\n\r\n");
  const std::string fields = signing.Finish(Keys()).value();
  CAPTURE(fields);
  CHECK(fields.find("t=" + std::to_string(absl::ToUnixSeconds(clock.Now()))) != fields.npos);
  CHECK(fields.find("x=" + std::to_string(absl::ToUnixSeconds(leaves + absl::Hours(24)))) !=
        fields.npos);
}

TEST_CASE("A NUL in the header is not signed", "[auth-verifier][unit]") {
  using namespace std::string_view_literals;
  CHECK(CodeOf("From: ann@example.org\r\nSubject: a\0b\r\n\r\n"sv) ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("The domain of an address", "[auth-verifier][unit]") {
  CHECK(AddressDomain("ann@Example.ORG").value() == "example.org");
  CHECK(AddressDomain("\"a@b\"@example.org").value() == "example.org");
  CHECK(AddressDomain("ann@bücher.example").value() == "xn--bcher-kva.example");
  for (const char* bad : {"", "ann", "@example.org", "ann@", "ann@a..b"}) {
    CAPTURE(bad);
    CHECK(AddressDomain(bad).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace godwit::auth_verifier

// The signed messages of RFC 6376 Appendix A and RFC 8463 Appendix A.

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/encoding.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"
#include "libs/dkim/verify.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::dkim {
namespace {

std::string Crlf(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') result.push_back('\r');
    result.push_back(c);
  }
  return result;
}

std::vector<SignatureResult> Verify(const testing::Chunks& chunks, const testing::FakeZone& zone) {
  Verifier verifier({}, absl::FromUnixSeconds(1'528'637'909));
  for (const std::string_view chunk : chunks) verifier.Feed(chunk);
  return testing::Evaluate(zone, [&](const auto& answers) { return verifier.Finish(answers); });
}

constexpr std::string_view kRfc6376 =
    R"(DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
)";

constexpr std::string_view kZone =
    R"(brisbane._domainkey.example.com TXT "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ" "KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v" "/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi" "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
brisbane._domainkey.football.example.com TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
test._domainkey.football.example.com TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b" "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKr" "M3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K" "4w3QIDAQAB"
)";

constexpr std::string_view kRfc8463 =
    R"(DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
)";

TEST_CASE("RFC 6376 A.3: the example verifies, for every split", "[dkim][unit]") {
  const testing::FakeZone zone(kZone);
  testing::ForEachSplit(Crlf(kRfc6376), [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const auto results = Verify(chunks, zone);
    REQUIRE(results.size() == 1);
    CAPTURE(results[0].reason);
    CHECK(results[0].code == ResultCode::kPass);
    CHECK(results[0].domain == "example.com");
    CHECK(results[0].identity == "joe@football.example.com");
    CHECK(results[0].key_bits == 1024);
    CHECK(results[0].b_prefix == "AuUoFEfD");
  });
}

TEST_CASE("RFC 8463 A.3: both signatures of the example verify", "[dkim][unit]") {
  const testing::FakeZone zone(kZone);
  const std::string message = Crlf(kRfc8463);
  const auto results = Verify({message}, zone);
  REQUIRE(results.size() == 2);
  CAPTURE(results[0].reason, results[1].reason);
  CHECK(results[0].code == ResultCode::kPass);
  CHECK(results[0].algorithm == "ed25519-sha256");
  CHECK(results[1].code == ResultCode::kPass);
  CHECK(results[1].algorithm == "rsa-sha256");
}

TEST_CASE("RFC 8463 A.2: the secret key has the published public key", "[dkim][unit]") {
  const auto seed = base::Base64Decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=");
  const auto key = PrivateKey::FromEd25519Seed(seed.value());
  REQUIRE(key.ok());
  CHECK(key->PublicRecord() ==
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

TEST_CASE("Each changed octet of the RFC 8463 example fails or is not of the signature",
          "[dkim][unit]") {
  const testing::FakeZone zone(kZone);
  const std::string message = Crlf(kRfc8463);
  // From the From field to the end everything is signed; white space may vary, so letters only.
  for (size_t i = message.find("From: Joe"); i < message.size(); ++i) {
    const char c = message[i];
    if (c < 'a' || c > 'z') continue;
    std::string changed = message;
    changed[i] = c == 'q' ? 'x' : 'q';
    CAPTURE(i, changed.substr(i > 10 ? i - 10 : 0, 20));
    for (const SignatureResult& result : Verify({changed}, zone)) {
      CHECK(result.code != ResultCode::kPass);
    }
  }
}

}  // namespace
}  // namespace godwit::dkim

#include "services/auth-verifier/message_sealing.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/arc/chain.h"
#include "libs/dkim/keys.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::auth_verifier {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
constexpr std::string_view kMessage =
    "From: ann@example.org\r\nTo: list@a.example\r\nSubject: Hello\r\n\r\nHi all.\r\n";
constexpr std::string_view kResults = "mx.a.example;\r\n\tspf=pass smtp.mailfrom=ann@example.org";

const dkim::SigningKey& Key() {
  static const dkim::SigningKey key{"s1", dkim::PrivateKey::Generate(dkim::KeyType::kRsa).value()};
  return key;
}

arc::Result Verify(std::string_view text) {
  testing::FakeZone zone;
  base::DnsAnswer published;
  published.outcome = base::DnsOutcome::kOk;
  published.texts = {Key().key.PublicRecord()};
  zone.Override({"s1._domainkey.a.example", base::DnsType::kTxt}, published);
  arc::ChainChecker chain({}, kNow);
  dkim::MessageStream message(64 * 1024, [&](const auto& h, auto& b) { chain.OnHeader(h, b); });
  message.Feed(text);
  message.End();
  return testing::Evaluate(zone,
                           [&](const auto& answers) { return chain.Evaluate(message, answers); });
}

SealFacts Facts(const arc::Result& result) {
  return {.domain = "a.example",
          .authserv_id = "mx.a.example",
          .authentication_results = std::string(kResults),
          .arc = result.code,
          .arc_instances = result.instances};
}

absl::StatusOr<Sealed> Seal(const testing::Chunks& chunks, SealFacts facts,
                            size_t header_bytes = 64 * 1024) {
  MessageSealing sealing(std::move(facts), Key(), header_bytes, kNow);
  for (const std::string_view chunk : chunks) sealing.Feed(chunk);
  return sealing.Finish();
}

std::string SealedText(const std::string& text) {
  return Seal({text}, Facts(Verify(text))).value().header_fields + text;
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("RFC 8617 §5.1: three hops are sealed and the chain passes", "[auth-verifier][unit]") {
  std::string text(kMessage);
  for (int hop = 1; hop <= 3; ++hop) {
    text = SealedText(text);
    const arc::Result result = Verify(text);
    CAPTURE(hop, result.reason);
    CHECK(result.code == arc::ResultCode::kPass);
    CHECK(result.instances == hop);
    CHECK(result.newest_results == kResults);
  }
  CHECK(text.starts_with("ARC-Seal: i=3; a=rsa-sha256; t=1790000000; cv=pass;"));
}

TEST_CASE("RFC 8617 §5.1: the set is the same for every split", "[auth-verifier][unit]") {
  const std::string text = SealedText(std::string(kMessage));
  const SealFacts facts = Facts(Verify(text));
  const std::string whole = Seal({text}, facts).value().header_fields;
  testing::ForEachSplit(text, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(Seal(chunks, facts).value().header_fields == whole);
  });
}

TEST_CASE("RFC 8617 §5.1.2: a chain that failed gets one seal with cv=fail, and then none",
          "[auth-verifier][unit]") {
  std::string text = Replaced(SealedText(std::string(kMessage)), "Hi all", "Hi you");
  REQUIRE(Verify(text).code == arc::ResultCode::kFail);
  text = SealedText(text);
  CHECK(text.starts_with("ARC-Seal: i=2; a=rsa-sha256; t=1790000000; cv=fail;"));
  const Sealed again = Seal({text}, Facts(Verify(text))).value();
  CHECK(again.header_fields.empty());
  CHECK(again.not_sealed == "the chain ended with cv=fail");
}

TEST_CASE("RFC 8617 §5.1: what can't be verified now is not sealed", "[auth-verifier][unit]") {
  const std::string text = SealedText(std::string(kMessage));
  SealFacts facts = Facts(Verify(text));
  facts.arc = arc::ResultCode::kTempError;
  CHECK(Seal({text}, facts).value().not_sealed == "the chain can't be verified now");
}

TEST_CASE("RFC 8617 §4.2.1: a chain has at most 50 sets", "[auth-verifier][unit]") {
  // That it passes is the caller's word; the structure is what counts here.
  std::string text(kMessage);
  const std::string one = SealedText(text);
  const std::string set = one.substr(0, one.size() - text.size());
  for (int i = 1; i <= 50; ++i) {
    std::string numbered = set;
    for (size_t at = numbered.find("i=1;"); at != numbered.npos; at = numbered.find("i=1;", at)) {
      numbered.replace(at, 4, "i=" + std::to_string(i) + ";");
      at += 4;
    }
    if (i > 1) numbered = Replaced(numbered, "cv=none", "cv=pass");
    text = numbered + text;
  }
  SealFacts facts = Facts({});
  facts.arc = arc::ResultCode::kPass;
  facts.arc_instances = 50;
  CHECK(Seal({text}, facts).value().not_sealed == "the chain has 50 sets");
}

TEST_CASE("RFC 8617 §5.1: another message than the verified one is not sealed",
          "[auth-verifier][unit]") {
  const std::string text = SealedText(std::string(kMessage));
  const auto code = [](std::string_view message, arc::ResultCode arc, int instances) {
    SealFacts facts = Facts({});
    facts.arc = arc;
    facts.arc_instances = instances;
    return Seal({message}, facts).status().code();
  };
  using Arc = arc::ResultCode;
  CHECK(code(text, Arc::kPass, 1) == absl::StatusCode::kOk);
  CHECK(code(text, Arc::kPass, 2) == absl::StatusCode::kInvalidArgument);
  CHECK(code(text, Arc::kNone, 0) == absl::StatusCode::kInvalidArgument);
  CHECK(code(text, Arc::kNone, 1) == absl::StatusCode::kInvalidArgument);
  CHECK(code(kMessage, Arc::kPass, 0) == absl::StatusCode::kInvalidArgument);
  CHECK(code(kMessage, Arc::kPass, 1) == absl::StatusCode::kInvalidArgument);
  CHECK(code(Replaced(text, "cv=none", "cv=pass"), Arc::kPass, 1) ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("A header that can be read in two ways is not sealed", "[auth-verifier][unit]") {
  const SealFacts facts = Facts({});
  const auto code = [&](std::string_view message, size_t limit = 64 * 1024) {
    return Seal({message}, facts, limit).status().code();
  };
  CHECK(code("From: a@b.example\r\n\r\n") == absl::StatusCode::kOk);
  CHECK(code("From: a@b.example\nX: y\r\n\r\n") == absl::StatusCode::kInvalidArgument);
  CHECK(code("From: a@b.example\r\n\r\n", 4) == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("RFC 8617 §4.1.1: the results are one field value in the name of authserv-id",
          "[auth-verifier][unit]") {
  const auto code = [](std::string id, std::string results) {
    return CheckFacts({.domain = "a.example",
                       .authserv_id = std::move(id),
                       .authentication_results = std::move(results)})
        .code();
  };
  using Code = absl::StatusCode;
  CHECK(code("mx.a.example", std::string(kResults)) == Code::kOk);
  CHECK(code("mx.a.example", "") == Code::kOk);
  CHECK(code("MX.A.example", "mx.a.example; none") == Code::kOk);
  CHECK(code("", "") == Code::kInvalidArgument);
  CHECK(code("mx\r\nX: y", "") == Code::kInvalidArgument);
  CHECK(code("mx.b.example", std::string(kResults)) == Code::kInvalidArgument);
  CHECK(code("mx.a.example", "mx.a.example; none\r\n") == Code::kInvalidArgument);
  CHECK(code("mx.a.example", "mx.a.example; none\r\nX: y") == Code::kInvalidArgument);
  CHECK(code("mx.a.example", "mx.a.example; none\n\ty") == Code::kInvalidArgument);
}

TEST_CASE("RFC 8617 §4.1.3: the newest RSA key seals", "[auth-verifier][unit]") {
  const dkim::PrivateKey ed = dkim::PrivateKey::FromEd25519Seed(std::string(32, 'k')).value();
  CHECK(SealingKey({{"ed", ed}}).status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(SealingKey({}).status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(SealingKey({{"old", Key().key}, {"new", Key().key}, {"ed", ed}})->selector == "new");
}

}  // namespace
}  // namespace godwit::auth_verifier

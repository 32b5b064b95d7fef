#include "libs/arc/chain.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/arc/seal.h"
#include "libs/dkim/keys.h"
#include "libs/testing/fake_zone.h"
#include "libs/testing/split.h"

namespace godwit::arc {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr std::string_view kMessage =
    "From: ann@example.org\r\nTo: list@lists.example\r\nSubject: Hello\r\n\r\nHi all.\r\n";

dkim::PrivateKey Key(char c) {
  return dkim::PrivateKey::FromEd25519Seed(std::string(32, c)).value();
}

testing::FakeZone Zone() {
  testing::FakeZone zone;
  for (const char c : {'a', 'b', 'c'}) {
    zone.Add(std::string("s._domainkey.") + c + ".example TXT \"" + Key(c).PublicRecord() + "\"");
  }
  return zone;
}

Result Validate(const testing::Chunks& chunks, const testing::FakeZone& zone) {
  ChainChecker chain({}, kNow);
  dkim::MessageStream message(
      64 * 1024, [&](const auto& header, auto& body) { chain.OnHeader(header, body); });
  for (const std::string_view chunk : chunks) message.Feed(chunk);
  message.End();
  return testing::Evaluate(zone,
                           [&](const auto& answers) { return chain.Evaluate(message, answers); });
}

absl::StatusOr<std::string> TrySeal(char domain, const std::string& text,
                                    const testing::FakeZone& zone) {
  ChainChecker chain({}, kNow);
  SealOptions options{
      .domain = std::string(1, domain) + ".example", .selector = "s", .key = Key(domain)};
  options.timestamp = kNow;
  Sealer sealer(options);
  dkim::MessageStream message(64 * 1024, [&](const auto& header, auto& body) {
    chain.OnHeader(header, body);
    sealer.OnHeader(header, body);
  });
  message.Feed(text);
  message.End();
  const Result result = testing::Evaluate(
      zone, [&](const auto& answers) { return chain.Evaluate(message, answers); });
  return sealer.Seal(message, chain, result,
                     std::string(1, domain) + ".example;\r\n\tspf=pass smtp.mailfrom=x.example");
}

std::string Sealed(char domain, const std::string& text) {
  return TrySeal(domain, text, Zone()).value() + text;
}

std::string Three() { return Sealed('c', Sealed('b', Sealed('a', std::string(kMessage)))); }

std::string Replace(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("RFC 8617 §5.2: a chain of three passes, for every split", "[arc][unit]") {
  const std::string text = Three();
  testing::ForEachSplit(text, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const Result result = Validate(chunks, Zone());
    CHECK(result.reason.empty());
    CHECK(result.code == ResultCode::kPass);
    CHECK(result.instances == 3);
    CHECK(result.oldest_pass == 0);
    CHECK(result.sealers == std::vector<std::string>{"a.example", "b.example", "c.example"});
    CHECK(result.newest_results == "c.example;\r\n\tspf=pass smtp.mailfrom=x.example");
  });
}

TEST_CASE("RFC 8617 §5.2: no chain is none", "[arc][unit]") {
  CHECK(Validate({kMessage}, Zone()).code == ResultCode::kNone);
}

TEST_CASE("RFC 8617 §5.2 step 5: oldest-pass where a sealer changed the body", "[arc][unit]") {
  // b verifies what it received, changes it, and seals what it sends.
  const std::string received = Sealed('a', std::string(kMessage));
  const std::string changed = Replace(received, "Hi all.", "Hi all.\r\nThe list");
  ChainChecker before({}, kNow);
  dkim::MessageStream first(64 * 1024, [&](const auto& h, auto& b) { before.OnHeader(h, b); });
  first.Feed(received);
  first.End();
  const Result verdict = testing::Evaluate(
      Zone(), [&](const auto& answers) { return before.Evaluate(first, answers); });
  REQUIRE(verdict.code == ResultCode::kPass);
  Sealer sealer({.domain = "b.example", .selector = "s", .key = Key('b')});
  dkim::MessageStream second(64 * 1024, [&](const auto& h, auto& b) { sealer.OnHeader(h, b); });
  second.Feed(changed);
  second.End();
  ChainChecker same({}, kNow);
  dkim::BodyHashes unused;
  same.OnHeader(second.header(), unused);
  const std::string text = sealer.Seal(second, same, verdict, "b.example; none").value() + changed;
  const Result result = Validate({text}, Zone());
  CAPTURE(result.reason);
  CHECK(result.code == ResultCode::kPass);
  CHECK(result.oldest_pass == 2);
}

TEST_CASE("RFC 8617 §5.2: what breaks a chain", "[arc][unit]") {
  struct Row {
    std::string from;
    std::string to;
    std::string reason;
  };
  const Row row = GENERATE(values<Row>({
      {"Hi all", "Hi you", "ARC-Message-Signature of instance 3: body hash did not verify"},
      {"Subject: Hello", "Subject: Hallo",
       "ARC-Message-Signature of instance 3: signature did not verify"},
      {"i=3; c.example", "i=3; d.example", "ARC-Seal of instance 3: signature did not verify"},
      {"i=1; a.example", "i=1; b.example", "ARC-Seal of instance 3: signature did not verify"},
      {"cv=pass", "cv=none", "wrong cv= of instance 3"},
      {"cv=none", "cv=pass", "wrong cv= of instance 1"},
      {"cv=pass", "cv=fail", "the chain was broken before"},
      {"cv=pass", "cv=maybe", "bad ARC-Seal: bad value of cv="},
      {"ARC-Seal: i=3", "ARC-Seal: i=4", "a field is missing of instance 3"},
      {"ARC-Seal: i=3", "ARC-Seal: i=0", "bad ARC-Seal: bad value of i="},
      {"ARC-Seal: i=3", "ARC-Seal: i=51", "bad ARC-Seal: bad value of i="},
      {"ARC-Seal: i=3", "ARC-Seal: i=2", "a second ARC-Seal of one instance"},
      {"ARC-Seal: i=3", "X: i=3", "a field is missing of instance 3"},
      {"ARC-Seal: i=3;", "ARC-Seal: i=3; h=From;", "bad ARC-Seal: h= in a seal"},
      {"ARC-Seal: i=3; a=ed25519-sha256", "ARC-Seal: i=3; a=rsa-sha1",
       "algorithm not acceptable of instance 3"},
      {"ARC-Authentication-Results: i=2", "ARC-Authentication-Results: j=2",
       "bad ARC-Authentication-Results"},
      {"h=From:", "h=ARC-Seal:From:", "ARC-Seal signed of instance 3"},
  }));
  CAPTURE(row.from, row.to);
  const Result result = Validate({Replace(Three(), row.from, row.to)}, Zone());
  CHECK(result.code == ResultCode::kFail);
  CHECK(result.reason == row.reason);
}

TEST_CASE("RFC 8617 §5.2: keys that are missing or late", "[arc][unit]") {
  testing::FakeZone zone = Zone();
  zone.Remove("s._domainkey.b.example");
  CHECK(Validate({Three()}, zone).code == ResultCode::kFail);
  zone.Add("s._domainkey.b.example TEMPFAIL");
  const Result late = Validate({Three()}, zone);
  CHECK(late.code == ResultCode::kTempError);
  CHECK(ResultName(late.code) == "fail");
}

// Once the instance was counted up to the first field that was wrong: a seal of the second could
// come out with a number that another set had.
TEST_CASE("RFC 8617 §5.1.2: a malformed chain is sealed above its highest instance",
          "[arc][unit]") {
  const std::string damaged = Replace(Three(), "cv=pass", "cv=maybe");
  const auto fields = TrySeal('a', "ARC-Seal: i=1; nonsense\r\n" + damaged, Zone());
  REQUIRE(fields.ok());
  CHECK(fields->starts_with("ARC-Seal: i=4;"));
  CHECK(fields->find("cv=fail") != fields->npos);
}

TEST_CASE("RFC 8617 §5.1.2: a broken chain is sealed once with cv=fail", "[arc][unit]") {
  const std::string broken = Replace(Three(), "Hi all", "Hi you");
  const auto fields = TrySeal('a', broken, Zone());
  REQUIRE(fields.ok());
  CHECK(fields->find("cv=fail") != fields->npos);
  CHECK(Validate({*fields + broken}, Zone()).reason == "the chain was broken before");
  CHECK_FALSE(TrySeal('b', *fields + broken, Zone()).ok());
}

}  // namespace
}  // namespace godwit::arc

#include <openssl/sha.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "libs/base/encoding.h"
#include "libs/dane/tlsa.h"
#include "libs/dane/verify.h"
#include "libs/testing/certificates.h"

namespace godwit::dane {
namespace {

// The certificates of a PEM text as DER.
std::vector<std::string> FromPem(const std::string& pem) {
  const std::string kBegin = "-----BEGIN CERTIFICATE-----";
  const std::string kEnd = "-----END CERTIFICATE-----";
  std::vector<std::string> chain;
  for (size_t at = pem.find(kBegin); at != std::string::npos; at = pem.find(kBegin, at)) {
    at += kBegin.size();
    std::string text = pem.substr(at, pem.find(kEnd, at) - at);
    std::erase(text, '\n');
    chain.push_back(base::Base64Decode(text).value());
  }
  return chain;
}

std::string Hash(const std::string& bytes, uint8_t matching) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  uint8_t out[SHA512_DIGEST_LENGTH];
  if (matching == kFull) return bytes;
  if (matching == kSha256) {
    SHA256(data, bytes.size(), out);
    return std::string(reinterpret_cast<char*>(out), SHA256_DIGEST_LENGTH);
  }
  SHA512(data, bytes.size(), out);
  return std::string(reinterpret_cast<char*>(out), SHA512_DIGEST_LENGTH);
}

base::DnsTlsa Record(uint8_t usage, uint8_t selector, uint8_t matching,
                     const std::string& certificate) {
  const std::string chosen =
      selector == kCert ? certificate : std::string(PublicKeyInfo(certificate));
  return {usage, selector, matching, Hash(chosen, matching)};
}

struct World {
  testing::CertificateAuthority authority{testing::MakeScratchFolder()};
  testing::CertificateAuthority stranger{testing::MakeScratchFolder(), "stranger"};
  std::vector<std::string> chain =
      FromPem(authority.Issue({.names = {"mx.example.org", "*.wild.example"}}).chain_pem);
  std::vector<std::string> expired = FromPem(
      authority.Issue({.names = {"mx.example.org"}, .lifetime = -absl::Hours(1)}).chain_pem);
  std::vector<std::string> other = FromPem(stranger.Issue({.names = {"mx.example.org"}}).chain_pem);
};

World& TheWorld() {
  static World world;
  return world;
}

VerdictCode Try(const std::vector<base::DnsTlsa>& records, const std::vector<std::string>& chain,
                const std::vector<std::string>& names = {"mx.example.org"}) {
  return Verify({records, names}, chain, absl::Now()).code;
}

TEST_CASE("Every selector and matching type fits its own certificate and no other",
          "[dane][unit]") {
  const auto usage = GENERATE(kDaneEe, kDaneTa);
  const auto selector = GENERATE(kCert, kSpki);
  const auto matching = GENERATE(kFull, kSha256, kSha512);
  CAPTURE(int{usage}, int{selector}, int{matching});
  World& world = TheWorld();
  REQUIRE(world.chain.size() == 2);
  const std::string& fitting = usage == kDaneEe ? world.chain[0] : world.chain[1];
  const auto record = Record(usage, selector, matching, fitting);
  CHECK(IsUsable(record));
  CHECK(Matches(record, fitting));
  CHECK(Try({record}, world.chain) == VerdictCode::kMatched);
  CHECK(Verify({{record}, {"mx.example.org"}}, world.chain, absl::Now()).record ==
        ToString(record));
  CHECK(Try({record}, world.other) == VerdictCode::kNoMatch);
  // One that fits among others that do not.
  CHECK(Try({Record(kDaneEe, kCert, kSha256, world.other[0]), record}, world.chain) ==
        VerdictCode::kMatched);
}

TEST_CASE("Usage 3 asks for neither names nor dates", "[dane][unit]") {
  World& world = TheWorld();
  const auto record = Record(kDaneEe, kSpki, kSha256, world.expired[0]);
  CHECK(Try({record}, world.expired, {"other.example"}) == VerdictCode::kMatched);
  CHECK(Try({record}, {world.expired[0]}, {}) == VerdictCode::kMatched);
  // The record is for the first certificate only.
  CHECK(Try({record}, {world.chain[0], world.expired[0]}) == VerdictCode::kNoMatch);
}

TEST_CASE("Usage 2 asks for the names, the dates and the whole chain", "[dane][unit]") {
  World& world = TheWorld();
  const auto record = Record(kDaneTa, kSpki, kSha256, world.chain[1]);
  CHECK(Try({record}, world.chain, {"other.example", "MX.example.org"}) == VerdictCode::kMatched);
  CHECK(Try({record}, world.chain, {"a.wild.example"}) == VerdictCode::kMatched);
  CHECK(Try({record}, world.chain, {"a.b.wild.example"}) == VerdictCode::kHostMismatch);
  CHECK(Try({record}, world.chain, {"other.example"}) == VerdictCode::kHostMismatch);
  CHECK(Try({record}, world.expired) == VerdictCode::kExpired);
  // RFC 7672 §3.1.2: the server must show its authority; a digest of it is nothing by itself.
  CHECK(Try({record}, {world.chain[0]}) == VerdictCode::kNoMatch);
  // An authority put beside a certificate that it did not sign.
  CHECK(Try({record}, {world.other[0], world.chain[1]}) == VerdictCode::kUntrusted);
  // A usage 2 record does not speak of the first certificate, be it what it may.
  CHECK(Try({Record(kDaneTa, kCert, kSha256, world.chain[0])}, world.chain) ==
        VerdictCode::kNoMatch);
  CHECK(Try({Record(kDaneTa, kCert, kFull, world.chain[0])}, {world.chain[0]}) ==
        VerdictCode::kNoMatch);
}

TEST_CASE("An authority that stands whole in the record need not be shown", "[dane][unit]") {
  World& world = TheWorld();
  const auto record = Record(kDaneTa, kCert, kFull, world.chain[1]);
  CHECK(Try({record}, {world.chain[0]}) == VerdictCode::kMatched);
  CHECK(Try({record}, {world.chain[0]}, {"other.example"}) == VerdictCode::kHostMismatch);
  CHECK(Try({record}, {world.other[0]}) == VerdictCode::kNoMatch);
}

TEST_CASE("Records that SMTP can not use are no records", "[dane][unit]") {
  const std::string digest(32, 'x');
  const auto record = GENERATE_COPY(values<base::DnsTlsa>({
      {0, 1, 1, digest},
      {1, 1, 1, digest},
      {4, 1, 1, digest},
      {255, 1, 1, digest},
      {3, 2, 1, digest},
      {3, 1, 3, digest},
      {3, 1, 1, digest + "x"},
      {3, 1, 1, ""},
      {3, 1, 2, digest},
      {3, 0, 0, digest},
      {3, 1, 0, digest},
      {2, 0, 0, ""},
  }));
  CAPTURE(ToString(record));
  CHECK(!IsUsable(record));
  CHECK(Try({record}, TheWorld().chain) == VerdictCode::kNoUsableRecord);
}

TEST_CASE("Of two digests only the stronger counts", "[dane][unit]") {
  // RFC 7671 §9: else one who breaks the weaker digest chooses it.
  World& world = TheWorld();
  const auto weak = Record(kDaneEe, kSpki, kSha256, world.chain[0]);
  const auto strong_other = Record(kDaneEe, kSpki, kSha512, world.other[0]);
  CHECK(Try({weak, strong_other}, world.chain) == VerdictCode::kNoMatch);
  // Another selector, or the octets themselves, are not touched.
  CHECK(Try({Record(kDaneEe, kCert, kSha256, world.chain[0]), strong_other}, world.chain) ==
        VerdictCode::kMatched);
  CHECK(Try({Record(kDaneEe, kSpki, kFull, world.chain[0]), strong_other}, world.chain) ==
        VerdictCode::kMatched);
  CHECK(Usable({weak, strong_other, {0, 0, 1, ""}}) == std::vector<base::DnsTlsa>{strong_other});
}

TEST_CASE("Damaged certificates are no reason to fall over", "[dane][unit]") {
  World& world = TheWorld();
  const auto record = Record(kDaneEe, kSpki, kSha256, world.chain[0]);
  CHECK(Try({record}, {}) == VerdictCode::kBadCertificate);
  CHECK(Try({record}, {"junk"}) == VerdictCode::kBadCertificate);
  for (size_t cut = 0; cut < world.chain[0].size(); cut += 7) {
    const std::string part = world.chain[0].substr(0, cut);
    CHECK(PublicKeyInfo(part).empty());
    CHECK(!Matches(record, part));
  }
}

TEST_CASE("The presentation form", "[dane][unit]") {
  CHECK(ToString({3, 1, 1, std::string("\x01\xab", 2)}) == "3 1 1 01ab");
}

}  // namespace
}  // namespace godwit::dane

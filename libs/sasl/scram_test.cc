#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "libs/base/encoding.h"
#include "libs/sasl/scram_server.h"
#include "libs/sasl/scram_verifier.h"

namespace godwit::sasl {
namespace {

// The exchanges of RFC 5802 §5 and RFC 7677 §3.
struct Vector {
  ScramHash hash;
  std::string client_nonce;
  std::string server_nonce;
  std::string salt;
  std::string proof;
  std::string signature;
};

const Vector kSha1 = {
    ScramHash::kSha1,   "fyko+d2lbbFgONRv9qkxdawL",     "3rfcNHYJY1ZVvWVs7j",
    "QSXCR+Q6sek8bf92", "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="};
const Vector kSha256 = {ScramHash::kSha256,
                        "rOprNGfwEbeRWgbNEkqO",
                        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                        "W22ZaJ0SNY7soEsUEjb6gQ==",
                        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="};

ScramVerifiers VerifiersOf(const Vector& vector, std::initializer_list<const char*> passwords) {
  ScramVerifiers verifiers;
  verifiers.hash = vector.hash;
  verifiers.salt = *base::Base64Decode(vector.salt);
  for (const char* password : passwords) {
    verifiers.keys.push_back(*MakeScramKeys(vector.hash, password, verifiers.salt, 4096));
  }
  return verifiers;
}

ScramServer ServerOf(const Vector& vector) {
  ScramOptions options;
  options.hash = vector.hash;
  options.server_nonce = vector.server_nonce;
  return ScramServer(options);
}

std::string FinalOf(const Vector& vector) {
  return "c=biws,r=" + vector.client_nonce + vector.server_nonce + ",p=" + vector.proof;
}

TEST_CASE("ScramServer speaks the exchanges of the RFCs", "[sasl][unit]") {
  const Vector vector = GENERATE(values<Vector>({kSha1, kSha256}));
  ScramServer server = ServerOf(vector);
  const auto identity = server.OnClientFirst("n,,n=user,r=" + vector.client_nonce);
  REQUIRE(identity.ok());
  CHECK(identity->username == "user");
  CHECK(identity->authorization_id.empty());
  const auto challenge = server.OnVerifiers(VerifiersOf(vector, {"pencil"}));
  REQUIRE(challenge.ok());
  CHECK(*challenge ==
        "r=" + vector.client_nonce + vector.server_nonce + ",s=" + vector.salt + ",i=4096");
  const auto verdict = server.OnClientFinal(FinalOf(vector));
  REQUIRE(verdict.ok());
  CHECK(verdict->message == "v=" + vector.signature);
}

TEST_CASE("ScramServer tries a proof against every credential of the account", "[sasl][unit]") {
  ScramServer server = ServerOf(kSha256);
  REQUIRE(server.OnClientFirst("n,,n=user,r=" + kSha256.client_nonce).ok());
  REQUIRE(server.OnVerifiers(VerifiersOf(kSha256, {"crayon", "pencil", "chalk"})).ok());
  const auto verdict = server.OnClientFinal(FinalOf(kSha256));
  REQUIRE(verdict.ok());
  CHECK(verdict->credential == 1);
}

TEST_CASE("ScramServer refuses a wrong password and a user without one alike", "[sasl][unit]") {
  ScramVerifiers wrong = VerifiersOf(kSha256, {"crayon"});
  if (GENERATE(false, true)) wrong.keys.clear();
  ScramServer server = ServerOf(kSha256);
  REQUIRE(server.OnClientFirst("n,,n=user,r=" + kSha256.client_nonce).ok());
  REQUIRE(server.OnVerifiers(wrong).ok());
  const auto verdict = server.OnClientFinal(FinalOf(kSha256));
  CHECK(verdict.status().code() == absl::StatusCode::kUnauthenticated);
}

TEST_CASE("ScramServer refuses what is not a client-first-message", "[sasl][unit]") {
  const std::string message = GENERATE(values<std::string>(
      {"", "n", "n,", "n,,", "n,,n=user", "n,,r=x,n=user", "n,,n=,r=x", "n,,n=a=2b,r=x",
       "n,,n=a=,r=x", "n,,m=1,n=user,r=x", "n,,n=user,r=", "n,,n=user,r=a b",
       "p=tls-exporter,,n=user,r=x", "x,,n=user,r=x", "n,b=x,n=user,r=x", "n,a=,n=user,r=x",
       "n,,n=caf\xe9,r=x"}));
  CAPTURE(message);
  ScramServer server = ServerOf(kSha256);
  CHECK(server.OnClientFirst(message).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("ScramServer decodes names and authorization identities", "[sasl][unit]") {
  ScramServer server = ServerOf(kSha256);
  const auto identity = server.OnClientFirst("y,a=ad=2Cmin,n=a=3Db=2Cc,r=x,ext=1");
  REQUIRE(identity.ok());
  CHECK(identity->username == "a=b,c");
  CHECK(identity->authorization_id == "ad,min");
}

TEST_CASE("ScramServer refuses a final message of another exchange", "[sasl][unit]") {
  const std::string nonce = kSha256.client_nonce + kSha256.server_nonce;
  const std::string message = GENERATE_COPY(values<std::string>(
      {"", "c=biws,r=" + nonce, "c=biws,r=" + nonce + "x,p=" + kSha256.proof,
       "c=eSws,r=" + nonce + ",p=" + kSha256.proof, "r=" + nonce + ",c=biws,p=" + kSha256.proof,
       "c=biws,r=" + nonce + ",p=%%%", "c=biws,r=" + nonce + ",p="}));
  CAPTURE(message);
  ScramServer server = ServerOf(kSha256);
  REQUIRE(server.OnClientFirst("n,,n=user,r=" + kSha256.client_nonce).ok());
  REQUIRE(server.OnVerifiers(VerifiersOf(kSha256, {"pencil"})).ok());
  CHECK_FALSE(server.OnClientFinal(message).ok());
  // The exchange is over: a good message after a bad one changes nothing.
  CHECK_FALSE(server.OnClientFinal(FinalOf(kSha256)).ok());
}

TEST_CASE("ScramServer detects a channel binding downgrade", "[sasl][unit]") {
  ScramOptions options;
  options.server_nonce = "s";
  options.plus_offered = true;
  ScramServer server(options);
  CHECK_FALSE(server.OnClientFirst("y,,n=user,r=x").ok());
}

// The client's side, as RFC 5802 §3 describes it: for bindings, where the RFCs give no example.
std::string ClientProof(const ScramVerifiers& verifiers, std::string_view password,
                        const std::string& auth_message) {
  using scram_internal::Hmac;
  // SaltedPassword by the definition of Hi(), not by the PBKDF2 under test.
  std::string u = Hmac(verifiers.hash, password, verifiers.salt + std::string("\0\0\0\1", 4));
  std::string salted = u;
  for (uint32_t i = 1; i < verifiers.iterations; ++i) {
    u = Hmac(verifiers.hash, password, u);
    salted = scram_internal::Xor(salted, u);
  }
  const std::string key = Hmac(verifiers.hash, salted, "Client Key");
  const std::string stored = scram_internal::Digest(verifiers.hash, key);
  return base::Base64Encode(scram_internal::Xor(key, Hmac(verifiers.hash, stored, auth_message)));
}

TEST_CASE("ScramServer checks the channel binding of -PLUS", "[sasl][unit]") {
  const std::string sent_binding = GENERATE("right", "wrong");
  ScramOptions options;
  options.server_nonce = "srv";
  options.plus = options.plus_offered = true;
  options.binding_type = "tls-exporter";
  options.binding_data = "right";
  ScramServer server(options);
  const ScramVerifiers verifiers = VerifiersOf(kSha256, {"pencil"});
  REQUIRE(server.OnClientFirst("p=tls-exporter,,n=user,r=cli").ok());
  const auto challenge = server.OnVerifiers(verifiers);
  REQUIRE(challenge.ok());
  const std::string bare =
      "c=" + base::Base64Encode("p=tls-exporter,," + sent_binding) + ",r=clisrv";
  const std::string proof =
      ClientProof(verifiers, "pencil", "n=user,r=cli," + *challenge + "," + bare);
  CHECK(server.OnClientFinal(bare + ",p=" + proof).ok() == (sent_binding == "right"));
}

TEST_CASE("FindPassword tells which credential a plain password belongs to", "[sasl][unit]") {
  const ScramVerifiers verifiers = VerifiersOf(kSha256, {"crayon", "pencil"});
  CHECK(FindPassword(verifiers, "crayon") == 0u);
  CHECK(FindPassword(verifiers, "pencil") == 1u);
  CHECK(FindPassword(verifiers, "Pencil") == std::nullopt);
  CHECK(FindPassword(verifiers, "") == std::nullopt);
}

TEST_CASE("FakeVerifiers are stable for a name and differ between names and hashes",
          "[sasl][unit]") {
  const base::Secret secret("installation");
  const auto a = FakeVerifiers(ScramHash::kSha256, secret, "nobody@example.org");
  const auto again = FakeVerifiers(ScramHash::kSha256, secret, "Nobody@Example.org");
  const auto b = FakeVerifiers(ScramHash::kSha256, secret, "noone@example.org");
  const auto sha1 = FakeVerifiers(ScramHash::kSha1, secret, "nobody@example.org");
  CHECK(a.salt == again.salt);
  CHECK(a.salt.size() == kSaltBytes);
  CHECK(a.salt != b.salt);
  CHECK(a.salt != sha1.salt);
  CHECK(a.keys.empty());
}

TEST_CASE("MakeScramKeys refuses salts and iteration counts out of bounds", "[sasl][unit]") {
  CHECK_FALSE(MakeScramKeys(ScramHash::kSha256, "p", "", 4096).ok());
  CHECK_FALSE(MakeScramKeys(ScramHash::kSha256, "p", "salt", 0).ok());
  CHECK_FALSE(MakeScramKeys(ScramHash::kSha256, "p", "salt", kMaxIterations + 1).ok());
}

}  // namespace
}  // namespace godwit::sasl

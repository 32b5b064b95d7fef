#include "libs/sasl/exchange.h"

#include <catch2/catch.hpp>
#include <string>
#include <variant>

#include "libs/base/encoding.h"

namespace godwit::sasl {
namespace {

using namespace std::string_literals;

TEST_CASE("PLAIN gives the three fields of RFC 4616", "[sasl][unit]") {
  auto exchange = Exchange::Start("plain", {});
  REQUIRE(exchange != nullptr);
  CHECK(std::get<Challenge>(exchange->OnNoInitialResponse()).data.empty());
  const Action action = exchange->OnResponse("Ursel\0Kurt\0xipj3plmq"s);
  const auto& check = std::get<CheckPassword>(action);
  CHECK(check.authorization_id == "Ursel");
  CHECK(check.username == "Kurt");
  CHECK(check.password.Reveal() == "xipj3plmq");
}

TEST_CASE("PLAIN refuses messages that are not three fields", "[sasl][unit]") {
  const std::string bytes =
      GENERATE(values<std::string>({"", "\0"s, "\0\0"s, "\0user\0"s, "\0\0pass"s, "user\0pass"s,
                                    "\0u\0p\0"s, "\0u\0\xff"s, "\0u\0"s + std::string(1025, 'x')}));
  CAPTURE(bytes);
  auto exchange = Exchange::Start("PLAIN", {});
  CHECK(std::holds_alternative<Failure>(exchange->OnResponse(bytes)));
}

TEST_CASE("LOGIN asks for the name, then for the password", "[sasl][unit]") {
  auto exchange = Exchange::Start("LOGIN", {});
  CHECK(std::get<Challenge>(exchange->OnNoInitialResponse()).data == "Username:");
  CHECK(std::get<Challenge>(exchange->OnResponse("kurt")).data == "Password:");
  const Action action = exchange->OnResponse("secret");
  CHECK(std::get<CheckPassword>(action).username == "kurt");
  CHECK(std::get<CheckPassword>(action).password.Reveal() == "secret");
}

TEST_CASE("SCRAM ends with one more empty response", "[sasl][unit]") {
  Parameters parameters;
  parameters.server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  auto exchange = Exchange::Start("SCRAM-SHA-256", parameters);
  REQUIRE(exchange != nullptr);
  CHECK(std::get<Challenge>(exchange->OnNoInitialResponse()).data.empty());
  const Action first = exchange->OnResponse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  CHECK(std::get<NeedVerifiers>(first).username == "user");
  ScramVerifiers verifiers;
  verifiers.salt = *base::Base64Decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  verifiers.keys = {*MakeScramKeys(ScramHash::kSha256, "pencil", verifiers.salt, 4096)};
  CHECK(std::holds_alternative<Challenge>(exchange->OnVerifiers(verifiers)));
  const Action final = exchange->OnResponse(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  CHECK(std::get<Challenge>(final).data == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  const bool polite = GENERATE(true, false);
  const Action end = exchange->OnResponse(polite ? "" : "x");
  CHECK(std::holds_alternative<Proved>(end) == polite);
}

TEST_CASE("-PLUS needs a channel binding and unknown mechanisms give nothing", "[sasl][unit]") {
  Parameters parameters;
  parameters.server_nonce = "n";
  CHECK(Exchange::Start("SCRAM-SHA-256-PLUS", parameters) == nullptr);
  CHECK(Exchange::Start("CRAM-MD5", parameters) == nullptr);
  parameters.binding_type = "tls-exporter";
  CHECK(Exchange::Start("SCRAM-SHA-256-PLUS", parameters) != nullptr);
}

TEST_CASE("Verifiers out of turn fail", "[sasl][unit]") {
  for (const char* mechanism : {"PLAIN", "LOGIN", "SCRAM-SHA-256"}) {
    auto exchange = Exchange::Start(mechanism, {});
    CHECK(std::holds_alternative<Failure>(exchange->OnVerifiers({})));
  }
}

}  // namespace
}  // namespace godwit::sasl

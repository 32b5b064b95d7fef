#include "libs/dkim/key_record.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/dkim/keys.h"

namespace godwit::dkim {
namespace {

TEST_CASE("RFC 6376 §3.6.1: key records", "[dkim][unit]") {
  const auto record =
      ParseKeyRecord("v=DKIM1; h=sha1 : sha256; k=rsa; n=a note; s=email:x; t=y : s; p=QUJD; z=1");
  REQUIRE(record.ok());
  CHECK(record->type == KeyType::kRsa);
  CHECK(record->key == "ABC");
  CHECK(record->allows_sha256);
  CHECK(record->for_email);
  CHECK(record->testing);
  CHECK(record->same_domain_only);
  const auto plain = ParseKeyRecord("p=QU JD");
  REQUIRE(plain.ok());
  CHECK(plain->key == "ABC");
  CHECK_FALSE(plain->testing);
  CHECK(ParseKeyRecord("v=DKIM1; p=")->key.empty());
  CHECK_FALSE(ParseKeyRecord("h=sha1; p=QUJD")->allows_sha256);
  CHECK_FALSE(ParseKeyRecord("s=tlsrpt; p=QUJD")->for_email);
  CHECK(ParseKeyRecord("s=tlsrpt; p=QUJD")->for_tls_reports);
  CHECK(ParseKeyRecord("p=QUJD")->for_tls_reports);
  CHECK(ParseKeyRecord("s=other:*; p=QUJD")->for_tls_reports);
  CHECK_FALSE(ParseKeyRecord("s=email; p=QUJD")->for_tls_reports);
}

TEST_CASE("RFC 6376 §3.6.1: texts that are no key record", "[dkim][unit]") {
  const std::string text =
      GENERATE(as<std::string>(), "", "hello", "v=DKIM1; k=rsa", "p=QUJD; v=DKIM1",
               "v=DKIM2; p=QUJD", "v=dkim1; p=QUJD", "k=dsa; p=QUJD", "p=?", "v=spf1 -all");
  CAPTURE(text);
  CHECK_FALSE(ParseKeyRecord(text).ok());
}

TEST_CASE("RFC 8463 §4.2: an Ed25519 key has 32 octets", "[dkim][unit]") {
  KeyRecord record;
  record.type = KeyType::kEd25519;
  record.key = std::string(31, 'x');
  CHECK_FALSE(PublicKey::FromRecord(record).ok());
  record.type = KeyType::kRsa;
  CHECK_FALSE(PublicKey::FromRecord(record).ok());
}

TEST_CASE("Private keys that can't be used are refused", "[dkim][unit]") {
  CHECK_FALSE(PrivateKey::FromPem("").ok());
  CHECK_FALSE(
      PrivateKey::FromPem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").ok());
  CHECK_FALSE(PrivateKey::FromEd25519Seed("short").ok());
}

}  // namespace
}  // namespace godwit::dkim

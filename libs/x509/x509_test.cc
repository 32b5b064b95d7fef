#include "libs/x509/x509.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "libs/base/status.h"
#include "libs/testing/certificates.h"

namespace godwit::x509 {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

Authority NewTestAuthority(const std::string& name = "Test CA") {
  auto authority = NewAuthority({"Godwit", name, kNow - absl::Hours(1), kNow + absl::Hours(9000)},
                                base::RandomSource::System());
  REQUIRE(authority.ok());
  return *std::move(authority);
}

TEST_CASE("A leaf says what it was issued with", "[x509][unit]") {
  const Authority authority = NewTestAuthority();
  const auto key = NewKey();
  REQUIRE(key.ok());
  LeafOptions options;
  options.names = {"mx.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"};
  options.not_before = kNow;
  options.not_after = kNow + absl::Hours(24 * 90);
  const auto leaf = Issue(authority, *key, options, base::RandomSource::System());
  REQUIRE(leaf.ok());
  const auto description = Describe(*leaf);
  REQUIRE(description.ok());
  CHECK(description->common_name == "mx.example.org");
  CHECK(description->names == options.names);
  CHECK(description->not_before == options.not_before);
  CHECK(description->not_after == options.not_after);
  CHECK_FALSE(description->is_authority);
  CHECK(description->serial.size() == 32);
  CHECK(description->public_key_sha256.size() == 32);
  CHECK(CheckIssuer(*leaf, authority.certificate_pem).ok());
  CHECK(CheckKey(*leaf, key->Reveal()).ok());
  CHECK(Describe(authority.certificate_pem)->is_authority);

  SECTION("and the same key gives another serial number and the same public key") {
    const auto again = Issue(authority, *key, options, base::RandomSource::System());
    CHECK(Describe(*again)->serial != description->serial);
    CHECK(Describe(*again)->public_key_sha256 == description->public_key_sha256);
  }
  SECTION("and is not of another authority of the same name, nor of another key") {
    CHECK_FALSE(CheckIssuer(*leaf, NewTestAuthority().certificate_pem).ok());
    CHECK_FALSE(CheckIssuer(*leaf, NewTestAuthority("Other CA").certificate_pem).ok());
    CHECK_FALSE(CheckKey(*leaf, NewKey()->Reveal()).ok());
  }
  SECTION("and is read beside its key in one file, whichever comes first") {
    CHECK(Describe(std::string(key->Reveal()) + *leaf)->serial == description->serial);
    CHECK(CheckKey(*leaf + std::string(key->Reveal()), *leaf + std::string(key->Reveal())).ok());
  }
}

TEST_CASE("Dates beyond 2049 are kept", "[x509][unit]") {
  const Authority authority = NewTestAuthority();
  const absl::Time far = absl::FromUnixSeconds(2600000000);  // 2052
  const auto leaf = Issue(authority, *NewKey(), {{"a"}, kNow, far}, base::RandomSource::System());
  CHECK(Describe(*leaf)->not_after == far);
}

TEST_CASE("A long name stands in the alternative names only", "[x509][unit]") {
  const std::string name = std::string(60, 'a') + ".example.org";
  const auto leaf = Issue(NewTestAuthority(), *NewKey(), {{name}, kNow, kNow + absl::Hours(1)},
                          base::RandomSource::System());
  CHECK(Describe(*leaf)->common_name.empty());
  CHECK(Describe(*leaf)->names == std::vector<std::string>{name});
}

TEST_CASE("What can not be a name, or is none, is refused", "[x509][unit]") {
  const Authority authority = NewTestAuthority();
  const auto issue = [&](std::vector<std::string> names) {
    return Issue(authority, *NewKey(), {std::move(names), kNow, kNow + absl::Hours(1)},
                 base::RandomSource::System())
        .status()
        .code();
  };
  CHECK(issue({"ok.example"}) == absl::StatusCode::kOk);
  const std::vector<std::string> bad =
      GENERATE(values<std::vector<std::string>>({{},
                                                 {""},
                                                 {"a b"},
                                                 {"a,DNS:b"},
                                                 {std::string("a\0b", 3)},
                                                 {".a"},
                                                 {"a."},
                                                 {"b\xc3\xbc.example"},
                                                 {"ok.example", "a@b"},
                                                 {std::string(254, 'a')}}));
  CAPTURE(bad);
  CHECK(issue(bad) == absl::StatusCode::kInvalidArgument);
  CHECK_FALSE(
      NewAuthority({"", "", kNow, kNow + absl::Hours(1)}, base::RandomSource::System()).ok());
  CHECK_FALSE(NewAuthority({"", "x", kNow, kNow}, base::RandomSource::System()).ok());
  CHECK_FALSE(Describe("nothing").ok());
  CHECK_FALSE(Describe("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
}

// Another implementation's view: what we make must hold for OpenSSL's strict checks.
TEST_CASE("openssl verifies a leaf, for its names and uses", "[x509][interop]") {
  const Authority authority = NewTestAuthority();
  const auto leaf =
      Issue(authority, *NewKey(), {{"mx.example.org", "192.0.2.1"}, kNow, kNow + absl::Hours(1)},
            base::RandomSource::System());
  const std::string folder = testing::MakeScratchFolder();
  std::ofstream(folder + "/ca.pem") << authority.certificate_pem;
  std::ofstream(folder + "/leaf.pem") << *leaf;
  const auto verify = [&](const std::string& flags) {
    const std::string command =
        "openssl verify -x509_strict -attime " + std::to_string(absl::ToUnixSeconds(kNow) + 60) +
        " -CAfile " + folder + "/ca.pem " + flags + " " + folder + "/leaf.pem >/dev/null 2>&1";
    return std::system(command.c_str()) == 0;
  };
  CHECK(verify("-purpose sslserver -verify_hostname mx.example.org"));
  CHECK(verify("-purpose sslclient -verify_ip 192.0.2.1"));
  CHECK_FALSE(verify("-verify_hostname other.example.org"));
  CHECK_FALSE(verify("-purpose crlsign"));
  CHECK_FALSE(verify("-attime 1700000000"));
}

}  // namespace
}  // namespace godwit::x509

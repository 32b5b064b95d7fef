#include "libs/base/ip_address.h"

#include <catch2/catch.hpp>

#include "absl/hash/hash.h"

namespace godwit::base {
namespace {

IpAddress Ip(std::string_view text) {
  CAPTURE(text);
  const auto address = IpAddress::Parse(text);
  REQUIRE(address.has_value());
  return *address;
}

TEST_CASE("IpAddress writes the canonical form of RFC 5952", "[base][unit]") {
  struct Row {
    std::string_view in, out;
  };
  const Row row = GENERATE(values<Row>({
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // §4.2.2: one zero field is not cut
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // §4.2.3: the longest run
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // §4.2.3: the first of two
      {"::", "::"},
      {"::1", "::1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
  }));
  CAPTURE(row.in);
  CHECK(Ip(row.in).ToString() == row.out);
  CHECK(Ip(row.out) == Ip(row.in));
}

TEST_CASE("IpAddress refuses what is no address", "[base][unit]") {
  const std::string bad =
      GENERATE(as<std::string>{}, "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04",
               "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/24", "[::1]", "fe80::1%eth0",
               ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::g",
               std::string("1.2.3.4\0", 8), std::string(60, '1'));
  CAPTURE(bad);
  CHECK(IpAddress::Parse(bad) == std::nullopt);
}

TEST_CASE("IpAddress goes through its bytes and back", "[base][unit]") {
  CHECK(Ip("192.0.2.1").bytes() == std::string_view("\xc0\x00\x02\x01", 4));
  CHECK(Ip("2001:db8::1").bytes().size() == 16);
  CHECK(IpAddress::FromBytes(Ip("2001:db8::1").bytes()) == Ip("2001:db8::1"));
  CHECK(IpAddress::FromBytes(Ip("192.0.2.1").bytes()) == Ip("192.0.2.1"));
  CHECK(IpAddress::FromBytes("") == std::nullopt);
  CHECK(IpAddress::FromBytes("12345") == std::nullopt);
}

TEST_CASE("An IPv4-mapped address is IPv6 until it is unmapped", "[base][unit]") {
  CHECK(Ip("::ffff:192.0.2.1").is_v6());
  CHECK(Ip("::ffff:192.0.2.1") != Ip("192.0.2.1"));
  CHECK(Ip("::ffff:192.0.2.1").Unmapped() == Ip("192.0.2.1"));
  CHECK(Ip("::192.0.2.1").Unmapped() == Ip("::192.0.2.1"));
  CHECK(Ip("2001:db8::1").Unmapped() == Ip("2001:db8::1"));
}

TEST_CASE("Loopback is 127/8, ::1 and its mapped form", "[base][unit]") {
  CHECK(Ip("127.0.0.1").is_loopback());
  CHECK(Ip("127.255.0.9").is_loopback());
  CHECK(Ip("::1").is_loopback());
  CHECK(Ip("::ffff:127.0.0.1").is_loopback());
  CHECK_FALSE(Ip("128.0.0.1").is_loopback());
  CHECK_FALSE(Ip("::").is_loopback());
  CHECK_FALSE(Ip("1::1").is_loopback());
}

TEST_CASE("Networks match on their first bits and within one family", "[base][unit]") {
  CHECK(Ip("192.0.2.255").Masked(25) == Ip("192.0.2.128"));
  CHECK(Ip("192.0.2.255").Masked(0) == Ip("0.0.0.0"));
  CHECK(Ip("192.0.2.255").Masked(32) == Ip("192.0.2.255"));
  CHECK(Ip("2001:db8:ffff::1").Masked(33) == Ip("2001:db8:8000::"));
  CHECK(Ip("192.0.2.77").InNetwork(Ip("192.0.2.0"), 24));
  CHECK_FALSE(Ip("192.0.3.77").InNetwork(Ip("192.0.2.0"), 24));
  CHECK(Ip("192.0.3.77").InNetwork(Ip("192.0.2.0"), 23));
  // The network's own host bits do not count.
  CHECK(Ip("192.0.2.1").InNetwork(Ip("192.0.2.99"), 24));
  CHECK_FALSE(Ip("::").InNetwork(Ip("0.0.0.0"), 0));
  CHECK(Ip("2001:db8::1").InNetwork(Ip("2001:db8::"), 128) == false);
}

TEST_CASE("Reverse names and literals", "[base][unit]") {
  CHECK(Ip("192.0.2.1").ReverseName() == "1.2.0.192.in-addr.arpa");
  CHECK(Ip("2001:db8::567:89ab").ReverseName() ==
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  CHECK(Ip("192.0.2.1").ToLiteral() == "[192.0.2.1]");
  CHECK(Ip("2001:db8::1").ToLiteral() == "[IPv6:2001:db8::1]");
}

TEST_CASE("Equal addresses hash alike, families do not collide by construction", "[base][unit]") {
  const absl::Hash<IpAddress> hash;
  CHECK(hash(Ip("2001:DB8::1")) == hash(Ip("2001:db8:0::1")));
  CHECK(hash(Ip("0.0.0.0")) != hash(Ip("::")));
}

}  // namespace
}  // namespace godwit::base

#include "libs/limit/network.h"

#include <catch2/catch.hpp>

namespace godwit::limit {
namespace {

base::IpAddress Ip(std::string_view text) { return *base::IpAddress::Parse(text); }

TEST_CASE("Networks: an address counts for its three networks", "[limit][unit]") {
  const Networks networks({});
  struct Row {
    const char* address;
    std::array<std::string, 3> keys;
  };
  const Row row = GENERATE(values<Row>({
      {"192.0.2.255", {"192.0.2.255/32", "192.0.2.192/26", "192.0.0.0/21"}},
      {"::ffff:192.0.2.255", {"192.0.2.255/32", "192.0.2.192/26", "192.0.0.0/21"}},
      {"2001:db8:1:2:3::4", {"2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32"}},
  }));
  CAPTURE(row.address);
  const auto keys = networks.Of(Ip(row.address));
  for (size_t i = 0; i < keys.size(); ++i) {
    CHECK(keys[i].ToString() == row.keys[i]);
    CHECK(NetworkKey::Parse(row.keys[i]) == keys[i]);
  }
  CHECK(networks.FactorOf(keys[0]) == 1);
  CHECK(networks.FactorOf(keys[1]) == 3);
  CHECK(networks.FactorOf(keys[2]) == 9);
}

TEST_CASE("NetworkKey: what is no network of ours is not read", "[limit][unit]") {
  const std::string text =
      GENERATE("", "/", "192.0.2.1", "192.0.2.1/", "192.0.2.1/33", "2001:db8::/65", "x/8",
               "192.0.2.1/-1", "192.0.2.1/99999999999999999999");
  CAPTURE(text);
  CHECK_FALSE(NetworkKey::Parse(text).has_value());
}

TEST_CASE("Networks: the exempt are exempt, IPv4-mapped or not", "[limit][unit]") {
  NetworkOptions options;
  options.exempt.push_back(*net::Network::Parse("198.51.100.0/24"));
  options.exempt.push_back(*net::Network::Parse("2001:db8::/32"));
  const Networks networks(options);
  CHECK(networks.IsExempt(Ip("198.51.100.7")));
  CHECK(networks.IsExempt(Ip("::ffff:198.51.100.7")));
  CHECK(networks.IsExempt(Ip("2001:db8:ffff::1")));
  CHECK_FALSE(networks.IsExempt(Ip("198.51.101.7")));
  CHECK_FALSE(networks.IsExempt(Ip("2001:db9::1")));
}

}  // namespace
}  // namespace godwit::limit

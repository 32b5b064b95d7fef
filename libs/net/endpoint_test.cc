#include "libs/net/endpoint.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>

namespace godwit::net {
namespace {

TEST_CASE("Endpoint reads what it writes", "[net][unit]") {
  const std::string text = GENERATE(as<std::string>(), "127.0.0.1:25", "[::1]:25", "0.0.0.0:0",
                                    "[2001:db8::25]:65535", "[::]:143");
  CAPTURE(text);
  const auto endpoint = Endpoint::Parse(text);
  REQUIRE(endpoint.ok());
  CHECK(endpoint->ToString() == text);
  sockaddr_storage name;
  endpoint->ToSockaddr(&name);
  CHECK(Endpoint::FromSockaddr(name) == *endpoint);
}

TEST_CASE("A star or nothing is every address", "[net][unit]") {
  CHECK(Endpoint::Parse("*:25")->ToString() == "[::]:25");
  CHECK(Endpoint::Parse(":25")->ToString() == "[::]:25");
}

TEST_CASE("Endpoint refuses what is no address with port", "[net][unit]") {
  const std::string text =
      GENERATE(as<std::string>(), "", "25", "localhost:25", "127.0.0.1", "127.0.0.1:", "::1:25",
               "[::1]", "[127.0.0.1]:25", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
               "127.0.0.1:0000025", "[]:25", "[::1:25", "*");
  CAPTURE(text);
  CHECK(absl::IsInvalidArgument(Endpoint::Parse(text).status()));
}

TEST_CASE("An IPv4-mapped socket address is an IPv4 endpoint", "[net][unit]") {
  sockaddr_storage name;
  Endpoint::Parse("[::ffff:192.0.2.1]:25")->ToSockaddr(&name);
  CHECK(Endpoint::FromSockaddr(name).ToString() == "192.0.2.1:25");
}

TEST_CASE("Network contains its addresses and no other", "[net][unit]") {
  const auto network = Network::Parse("10.1.0.0/16");
  REQUIRE(network.ok());
  CHECK(network->Contains(*base::IpAddress::Parse("10.1.255.1")));
  CHECK(network->Contains(*base::IpAddress::Parse("::ffff:10.1.2.3")));
  CHECK_FALSE(network->Contains(*base::IpAddress::Parse("10.2.0.1")));
  CHECK_FALSE(network->Contains(*base::IpAddress::Parse("::1")));
  CHECK(Network::Parse("::1")->Contains(*base::IpAddress::Parse("::1")));
  // It was taken, and met nobody.
  const auto mapped = Network::Parse("::ffff:10.1.0.0/112");
  REQUIRE(mapped.ok());
  CHECK(mapped->Contains(*base::IpAddress::Parse("10.1.255.1")));
  CHECK(mapped->Contains(*base::IpAddress::Parse("::ffff:10.1.2.3")));
  CHECK_FALSE(mapped->Contains(*base::IpAddress::Parse("10.2.0.1")));
  CHECK(Network::Parse("::ffff:10.1.2.3")->Contains(*base::IpAddress::Parse("10.1.2.3")));
  CHECK_FALSE(Network::Parse("::ffff:10.1.0.0/95").ok());
  CHECK_FALSE(Network::Parse("10.0.0.0/33").ok());
  CHECK_FALSE(Network::Parse("10.0.0.0/").ok());
  CHECK_FALSE(Network::Parse("example.org/8").ok());
}

}  // namespace
}  // namespace godwit::net

#pragma once

// Endpoint: an IP address with a port, as text and as a socket address.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/base/ip_address.h"

struct sockaddr;
struct sockaddr_storage;

namespace godwit::net {

struct Endpoint {
  base::IpAddress address;
  uint16_t port = 0;

  // "127.0.0.1:25", "[::1]:25"; "*:25" and ":25" stand for every address of the machine, IPv4 and
  // IPv6, and give [::]. InvalidArgument for anything else: names are not resolved here, an IPv6
  // address wants its brackets.
  static absl::StatusOr<Endpoint> Parse(std::string_view text);

  // From a socket address of family AF_INET or AF_INET6; an IPv4-mapped IPv6 address becomes IPv4.
  // Any other family (a socket pair of a test) gives 0.0.0.0:0.
  static Endpoint FromSockaddr(const sockaddr_storage& from);
  // Fills `*to`; returns the length to give to bind() or connect().
  uint32_t ToSockaddr(sockaddr_storage* to) const;

  // "127.0.0.1:25" or "[::1]:25"; Parse() reads it back.
  std::string ToString() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// An address range: "10.0.0.0/8", "2001:db8::/32", or one address without prefix length.
struct Network {
  base::IpAddress address;
  int prefix_bits = 0;

  static absl::StatusOr<Network> Parse(std::string_view text);
  // IPv4-mapped addresses count as IPv4.
  bool Contains(const base::IpAddress& candidate) const;
};

}  // namespace godwit::net

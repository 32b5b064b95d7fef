#pragma once

// IpAddress: an IPv4 or IPv6 address as a value, without sockets.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit::base {

class IpAddress {
 public:
  // 0.0.0.0
  IpAddress() = default;

  // Dotted quad or RFC 4291 §2.2 text, without brackets, zone or prefix. An IPv4-mapped IPv6
  // address (::ffff:a.b.c.d) stays IPv6; see Unmapped().
  static std::optional<IpAddress> Parse(std::string_view text);
  // 4 or 16 bytes in network order; any other length gives nullopt.
  static std::optional<IpAddress> FromBytes(std::string_view bytes);

  bool is_v4() const { return v4_; }
  bool is_v6() const { return !v4_; }
  // 4 or 16 bytes in network order; valid as long as the object.
  std::string_view bytes() const;
  // Dotted quad, or the canonical form of RFC 5952.
  std::string ToString() const;
  // RFC 5321 §4.1.3: "[192.0.2.1]" or "[IPv6:2001:db8::1]".
  std::string ToLiteral() const;
  // The IPv4 address inside an IPv4-mapped one; else itself.
  IpAddress Unmapped() const;

  bool is_loopback() const;
  // This address with all bits after `prefix_bits` set to zero.
  IpAddress Masked(int prefix_bits) const;
  // What one customer has at least, for counting who comes: the IPv4 address, also of a mapped one,
  // or the IPv6 /64.
  IpAddress CustomerNetwork() const;
  // True when both are of one family and share the first `prefix_bits` bits.
  bool InNetwork(const IpAddress& network, int prefix_bits) const;
  // The name to ask for PTR: "1.2.0.192.in-addr.arpa", "...ip6.arpa" (RFC 1035 §3.5, RFC 3596
  // §2.5).
  std::string ReverseName() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const IpAddress& address) {
    return H::combine(std::move(state), address.v4_, address.bytes_);
  }

 private:
  bool v4_ = true;
  std::array<char, 16> bytes_{};  // v4: the first four
};

}  // namespace godwit::base

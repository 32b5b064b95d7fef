#pragma once

// NetworkKey and Networks: whose doings are counted together. One address counts for three
// networks: the nearest (IPv4 /32, IPv6 /64, of which one customer has at least one), a wider
// (/26, /48) and the widest (/21, /32), so that who has many addresses is seen, too.
//
//   limit::Networks networks({});
//   if (!networks.IsExempt(address)) for (const NetworkKey& key : networks.Of(address)) ...
//
// Values; any thread. IPv4-mapped addresses count as IPv4.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libs/base/ip_address.h"
#include "libs/net/endpoint.h"

namespace godwit::limit {

inline constexpr int kClasses = 3;
// No prefix is longer, so that a key is two words.
inline constexpr int kMaxPrefixBits = 64;

struct NetworkKey {
  uint64_t prefix = 0;  // the first bits of the address, the others are 0
  uint8_t bits = 0;
  bool v4 = true;

  // At most 32 bits of an IPv4 address, 64 of an IPv6 one.
  static NetworkKey Of(const base::IpAddress& address, int bits);
  // What ToString wrote; nullopt for anything else.
  static std::optional<NetworkKey> Parse(std::string_view text);
  // "192.0.2.0/26", "2001:db8::/48"
  std::string ToString() const;

  friend auto operator<=>(const NetworkKey&, const NetworkKey&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const NetworkKey& key) {
    return H::combine(std::move(state), key.prefix, key.bits, key.v4);
  }
};

struct NetworkOptions {
  // Nearest first; IPv4 at most 32, IPv6 at most 64.
  std::array<int, kClasses> v4_bits = {32, 26, 21};
  std::array<int, kClasses> v6_bits = {64, 48, 32};
  // What a network of each class may, as a multiple of what the nearest may.
  std::array<double, kClasses> factors = {1, 3, 9};
  // Nothing of these is counted or refused.
  std::vector<net::Network> exempt;
};

class Networks {
 public:
  explicit Networks(NetworkOptions options) : options_(std::move(options)) {}

  bool IsExempt(const base::IpAddress& address) const;
  // Nearest first.
  std::array<NetworkKey, kClasses> Of(const base::IpAddress& address) const;
  // The same, each once: two classes may be given one prefix length.
  std::vector<NetworkKey> Distinct(const base::IpAddress& address) const;
  double factor(int of_class) const { return options_.factors[static_cast<size_t>(of_class)]; }
  // What a network of this prefix length may; of a length that we do not count: the widest's.
  double FactorOf(const NetworkKey& key) const;

 private:
  NetworkOptions options_;
};

}  // namespace godwit::limit

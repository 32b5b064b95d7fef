#include "libs/limit/network.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::limit {

NetworkKey NetworkKey::Of(const base::IpAddress& address, int bits) {
  const base::IpAddress plain = address.Unmapped();
  NetworkKey key;
  key.v4 = plain.is_v4();
  key.bits = static_cast<uint8_t>(std::clamp(bits, 0, key.v4 ? 32 : kMaxPrefixBits));
  const base::IpAddress network = plain.Masked(key.bits);
  for (const char octet : network.bytes().substr(0, key.v4 ? 4 : 8)) {
    key.prefix = key.prefix << 8 | static_cast<unsigned char>(octet);
  }
  return key;
}

std::optional<NetworkKey> NetworkKey::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto address = base::IpAddress::Parse(text.substr(0, slash));
  const auto bits = base::ParseDecimal(text.substr(slash + 1));
  if (!address || !bits) return std::nullopt;
  if (*bits > (address->is_v4() ? 32U : static_cast<uint64_t>(kMaxPrefixBits))) return std::nullopt;
  return Of(*address, static_cast<int>(*bits));
}

std::string NetworkKey::ToString() const {
  std::string octets(v4 ? 4 : 16, '\0');
  uint64_t rest = prefix;
  for (size_t i = v4 ? 4 : 8; i-- > 0; rest >>= 8) octets[i] = static_cast<char>(rest & 0xff);
  return base::IpAddress::FromBytes(octets)->ToString() + "/" + std::to_string(bits);
}

bool Networks::IsExempt(const base::IpAddress& address) const {
  return std::any_of(options_.exempt.begin(), options_.exempt.end(),
                     [&](const net::Network& network) { return network.Contains(address); });
}

std::array<NetworkKey, kClasses> Networks::Of(const base::IpAddress& address) const {
  const auto& bits = address.Unmapped().is_v4() ? options_.v4_bits : options_.v6_bits;
  std::array<NetworkKey, kClasses> keys;
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = NetworkKey::Of(address, bits[i]);
  return keys;
}

std::vector<NetworkKey> Networks::Distinct(const base::IpAddress& address) const {
  std::vector<NetworkKey> distinct;
  for (const NetworkKey& key : Of(address)) {
    if (std::find(distinct.begin(), distinct.end(), key) == distinct.end()) distinct.push_back(key);
  }
  return distinct;
}

double Networks::FactorOf(const NetworkKey& key) const {
  const auto& bits = key.v4 ? options_.v4_bits : options_.v6_bits;
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i] == key.bits) return options_.factors[i];
  }
  return options_.factors.back();
}

}  // namespace godwit::limit

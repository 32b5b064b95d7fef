#include "libs/base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace godwit::base {
namespace {

constexpr std::string_view kMappedPrefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  // inet_pton wants a terminated string; the longest textual form has 45 characters.
  if (text.size() > INET6_ADDRSTRLEN || text.find('\0') != text.npos) return std::nullopt;
  const std::string terminated(text);
  IpAddress address;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) == 1) return address;
  address.v4_ = false;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) return address;
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::FromBytes(std::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  IpAddress address;
  address.v4_ = bytes.size() == 4;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

std::string_view IpAddress::bytes() const { return {bytes_.data(), v4_ ? 4U : 16U}; }

std::string IpAddress::ToString() const {
  // glibc's inet_ntop gives the canonical form of RFC 5952 §4.
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::string IpAddress::ToLiteral() const {
  return v4_ ? "[" + ToString() + "]" : "[IPv6:" + ToString() + "]";
}

IpAddress IpAddress::Unmapped() const {
  if (v4_ || bytes().substr(0, 12) != kMappedPrefix) return *this;
  return *FromBytes(bytes().substr(12));
}

bool IpAddress::is_loopback() const {
  const IpAddress plain = Unmapped();
  if (plain.v4_) return plain.bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](char c) { return c == 0; }) &&
         bytes_[15] == 1;
}

IpAddress IpAddress::Masked(int prefix_bits) const {
  IpAddress masked = *this;
  const int size = v4_ ? 4 : 16;
  for (int i = 0; i < size; ++i) {
    const int keep = std::clamp(prefix_bits - 8 * i, 0, 8);
    auto& byte = masked.bytes_[static_cast<size_t>(i)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) & (0xFF00 >> keep & 0xFF));
  }
  return masked;
}

IpAddress IpAddress::CustomerNetwork() const {
  constexpr int kIpv6Prefix = 64;
  const IpAddress plain = Unmapped();
  return plain.v4_ ? plain : plain.Masked(kIpv6Prefix);
}

bool IpAddress::InNetwork(const IpAddress& network, int prefix_bits) const {
  return v4_ == network.v4_ && Masked(prefix_bits) == network.Masked(prefix_bits);
}

std::string IpAddress::ReverseName() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  const std::string_view all = bytes();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const auto byte = static_cast<unsigned char>(*it);
    if (v4_) {
      name += std::to_string(byte) + ".";
    } else {
      name += {kDigits[byte & 15], '.', kDigits[byte >> 4], '.'};
    }
  }
  return name + (v4_ ? "in-addr.arpa" : "ip6.arpa");
}

}  // namespace godwit::base

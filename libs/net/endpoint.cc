#include "libs/net/endpoint.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::net {
namespace {

absl::Status NotAnEndpoint(std::string_view text) {
  return base::InvalidArgument("not an address with port: \"" + std::string(text) + "\"");
}

std::optional<base::IpAddress> ParseHost(std::string_view host) {
  if (host.empty() || host == "*") return base::IpAddress::Parse("::");
  if (host.front() != '[') {
    auto address = base::IpAddress::Parse(host);
    return address && address->is_v4() ? address : std::nullopt;
  }
  if (host.size() < 3 || host.back() != ']') return std::nullopt;
  auto address = base::IpAddress::Parse(host.substr(1, host.size() - 2));
  return address && address->is_v6() ? address : std::nullopt;
}

}  // namespace

absl::StatusOr<Endpoint> Endpoint::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return NotAnEndpoint(text);
  const std::string_view digits = text.substr(colon + 1);
  if (digits.size() > 5) return NotAnEndpoint(text);
  const auto number = base::ParseDecimal(digits);
  const auto host = ParseHost(text.substr(0, colon));
  if (!number || *number > 65535 || !host) return NotAnEndpoint(text);
  return Endpoint{*host, static_cast<uint16_t>(*number)};
}

Endpoint Endpoint::FromSockaddr(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &from, sizeof v4);
    const std::string_view bytes(reinterpret_cast<const char*>(&v4.sin_addr), 4);
    return {*base::IpAddress::FromBytes(bytes), ntohs(v4.sin_port)};
  }
  if (from.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &from, sizeof v6);
    const std::string_view bytes(reinterpret_cast<const char*>(&v6.sin6_addr), 16);
    return {base::IpAddress::FromBytes(bytes)->Unmapped(), ntohs(v6.sin6_port)};
  }
  return {};
}

uint32_t Endpoint::ToSockaddr(sockaddr_storage* to) const {
  std::memset(to, 0, sizeof *to);
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), 4);
    std::memcpy(to, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
  std::memcpy(to, &v6, sizeof v6);
  return sizeof v6;
}

std::string Endpoint::ToString() const {
  std::string text = address.ToString();
  if (address.is_v6()) text = "[" + text + "]";
  return text + ":" + std::to_string(port);
}

absl::StatusOr<Network> Network::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = base::IpAddress::Parse(text.substr(0, slash));
  if (!address) return base::InvalidArgument("not a network: \"" + std::string(text) + "\"");
  const uint64_t all_bits = address->is_v4() ? 32 : 128;
  auto bits = std::optional<uint64_t>(all_bits);
  if (slash != text.npos) bits = base::ParseDecimal(text.substr(slash + 1));
  if (!bits || *bits > all_bits) {
    return base::InvalidArgument("prefix length out of range: \"" + std::string(text) + "\"");
  }
  const base::IpAddress plain = address->Unmapped();
  if (plain.is_v4() == address->is_v4()) return Network{*address, static_cast<int>(*bits)};
  // RFC 4291 §2.5.5.2: behind ::ffff:0:0/96 stands an IPv4 address; candidates are compared as
  // such.
  if (*bits < 96) {
    return base::InvalidArgument("prefix of a mapped IPv4 network is below 96: \"" +
                                 std::string(text) + "\"");
  }
  return Network{plain, static_cast<int>(*bits) - 96};
}

bool Network::Contains(const base::IpAddress& candidate) const {
  return candidate.Unmapped().InNetwork(address, prefix_bits);
}

}  // namespace godwit::net

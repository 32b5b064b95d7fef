#include "libs/net/proxy.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "libs/base/ascii.h"

namespace godwit::net {
namespace {

// PP §2.2: the signature of version 2. Its first byte differs from version 1's first.
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kV1Prefix = "PROXY ";
constexpr size_t kV1Max = 107;  // PP §2.1: with CRLF
constexpr size_t kV2Fixed = 16;
constexpr size_t kV2Tcp4 = 12;
constexpr size_t kV2Tcp6 = 36;

std::optional<uint16_t> ParsePort(std::string_view text) {
  // PP §2.1: a decimal number without leading zeroes.
  if (text.size() > 5 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto number = base::ParseDecimal(text);
  if (!number || *number > 65535) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

std::optional<Endpoint> ParseEndpoint(std::string_view address, std::string_view port, bool v4) {
  const auto parsed = base::IpAddress::Parse(address);
  const auto number = ParsePort(port);
  if (!parsed || parsed->is_v4() != v4 || !number) return std::nullopt;
  return Endpoint{parsed->Unmapped(), *number};
}

uint16_t Uint16At(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) * 256 +
                               static_cast<uint8_t>(bytes[at + 1]));
}

// PP §2.2: source address, destination address, source port, destination port.
ProxyHeader BinaryAddresses(std::string_view bytes, size_t address_size) {
  ProxyHeader header;
  header.has_addresses = true;
  header.source = {base::IpAddress::FromBytes(bytes.substr(0, address_size))->Unmapped(),
                   Uint16At(bytes, 2 * address_size)};
  header.destination = {
      base::IpAddress::FromBytes(bytes.substr(address_size, address_size))->Unmapped(),
      Uint16At(bytes, 2 * address_size + 2)};
  return header;
}

}  // namespace

// Byte by byte, so that no split can matter; only what is skipped is taken at once.
ProxyResult ProxyParser::Next(std::string_view* in) {
  while (!in->empty()) {
    if (skipping_) {
      const size_t part = std::min(to_skip_, in->size());
      in->remove_prefix(part);
      to_skip_ -= part;
      if (to_skip_ == 0) return ParseV2();
      continue;
    }
    held_.push_back(in->front());
    in->remove_prefix(1);
    const ProxyResult result = held_.front() == 'P' ? StepV1() : StepV2();
    if (!std::holds_alternative<ProxyNeedMore>(result)) return result;
  }
  return ProxyNeedMore();
}

ProxyResult ProxyParser::StepV1() const {
  const size_t prefix = std::min(held_.size(), kV1Prefix.size());
  if (held_.compare(0, prefix, kV1Prefix, 0, prefix) != 0) {
    return ProxyMalformed{"no PROXY header"};
  }
  // PP §2.1: the line ends with CRLF, and with nothing else.
  const bool after_cr = held_.size() >= 2 && held_[held_.size() - 2] == '\r';
  if (after_cr != (held_.back() == '\n')) return ProxyMalformed{"bare CR or LF in the header"};
  if (after_cr) return ParseV1();
  if (held_.size() >= kV1Max) return ProxyMalformed{"header too long"};
  return ProxyNeedMore();
}

ProxyResult ProxyParser::ParseV1() const {
  std::string_view line = held_;
  line.remove_prefix(kV1Prefix.size());
  line.remove_suffix(2);
  // PP §2.1: with UNKNOWN the receiver must ignore anything up to the CRLF.
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return ProxyHeader();
  const std::vector<std::string_view> words = base::Split(line, ' ');
  const bool v4 = words.front() == "TCP4";
  if (words.size() != 5 || (!v4 && words.front() != "TCP6")) {
    return ProxyMalformed{"not TCP4, TCP6 or UNKNOWN"};
  }
  const auto source = ParseEndpoint(words[1], words[3], v4);
  const auto destination = ParseEndpoint(words[2], words[4], v4);
  if (!source || !destination) return ProxyMalformed{"bad address or port"};
  return ProxyHeader{true, *source, *destination};
}

ProxyResult ProxyParser::StepV2() {
  const size_t signature = std::min(held_.size(), kV2Signature.size());
  if (held_.compare(0, signature, kV2Signature, 0, signature) != 0) {
    return ProxyMalformed{"no PROXY header"};
  }
  if (held_.size() < kV2Fixed) return ProxyNeedMore();
  const size_t length = Uint16At(held_, 14);
  if (held_.size() == kV2Fixed) {
    if (length > limits_.v2_length) return ProxyMalformed{"header too long"};
    const auto problem = CheckV2Head(length);
    if (!problem.empty()) return ProxyMalformed{problem};
  }
  // Addresses are held, TLVs (PP §2.2.1) and what else follows is skipped.
  const size_t wanted = std::min(length, kV2Tcp6);
  if (held_.size() < kV2Fixed + wanted) return ProxyNeedMore();
  skipping_ = true;
  to_skip_ = length - wanted;
  return to_skip_ == 0 ? ParseV2() : ProxyNeedMore();
}

// What is wrong with version, command, family and length; empty when nothing is.
std::string_view ProxyParser::CheckV2Head(size_t length) const {
  const int version_command = static_cast<uint8_t>(held_[12]);
  const int family_protocol = static_cast<uint8_t>(held_[13]);
  if (version_command >> 4 != 2) return "unknown version";
  if ((version_command & 15) > 1) return "unknown command";
  if (family_protocol >> 4 > 3 || (family_protocol & 15) > 2) return "unknown family or protocol";
  if ((version_command & 15) == 0) return "";  // LOCAL: nothing of it counts
  if (family_protocol == 0x11 && length < kV2Tcp4) return "addresses cut short";
  if (family_protocol == 0x21 && length < kV2Tcp6) return "addresses cut short";
  return "";
}

ProxyResult ProxyParser::ParseV2() const {
  const bool local = (held_[12] & 15) == 0;
  const int family_protocol = static_cast<uint8_t>(held_[13]);
  const std::string_view addresses = std::string_view(held_).substr(kV2Fixed);
  // PP §2.2: with LOCAL the receiver must use the real connection's addresses; the same for
  // families that are no TCP over IP.
  if (!local && family_protocol == 0x11) return BinaryAddresses(addresses, 4);
  if (!local && family_protocol == 0x21) return BinaryAddresses(addresses, 16);
  return ProxyHeader();
}

}  // namespace godwit::net

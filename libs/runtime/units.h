#pragma once

// The units of configuration values. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace google::protobuf {
class Duration;
}  // namespace google::protobuf

namespace godwit::runtime {

// A whole number and a unit, or several: "100ms" "30s" "5m" "1h30m" "7d"; "0" alone. No sign, no
// fraction, no number without unit. At most 100 years.
std::optional<absl::Duration> ParseDuration(std::string_view text);

// "512" "64KiB" "50MiB" "1GiB" "2TiB" (powers of 1024), "64kB" "50MB" "1GB" (powers of 1000).
std::optional<uint64_t> ParseSize(std::string_view text);

struct Endpoint {
  std::string host;  // a name or an address without brackets; "" is every address
  uint16_t port = 0;
};
// "127.0.0.1:25" "[::1]:25" "mail.example:25" ":25"; an IPv6 address needs its brackets.
std::optional<Endpoint> ParseEndpoint(std::string_view text);

absl::Duration ToDuration(const google::protobuf::Duration& duration);

}  // namespace godwit::runtime

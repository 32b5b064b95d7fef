#include "libs/runtime/units.h"

#include <google/protobuf/duration.pb.h>

#include <array>
#include <limits>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"

namespace godwit::runtime {
namespace {

constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 100);
constexpr size_t kLongestHost = 255;

const std::array<std::pair<std::string_view, absl::Duration>, 6> kDurationUnits = {{
    {"us", absl::Microseconds(1)},
    {"ms", absl::Milliseconds(1)},
    {"s", absl::Seconds(1)},
    {"m", absl::Minutes(1)},
    {"h", absl::Hours(1)},
    {"d", absl::Hours(24)},
}};

constexpr std::array<std::pair<std::string_view, uint64_t>, 9> kSizeUnits = {{
    {"", 1},
    {"KiB", uint64_t{1} << 10},
    {"MiB", uint64_t{1} << 20},
    {"GiB", uint64_t{1} << 30},
    {"TiB", uint64_t{1} << 40},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"B", 1},
}};

// Takes digits, then everything up to the next digit.
bool TakeNumberAndUnit(std::string_view* text, uint64_t* number, std::string_view* unit) {
  size_t digits = 0;
  while (digits < text->size() && base::IsDigit((*text)[digits])) ++digits;
  const auto value = base::ParseDecimal(text->substr(0, digits));
  if (!value) return false;
  size_t end = digits;
  while (end < text->size() && !base::IsDigit((*text)[end])) ++end;
  *number = *value;
  *unit = text->substr(digits, end - digits);
  text->remove_prefix(end);
  return true;
}

// Letters, digits, dots, hyphens and underscores.
bool IsHostName(std::string_view host) {
  if (host.size() > kLongestHost) return false;
  for (char c : host) {
    if (!base::IsAlnum(c) && c != '.' && c != '-' && c != '_') return false;
  }
  return true;
}

}  // namespace

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  if (text.empty()) return std::nullopt;
  absl::Duration total = absl::ZeroDuration();
  absl::Duration last_unit = absl::InfiniteDuration();
  while (!text.empty()) {
    uint64_t number = 0;
    std::string_view name;
    if (!TakeNumberAndUnit(&text, &number, &name)) return std::nullopt;
    absl::Duration unit = absl::ZeroDuration();
    for (const auto& [known, value] : kDurationUnits) {
      if (known == name) unit = value;
    }
    // Each unit once, the longer ones first: "1h30m".
    if (unit == absl::ZeroDuration() || unit >= last_unit) return std::nullopt;
    if (number > static_cast<uint64_t>(kLongest / unit)) return std::nullopt;
    total += static_cast<int64_t>(number) * unit;
    last_unit = unit;
  }
  if (total > kLongest) return std::nullopt;
  return total;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  std::string_view name;
  if (!TakeNumberAndUnit(&text, &number, &name) || !text.empty()) return std::nullopt;
  for (const auto& [known, factor] : kSizeUnits) {
    if (known != name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / factor) return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

std::optional<Endpoint> ParseEndpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = base::ParseDecimal(text.substr(colon + 1));
  if (!port || *port > 65535) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    const auto address = base::IpAddress::Parse(host);
    if (!address || address->is_v4()) return std::nullopt;
  } else if (!IsHostName(host)) {
    return std::nullopt;
  }
  return Endpoint{std::string(host), static_cast<uint16_t>(*port)};
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace godwit::runtime

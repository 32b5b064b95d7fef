#pragma once

// What the commands about reports by mail (DMARC, TLS) have in common: times, and what is asked
// for.

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/godwitctl/command_line.h"

namespace godwit::ctl {

// "2026-01-31 23:00", UTC.
std::string Minute(absl::Time time);
// RFC 3339, UTC; null for none.
boost::json::value JsonTime(const std::optional<absl::Time>& time);

// --domain in A-labels; "" when it is not given.
absl::StatusOr<std::string> WantedDomain(const Invocation& in);
// The argument NUMBER.
absl::StatusOr<int64_t> WantedNumber(const Invocation& in);

// The address with these 4 or 16 octets; "" for none.
std::string AddressText(const std::string& octets);

}  // namespace godwit::ctl

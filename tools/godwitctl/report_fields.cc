#include "tools/godwitctl/report_fields.h"

#include <boost/json/string.hpp>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"

namespace godwit::ctl {

std::string Minute(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::UTCTimeZone());
}

boost::json::value JsonTime(const std::optional<absl::Time>& time) {
  if (!time) return nullptr;
  return boost::json::string(absl::FormatTime(absl::RFC3339_sec, *time, absl::UTCTimeZone()));
}

absl::StatusOr<std::string> WantedDomain(const Invocation& in) {
  if (!in.has("domain")) return std::string();
  const auto name = idna::ToAscii(*in.flag("domain"));
  if (!name) return base::InvalidArgument("--domain is no domain name");
  return *name;
}

absl::StatusOr<int64_t> WantedNumber(const Invocation& in) {
  const auto number = base::ParseDecimal(in.argument("NUMBER"));
  if (!number || *number > INT64_MAX) return base::InvalidArgument("NUMBER is a number");
  return static_cast<int64_t>(*number);
}

std::string AddressText(const std::string& octets) {
  const auto address = base::IpAddress::FromBytes(octets);
  return address ? address->ToString() : "";
}

}  // namespace godwit::ctl

#pragma once

// The DNS of the commands that need it: --dns HOST:PORT, or the machine's servers.

#include <memory>

#include "absl/status/statusor.h"
#include "libs/dns/cares_resolver.h"
#include "tools/godwitctl/command_line.h"

namespace godwit::ctl {

extern const Flag kDnsFlag;

absl::StatusOr<std::unique_ptr<dns::CaresResolver>> OpenResolver(const Invocation& invocation);

}  // namespace godwit::ctl

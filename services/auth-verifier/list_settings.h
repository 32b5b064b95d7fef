#pragma once

// The section `dnsbl` of the configuration, as what the list monitor takes.

#include "absl/status/statusor.h"
#include "services/auth-verifier/config.pb.h"
#include "services/auth-verifier/list_monitor.h"

namespace godwit::auth_verifier {

// InvalidArgument, naming the entry, for a zone that is no domain name or is there twice, a
// subject, code or address that can't be read.
absl::StatusOr<ListOptions> MakeListOptions(const Dnsbl& config);

}  // namespace godwit::auth_verifier

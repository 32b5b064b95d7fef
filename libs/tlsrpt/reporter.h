#pragma once

// Who a TLS report is from. RFC 8460 §3: a report by mail has a valid DKIM signature of the
// reporting domain, or it is ignored. §5.3: that domain is the one of contact-info, and stands in
// TLS-Report-Submitter.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/tlsrpt/report.h"

namespace godwit::tlsrpt {

// The domain of `signers` (d= of signatures that are valid for TLS reports, A-labels) that speaks
// for the reporter: his own, or one above it. `submitter` as Attached has it; what is no host name
// there is not looked at, since many write the name of their company. PermissionDenied, with the
// reason.
absl::StatusOr<std::string> FindReporter(const Report& report, std::string_view submitter,
                                         const std::vector<std::string>& signers);

}  // namespace godwit::tlsrpt

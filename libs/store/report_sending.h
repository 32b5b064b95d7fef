#pragma once

// What every sender of reports (DMARC, TLS) needs: that one replica does it at a time, and whom not
// to send to.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

// True when `holder` has the lease until `until` now: it was free, over, or his already.
absl::StatusOr<bool> TakeReportLease(db::Connection& connection, std::string_view name,
                                     std::string_view holder, absl::Time now, absl::Time until);

struct ReportSuppression {
  std::string destination;  // "user@domain", or "@domain" for every address in it; lower case
  std::optional<absl::Time> expires;
  std::string reason;
  absl::Time created;
};

// Replaces one that is there.
absl::Status PutReportSuppression(db::Connection& connection, const ReportSuppression& suppression);
// NotFound when there is none.
absl::Status RemoveReportSuppression(db::Connection& connection, std::string_view destination);
// By destination; those that are over, too.
absl::StatusOr<std::vector<ReportSuppression>> ListReportSuppressions(db::Connection& connection);
// Whether nothing is sent to the address now.
absl::StatusOr<bool> IsReportSuppressed(db::Connection& connection, std::string_view address,
                                        absl::Time now);

// The domain that reports are sent from when none is configured: of ours, not disabled, with an
// active DKIM key, the oldest. nullopt: there is none.
absl::StatusOr<std::optional<std::string>> DefaultReportDomain(db::Connection& connection);

}  // namespace godwit::store

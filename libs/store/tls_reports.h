#pragma once

// TLS reports that others have sent us (RFC 8460), kept by tls-policy. Texts are UTF-8; domains of
// ours are lower-case A-labels. In partitions of a month, by the beginning of the period;
// KeepTlsReports drops the old ones.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct ReceivedTlsFailure {
  std::string result_type;
  std::string sending_ip;  // 4 or 16 octets, or none
  std::string mx_host;
  std::string mx_helo;
  std::string receiving_ip;
  int64_t sessions = 0;
  std::string additional_info;
  std::string reason_code;
};

struct ReceivedTlsPolicy {
  std::string domain;
  std::string type;
  std::vector<std::string> text;
  std::vector<std::string> mx_hosts;
  int64_t successful = 0;
  int64_t failed = 0;
  std::vector<ReceivedTlsFailure> failures = {};
};

struct ReceivedTlsReport {
  int64_t number = 0;  // ours; given when it is stored
  std::string domain;  // of its first policy that is about us
  std::string reporter;
  std::string organization;
  std::string contact;
  std::string report_id;
  absl::Time begins;  // within months of now: each makes partitions
  absl::Time ends;
  absl::Time received;
  int64_t successful = 0;
  int64_t failed = 0;
  std::vector<ReceivedTlsPolicy> policies = {};
};

enum class TlsReportStored { kNew, kDuplicate, kTooMany };

// Of `*report` only the policies about a domain of ours or a host below one stay; domain and totals
// are set from them. One of a reporter's identifier and period is stored once. kTooMany: the domain
// got `most` in the day before `received`; nothing is stored. FailedPrecondition when none is about
// us.
absl::StatusOr<TlsReportStored> StoreTlsReport(db::Connection& connection,
                                               ReceivedTlsReport* report, int64_t most);

// Without policies, the youngest first; those with a policy of `domain`, or all when it is empty.
absl::StatusOr<std::vector<ReceivedTlsReport>> ListTlsReports(db::Connection& connection,
                                                              std::string_view domain, int most);
// With its policies and their failures, the most frequent first. NotFound.
absl::StatusOr<ReceivedTlsReport> GetTlsReport(db::Connection& connection, int64_t number);

// Drops the reports of months that ended before `oldest`. Returns how many partitions went.
absl::StatusOr<int64_t> KeepTlsReports(db::Connection& connection, absl::Time oldest);

}  // namespace godwit::store

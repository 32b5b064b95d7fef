#pragma once

// DMARC aggregate reports that others have sent us, kept by auth-verifier; and the addresses that
// they are sent to. Texts are UTF-8; domains are lower-case A-labels.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct ReceivedReportRow {
  std::string source_ip;  // 4 or 16 octets
  int64_t messages = 0;
  std::string disposition;
  std::string dkim;  // aligned: "pass" or "fail"
  std::string spf;
  std::string header_from;
  std::string envelope_from;
  std::string reasons;       // a line each: "type comment"
  std::string dkim_results;  // a line each: "domain selector result"
  std::string spf_results;   // a line each: "domain result"
};

struct ReceivedReport {
  int64_t number = 0;  // ours; given when it is stored
  std::string domain;
  std::string reporter;
  std::string organization;
  std::string report_id;
  absl::Time begins;
  absl::Time ends;
  absl::Time received;
  std::string policy;
  std::string errors;
  int64_t messages = 0;
  int64_t failed = 0;
  std::vector<ReceivedReportRow> rows = {};
};

enum class ReportStored { kNew, kDuplicate, kTooMany };

// One of a reporter's identifier and period is stored once. kTooMany: the domain got `most` in the
// day before `received`; nothing is stored. FailedPrecondition when the domain is not ours.
absl::StatusOr<ReportStored> StoreReceivedReport(db::Connection& connection,
                                                 const ReceivedReport& report, int64_t most);

// Without rows, the youngest first; of one domain or of all when it is empty.
absl::StatusOr<std::vector<ReceivedReport>> ListReceivedReports(db::Connection& connection,
                                                                std::string_view domain, int most);
// With its rows, the most frequent first. NotFound.
absl::StatusOr<ReceivedReport> GetReceivedReport(db::Connection& connection, int64_t number);

// Removes what was received before `oldest`, at most `most`. Returns how many.
absl::StatusOr<int64_t> SweepReceivedReports(db::Connection& connection, absl::Time oldest,
                                             int most);

// Addresses whose mail is looked into for reports.

// "local@domain", all of them.
absl::StatusOr<std::vector<std::string>> ListReportAddresses(db::Connection& connection);
// NotFound when there is no such address.
absl::Status SetReportAddress(db::Connection& connection, std::string_view local_part,
                              std::string_view domain, bool reports);

}  // namespace godwit::store

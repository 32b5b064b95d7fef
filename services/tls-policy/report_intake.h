#pragma once

// ReportIntake: keeps the TLS reports that others send us (RFC 8460), once auth-verifier has found
// one in a mail and who signed it.
//
// A report must be signed by whom it is from, be about a domain of ours and about the near past; of
// a reporter's identifier one is kept. Reading it happens on a thread of the database pool: a large
// one takes a tenth of a second. Any thread.

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/store/tls_reports.h"
#include "libs/tlsrpt/report.h"
#include "services/tls-policy/metrics.h"

namespace godwit::tls_policy {

struct GivenReport {
  std::string file;  // packed
  std::string submitter;
  std::vector<std::string> signers;
};

// What is kept of a report: of very many policies, lines or failures the first, of failures the
// most frequent. InvalidArgument: it can't be one about the near past of a domain.
absl::StatusOr<store::ReceivedTlsReport> Summarize(const tlsrpt::Report& report,
                                                   std::string_view reporter, absl::Time received);

class ReportIntake {
 public:
  struct Options {
    int at_once = 2;               // that are read
    int64_t reports_a_day = 1000;  // of a domain of ours
  };
  // All outlive it.
  ReportIntake(Options options, db::Pool* pool, const base::Clock* clock, Metrics* metrics);

  // "" when it is stored, now or before; else what is wrong with it, for people. An error is ours.
  base::Task<absl::StatusOr<std::string>> Store(GivenReport given);

 private:
  struct Outcome {
    std::string problem = {};  // "": it is stored
    bool duplicate = false;
    int64_t successful = 0;
    int64_t failed = 0;
  };
  static absl::StatusOr<Outcome> ReadAndStore(db::Connection& connection, const GivenReport& given,
                                              absl::Time now, int64_t most);
  void Count(const absl::StatusOr<Outcome>& outcome);

  const Options options_;
  db::Pool* const pool_;
  const base::Clock* const clock_;
  Metrics* const metrics_;
  std::atomic<int> reading_{0};
};

}  // namespace godwit::tls_policy

#pragma once

// What DMARC aggregate reports are made from (RFC 9990), kept by auth-verifier: periods, which are
// a policy domain and a day, and their rows, which count messages that fared alike. Domains are
// lower-case A-labels; every text is UTF-8.
//
// A period is due when its report shall go; it stays open until it is finished, and it and its rows
// are kept for a while after that (godwitctl dmarc failures).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct DmarcPeriod {
  std::string policy_domain;
  absl::Time begins;
  absl::Time ends;
  absl::Time due;
  std::string record;   // of the policy, as it was seen last
  bool wanted = true;   // false: nothing in it asks for a report by itself
  int64_t rows = 0;     // from here on: read only
  int64_t dropped = 0;  // messages that found no room for a row
  std::vector<std::string> sent_to = {};
  std::string outcome = {};  // "" while it is open
};

struct DmarcRow {
  std::string source_ip;  // 4 or 16 octets
  std::string header_from;
  std::string envelope_from;  // domains
  std::string envelope_to;
  std::string disposition;  // "none", "pass", "quarantine", "reject"
  bool dkim_aligned = false;
  bool spf_aligned = false;
  std::string reasons;  // a line each: "type comment"
  std::string dkim;     // a line each: "domain selector result"
  std::string spf_domain;
  std::string spf_result;  // "" for none
  std::string failure;     // what fo= asks a failure report for; "" nothing
  int64_t messages = 1;
};

struct DmarcEvaluation {
  DmarcPeriod period;
  DmarcRow row;
};

// How much may be added.
struct DmarcRoom {
  int64_t rows_of_period = 1000;
  int64_t rows = 1'000'000;  // in all
  int64_t periods = 10'000;
};

// Adds them up, in one transaction, whole periods and rows in a fixed order. Returns the number of
// messages that found no room; those in a period that is there are counted in it.
absl::StatusOr<int64_t> AddDmarcEvaluations(db::Connection& connection,
                                            const std::vector<DmarcEvaluation>& evaluations,
                                            const DmarcRoom& room);

// What open periods take of the room.
struct DmarcTotals {
  int64_t periods = 0;
  int64_t rows = 0;
};
absl::StatusOr<DmarcTotals> CountDmarc(db::Connection& connection);

// Open ones that are due, those that have waited longest first.
absl::StatusOr<std::vector<DmarcPeriod>> DueDmarcPeriods(db::Connection& connection, absl::Time now,
                                                         int most);
// All that are kept, of one domain or of all when it is empty; the youngest first.
absl::StatusOr<std::vector<DmarcPeriod>> ListDmarcPeriods(db::Connection& connection,
                                                          std::string_view domain, int most);
// The most frequent first.
absl::StatusOr<std::vector<DmarcRow>> ReadDmarcRows(db::Connection& connection,
                                                    const DmarcPeriod& period, int64_t most);
// Rows for which the domain asks for failure reports (RFC 9991), the youngest period first.
absl::StatusOr<std::vector<DmarcEvaluation>> ListDmarcFailures(db::Connection& connection,
                                                               std::string_view domain, int most);

absl::Status MarkDmarcSent(db::Connection& connection, const DmarcPeriod& period,
                           std::string_view destination);
absl::Status PostponeDmarcPeriod(db::Connection& connection, const DmarcPeriod& period,
                                 absl::Time due);
absl::Status FinishDmarcPeriod(db::Connection& connection, const DmarcPeriod& period,
                               std::string_view outcome, absl::Time now);

// Removes periods that ended before `oldest`, with their rows; at most `most`. Returns how many.
absl::StatusOr<int64_t> SweepDmarc(db::Connection& connection, absl::Time oldest, int most);

}  // namespace godwit::store

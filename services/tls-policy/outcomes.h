#pragma once

// Outcomes: adds up what became of TLS in memory, and writes it every few seconds (RFC 8460 wants
// counters, and a row a session would be work that others can cause). Bounded: beyond `max_pending`
// different counters new ones are refused. A crash loses what was not written, a few seconds of
// statistics. Any thread.

#include <map>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/store/tls_policy.h"
#include "services/tls-policy/metrics.h"

namespace godwit::tls_policy {

class Outcomes {
 public:
  Outcomes(db::Pool* database, Metrics* metrics, size_t max_pending)
      : database_(database), metrics_(metrics), max_pending_(max_pending) {}

  // ResourceExhausted, and nothing is added, when there is no room.
  absl::Status Add(std::vector<store::TlsOutcome> outcomes);

  // Writes what is pending. While the database is away it stays; when it may have been written
  // already, it is given up.
  base::Task<absl::Status> Flush();

  size_t pending() const;

 private:
  // Everything but the number of sessions, with the time cut to its day.
  struct Less {
    bool operator()(const store::TlsOutcome& a, const store::TlsOutcome& b) const;
  };
  using Counters = std::map<store::TlsOutcome, int64_t, Less>;

  void AddLocked(store::TlsOutcome outcome);

  db::Pool* const database_;
  Metrics* const metrics_;
  const size_t max_pending_;
  mutable std::mutex mutex_;
  Counters counters_;
};

}  // namespace godwit::tls_policy

#pragma once

// SessionLog: keeps what clients were refused, so that `godwitctl session ID` can tell what an id
// in a reply means. Written to the store in batches by a task of its own; nobody waits for it.
//
//   services->session_log->Add(std::move(refused));      // any thread
//   base::SpawnOn(reactor, log.Run());
//
// Sampled: above so many a minute (with a minute's worth at once) they are counted and forgotten.
// Nobody decides alone what is kept: one network (IPv4 /24, IPv6 /48) has a tenth of it, and what
// was refused outside of mail transactions, as to those who come too often, half.
// Bounded: while the store takes nothing, kMaxWaiting wait for it, of bounded size; the others are
// lost, and counted.

#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/rate_limiter.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/obs/metrics.h"
#include "libs/store/refused_sessions.h"

namespace godwit::smtp_ingress {

class SessionLog {
 public:
  static constexpr size_t kMaxWaiting = 2000;
  struct Options {
    int64_t per_minute = 120;  // 0: nothing is kept
    absl::Duration write_interval = absl::Seconds(1);
  };
  // `results`: by "kept", "sampled-out", "lost". All outlive it.
  SessionLog(const Options& options, db::Pool* pool, const base::Clock* clock,
             obs::CounterFamily* results);
  SessionLog(const SessionLog&) = delete;
  SessionLog& operator=(const SessionLog&) = delete;

  // Gives it the time of now.
  void Add(store::RefusedSession session);
  // On a reactor, until it stops.
  base::Task<void> Run();
  // Writes what waits; what could not be written now waits on when a later time may help.
  base::Task<absl::Status> Flush();
  // The last Flush, for two seconds at most; what was not written then is lost, and counted.
  base::Task<void> Finish();

 private:
  bool IsSampled(const store::RefusedSession& session);
  base::Task<void> FlushAtEnd();
  std::vector<store::RefusedSession> Take();
  void PutBack(std::vector<store::RefusedSession> batch);
  void Settle(size_t count);
  size_t Left();

  const Options options_;
  db::Pool* const pool_;
  const base::Clock* const clock_;
  obs::CounterFamily* const results_;
  base::RateLimiter of_network_;
  base::RateLimiter outside_;
  base::RateLimiter sample_;
  std::mutex mutex_;
  std::vector<store::RefusedSession> waiting_;  // guarded by mutex_
  size_t writing_ = 0;                          // guarded by mutex_; on their way
};

}  // namespace godwit::smtp_ingress

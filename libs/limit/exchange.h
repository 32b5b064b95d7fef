#pragma once

// Exchange: tells the other replicas each second what is loud here, and the counters here what is
// loud there, through rows of an UNLOGGED table (store/shared_limits.h).
//
//   limit::Exchange exchange(limits.counters(), &pool, base::RandomSource::System(), metrics);
//   base::SpawnOn(reactor, exchange.Run());
//   ... reactor->RunUntilDone(exchange.Finish());
//
// While nothing is loud nothing is written. Without the database each replica counts for itself,
// and what others said is forgotten after kRemoteLife. A replica that was killed is forgotten as
// soon; its rows are swept each minute by whoever runs. It outlives its Run(), which ends with the
// reactor.

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/limit/counter.h"
#include "libs/obs/metrics.h"

namespace godwit::limit {

struct ExchangeMetrics {
  obs::CounterFamily* exchanges = nullptr;  // by result: "ok", "failed"
};

class Exchange {
 public:
  // All outlive it.
  Exchange(std::vector<Counter*> counters, db::Pool* pool, base::RandomSource* random,
           ExchangeMetrics metrics, absl::Duration period = absl::Seconds(1));

  // On a reactor.
  base::Task<void> Run();
  // Takes back what was told and tells nothing any more: the clients of a daemon that ends go to
  // others. On the reactor of Run(); not for longer than two seconds.
  base::Task<void> Finish();
  // One round, also for tests.
  base::Task<absl::Status> Once();
  base::Task<absl::Status> Sweep();

 private:
  base::Task<void> TakeBack();

  const std::vector<Counter*> counters_;
  db::Pool* const pool_;
  const ExchangeMetrics metrics_;
  const absl::Duration period_;
  const int64_t replica_;
  bool told_ = false;  // others may have something of us
  bool finishing_ = false;
  bool failing_ = false;
};

}  // namespace godwit::limit

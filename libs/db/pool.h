#pragma once

// Pool: a bounded number of database threads, each with a connection of its own, behind a bounded
// queue. libpqxx and libpq block; a coroutine hands its work over and is resumed on its own
// Executor with the result.
//
//   auto boxes = co_await pool.Run([account](db::Connection& c) {
//     return store::ListMailboxes(c, account);
//   });
//
// The job runs on a database thread: it may take no lock that an Executor's thread holds while
// waiting, and must capture by value whatever may be gone when it runs. A job is run at most once:
// what the pool answers itself (Unavailable, DeadlineExceeded, Cancelled) says
// that the job never ran. No connection is held between jobs, so nobody can sit on one while
// waiting for a socket.
//
// After a lost connection the thread opens another when the next job comes; failed attempts back
// off from 50 ms to `max_backoff`, and in between jobs fail at once with Unavailable, so that a
// dead database costs a 451 and not a pile of waiting sessions.
//
// Thread-safe. Lives longer than every coroutine that awaits it: the destructor answers what still
// waits with Cancelled and joins the threads.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/connection.h"

namespace godwit::db {

struct PoolOptions {
  ConnectOptions connect;
  // Threads, which is also the greatest number of connections.
  int threads = 8;
  // Jobs that may wait; one more is refused with Unavailable.
  size_t max_waiting = 1000;
  // A job that has not begun after this long is answered with DeadlineExceeded. What it may take
  // once begun is bounded by the statement timeout.
  absl::Duration queue_timeout = absl::Seconds(10);
  absl::Duration max_backoff = absl::Seconds(2);
};

// Plain numbers, for the metrics of a service. Totals only grow.
struct PoolStats {
  int64_t waiting = 0;
  int64_t running = 0;
  int64_t connected = 0;
  int64_t jobs_total = 0;
  int64_t failed_total = 0;     // jobs that returned an error
  int64_t rejected_total = 0;   // refused: the queue was full
  int64_t timed_out_total = 0;  // waited longer than queue_timeout
  int64_t connects_total = 0;
  int64_t connect_failures_total = 0;
  absl::Duration wait_total;  // from Run() to the job's begin
  absl::Duration run_total;
};

class Pool {
 public:
  explicit Pool(PoolOptions options, base::Clock* clock = base::Clock::System());
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // `job` is a plain function object, Connection& -> Status or StatusOr<T>; not a coroutine.
  template <typename Job>
  base::Task<std::invoke_result_t<Job&, Connection&>> Run(Job job) {
    using R = std::invoke_result_t<Job&, Connection&>;
    base::Completion<R> done;
    absl::Status queued =
        Submit([job = std::move(job), done](Connection* c, absl::Status refused) mutable {
          if (c == nullptr) {
            done.Set(R(refused));
            return refused;
          }
          R result = job(*c);
          absl::Status status = db_internal::StatusOf(result);
          done.Set(std::move(result));
          return status;
        });
    if (!queued.ok()) co_return R(queued);
    R result = co_await done;
    co_return result;
  }

  // The raw form: `work` is called exactly once when OK is returned, on a database thread, with
  // nullptr and the reason when there was no connection for it; it returns how it went, for the
  // statistics. Unavailable or Cancelled: it will not be called.
  using Work = absl::AnyInvocable<absl::Status(Connection*, absl::Status)>;
  absl::Status Submit(Work work);

  PoolStats Stats() const;

 private:
  struct Waiting {
    Work work;
    absl::Duration since;  // on the monotonic clock
  };
  struct Worker;

  void Serve(Worker* worker);
  void RunOne(Worker* worker, Waiting job);
  absl::Status Connect(Worker* worker);

  const PoolOptions options_;
  base::Clock* const clock_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable wake_;
  std::deque<Waiting> queue_;
  bool stopping_ = false;
  PoolStats stats_;
  // Shared by the workers: until then nobody tries to connect.
  absl::Duration retry_at_;
  absl::Duration backoff_;
  absl::Status last_failure_;

  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace godwit::db

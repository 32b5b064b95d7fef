#pragma once

// The life of one outgoing connection: to a host of a site, with the TLS that the route asks for,
// and one transaction after the other for as long as there are jobs.
//
//   base::SpawnOn(reactor, RunConnection(&parts, id, route));
//
// On one reactor. No transaction of the database spans the dialogue. Before the final dot it is
// asked whether the lease still holds for long enough (ConnectionOwner::MayFinish); if not, the
// connection is cut, which leaves the message undelivered.

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/net/tls_context.h"
#include "services/delivery-queue/capture.h"
#include "services/delivery-queue/message.h"
#include "services/delivery-queue/metrics.h"
#include "services/delivery-queue/policy_client.h"
#include "services/delivery-queue/settings.h"

namespace godwit::delivery_queue {

// Who gives jobs to connections and hears of them: the worker. Called on any thread.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // The next job of this connection; null: there is none, close. Resumes on the caller's reactor.
  virtual base::Task<std::unique_ptr<Job>> NextJob(int64_t connection) = 0;
  virtual void OnResult(std::unique_ptr<Job> job, JobResult result) = 0;
  // The connection was found dead before anything was said of the job.
  virtual void OnRequeue(std::unique_ptr<Job> job) = 0;
  // Nobody of the site could be reached: its jobs are put off.
  virtual void OnUnreachable(int64_t connection, smtp::Reply why, const char* at) = 0;
  // The last word of a connection.
  virtual void OnClosed(int64_t connection, bool reached) = 0;
  // Whether the lease on the message holds for long enough to end the dialogue.
  virtual bool MayFinish(const Attempt& attempt) = 0;
  // Which of a job's recipients may be attempted still. Resumes on the caller's reactor.
  virtual base::Task<bool> StillWanted(Job* job) = 0;
};

// What connections share. Outlives them.
struct ConnectionParts {
  const Settings* settings = nullptr;
  const base::Clock* clock = nullptr;
  db::Pool* pool = nullptr;
  PolicyClient* policy = nullptr;  // null: nobody wants to know of TLS
  Capture* capture = nullptr;
  Metrics* metrics = nullptr;
  ConnectionOwner* owner = nullptr;
  // By what is verified.
  std::shared_ptr<net::TlsContext> tls_unverified;
  std::shared_ptr<net::TlsContext> tls_name;
  std::shared_ptr<net::TlsContext> tls_name_reported;  // MTA-STS in testing mode
  std::shared_ptr<net::TlsContext> tls_dane;
  std::shared_ptr<net::TlsContext> tls_internal;
};

base::Task<void> RunConnection(const ConnectionParts* parts, int64_t id, RoutePtr route);

}  // namespace godwit::delivery_queue

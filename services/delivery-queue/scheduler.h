#pragma once

// Scheduler: which job goes over which connection, and when another connection is opened. Pure:
// time is an argument, and what is to be done comes out as actions. One thread.
//
//   scheduler.Offer(std::move(job), now);
//   for (auto& action : scheduler.TakeActions()) ... open / give / close ...
//   scheduler.OnWants(connection, now);                // it is open, or has ended a job
//   scheduler.OnClosed(connection, /*reached=*/true, now);
//
// A site has a queue of jobs and a number of connections. A job goes to a connection that waits;
// otherwise it is queued, and a connection is opened when the site has fewer than its bound and all
// have fewer than theirs. A connection without a job waits for `idle` and is closed; it is closed
// earlier when another site needs its place. A site that could not be reached gets one connection
// at a time until one succeeds. At the bound of all connections sites take turns.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "services/delivery-queue/message.h"

namespace godwit::delivery_queue {

struct SchedulerLimits {
  size_t connections = 500;
  size_t connections_per_site = 10;
  size_t internal_connections = 20;  // to our own ingress, and of capture
  size_t jobs_per_site = 2000;
  size_t jobs_per_connection = 100;
  absl::Duration idle = absl::Seconds(5);
};

class Scheduler {
 public:
  using ConnectionId = int64_t;
  struct Open {
    ConnectionId connection;
    RoutePtr route;
  };
  struct Give {
    ConnectionId connection;
    std::unique_ptr<Job> job;
  };
  // Only ever to a connection that waits for a job.
  struct Close {
    ConnectionId connection;
  };
  using Action = std::variant<Open, Give, Close>;

  explicit Scheduler(const SchedulerLimits& limits) : limits_(limits) {}

  // False: the site has too many jobs, and this one stays the caller's.
  bool Offer(std::unique_ptr<Job>* job, absl::Duration now);
  // Back to the front: its connection was found dead before anything was said of it.
  void Requeue(std::unique_ptr<Job> job, absl::Duration now);

  // A connection that was opened, or has ended its job, is free for the next one.
  void OnWants(ConnectionId connection, absl::Duration now);
  // It is gone. `reached`: it had come to a session.
  void OnClosed(ConnectionId connection, bool reached, absl::Duration now);
  // Everything that is queued for the site of `connection`: nobody there can be reached now.
  std::vector<std::unique_ptr<Job>> TakeAll(ConnectionId connection);

  // Closes what was idle for long enough. Call it every second or so.
  void Tick(absl::Duration now);
  // No job waits any more, and none will: everything that is idle is closed. Returns what waited.
  std::vector<std::unique_ptr<Job>> Stop();

  std::vector<Action> TakeActions() { return std::exchange(actions_, {}); }
  size_t connections() const { return connections_.size(); }
  size_t sites() const { return sites_.size(); }

 private:
  struct Site {
    RoutePtr route;  // of the last job
    std::deque<std::unique_ptr<Job>> jobs;
    size_t connections = 0;
    size_t opening = 0;             // of these, not yet asked for a job
    std::deque<ConnectionId> idle;  // wait for a job, the longest first
    bool unreachable = false;
    bool waiting = false;  // stands in turns_
  };
  struct Connection {
    std::string site;
    bool opening = true;
    bool idle = false;
    absl::Duration idle_since;
    size_t jobs = 0;
  };

  size_t BoundOf(const Site& site) const;
  void Serve(const std::string& name, Site* site);
  void OpenFor(const std::string& name, Site* site);
  bool MakeRoom();
  void CloseIdle(ConnectionId id);
  void ServeTurns();
  void Forget(const std::string& name);

  const SchedulerLimits limits_;
  std::map<std::string, Site> sites_;
  std::map<ConnectionId, Connection> connections_;
  std::deque<std::string> turns_;  // sites that wait for a place
  std::vector<Action> actions_;
  ConnectionId next_connection_ = 1;
  bool stopped_ = false;
};

}  // namespace godwit::delivery_queue

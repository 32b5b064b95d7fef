#pragma once

// Scheduler: which job goes over which connection, and when another connection is opened. Pure:
// time is an argument, and what is to be done comes out as actions. One thread.
//
//   scheduler.Offer(std::move(job), now);
//   for (auto& action : scheduler.TakeActions()) ... open / give / close ...
//   scheduler.OnWants(connection, now);                // it is open, or has ended a job
//   scheduler.OnClosed(connection, /*reached=*/true, now);
//
// A lane (Route::lane) has a queue of jobs and connections that take no others. A job goes to a
// connection that waits; otherwise it is queued, and a connection is opened when the lane's site,
// and all outgoing connections together, have fewer than their bounds. Lanes that find no place of
// their site, or none at all, take turns. A connection without a job waits for `idle` and is
// closed; it is closed earlier when its place is needed.
//
// Connections to our own servers (kInternal, kCapture) have places of their own: however many
// others' servers hold connections or messages, ours are served.
//
// A lane that could not be reached gets one connection at a time, as long as it has jobs, until one
// succeeds. A site that
// refuses one connection more while it serves others (many have a bound of their own) keeps to the
// present number for `refused`; its jobs wait.

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
  size_t connections = 500;  // to others' servers
  size_t opening = 250;      // of these, that have not come to a session yet
  size_t connections_per_site = 10;
  size_t internal_connections = 20;  // to our own ingress, and of capture
  size_t jobs = 7500;                // that wait for others' servers
  size_t jobs_per_site = 2000;
  size_t jobs_per_connection = 100;
  absl::Duration idle = absl::Seconds(5);
  absl::Duration refused = absl::Seconds(30);
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

  // False: too many jobs wait for the site, or for all, and this one stays the caller's.
  bool Offer(std::unique_ptr<Job>* job, absl::Duration now);
  // How many more would be taken now.
  size_t Room(const Route& route) const;
  // Back to the front: its connection was found dead before anything was said of it.
  void Requeue(std::unique_ptr<Job> job, absl::Duration now);

  // A connection that was opened, or has ended its job, is free for the next one.
  void OnWants(ConnectionId connection, absl::Duration now);
  // It is gone. `reached`: it had come to a session.
  void OnClosed(ConnectionId connection, bool reached, absl::Duration now);
  // For a connection that reached nobody: everything that is queued for its lane, if the lane has
  // no other connection; those that are there, or are on their way, serve it otherwise.
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
    size_t lanes = 0;
    size_t jobs = 0;
    size_t connections = 0;
    std::deque<std::string> waiting;  // lanes that wait for a place of the site
    // After one connection more was refused: the bound until then.
    std::optional<size_t> bound;
    absl::Duration bound_until;
  };
  struct Lane {
    RoutePtr route;  // of the last job
    std::deque<std::unique_ptr<Job>> jobs;
    size_t connections = 0;
    size_t opening = 0;             // of these, not yet asked for a job
    std::deque<ConnectionId> idle;  // wait for a job, the longest first
    bool unreachable = false;
    bool waiting = false;  // stands in turns_, or in its site's
  };
  struct Connection {
    std::string lane;
    std::string site;
    bool own = false;
    bool opening = true;
    bool idle = false;
    absl::Duration idle_since;
    size_t jobs = 0;
  };

  static bool IsOwn(const Route& route);
  Lane* LaneFor(const RoutePtr& route);
  Site& SiteFor(const Lane& lane) { return sites_.at(lane.route->site); }
  void Add(Lane* lane, std::unique_ptr<Job> job, bool front);
  std::unique_ptr<Job> TakeFront(Lane* lane);
  bool Wants(const Lane& lane) const;
  bool HasSitePlace(const Lane& lane) const;
  bool HasPlace(const Lane& lane) const;
  void Serve(const std::string& name);
  void Wait(const std::string& name, Lane* lane);
  void OpenFor(const std::string& name, Lane* lane);
  void MakeRoom(const std::string* site);
  void CloseIdle(ConnectionId id);
  void OnOpened(Connection* connection, Lane* lane);
  void Bound(const Lane& lane, absl::Duration now);
  void ServeWaiting(const std::string& site);
  void ServeTurns();
  void Forget(const std::string& name);

  const SchedulerLimits limits_;
  std::map<std::string, Site> sites_;
  std::map<std::string, Lane> lanes_;
  std::map<ConnectionId, Connection> connections_;
  size_t outside_ = 0;             // connections to others
  size_t opening_ = 0;             // of these
  size_t outside_jobs_ = 0;        // that wait for others
  std::deque<std::string> turns_;  // lanes that wait for a place among all
  std::vector<Action> actions_;
  ConnectionId next_connection_ = 1;
  bool stopped_ = false;
};

}  // namespace godwit::delivery_queue

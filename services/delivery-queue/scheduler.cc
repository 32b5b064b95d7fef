#include "services/delivery-queue/scheduler.h"

#include <algorithm>
#include <utility>

#include "libs/base/check.h"

namespace godwit::delivery_queue {

size_t Scheduler::BoundOf(const Site& site) const {
  if (site.unreachable) return 1;
  const RouteKind kind = site.route->kind;
  const bool own = kind == RouteKind::kInternal || kind == RouteKind::kCapture;
  return own ? limits_.internal_connections : limits_.connections_per_site;
}

bool Scheduler::Offer(std::unique_ptr<Job>* job, absl::Duration) {
  if (stopped_) return false;
  const std::string name = (*job)->route->site;
  Site& site = sites_[name];
  if (site.jobs.size() >= limits_.jobs_per_site) return false;
  site.route = (*job)->route;
  site.jobs.push_back(std::move(*job));
  Serve(name, &site);
  return true;
}

void Scheduler::Requeue(std::unique_ptr<Job> job, absl::Duration) {
  const std::string name = job->route->site;
  Site& site = sites_[name];
  site.route = job->route;
  site.jobs.push_front(std::move(job));
  Serve(name, &site);
}

// Gives jobs to connections that wait, then opens connections for the rest.
void Scheduler::Serve(const std::string& name, Site* site) {
  while (!site->jobs.empty() && !site->idle.empty()) {
    // The one that waited for the shortest time is the least likely to have been closed.
    const ConnectionId id = site->idle.back();
    site->idle.pop_back();
    Connection& connection = connections_.at(id);
    connection.idle = false;
    ++connection.jobs;
    actions_.push_back(Give{id, std::move(site->jobs.front())});
    site->jobs.pop_front();
  }
  while (site->jobs.size() > site->opening && site->connections < BoundOf(*site)) {
    if (connections_.size() >= limits_.connections && !MakeRoom()) {
      if (!site->waiting) turns_.push_back(name);
      site->waiting = true;
      return;
    }
    OpenFor(name, site);
  }
}

void Scheduler::OpenFor(const std::string& name, Site* site) {
  const ConnectionId id = next_connection_++;
  connections_[id].site = name;
  ++site->connections;
  ++site->opening;
  actions_.push_back(Open{id, site->route});
}

// A connection that waits for a job gives its place to a site that has one. The place is free only
// when it is gone (OnClosed), so this is no for now.
bool Scheduler::MakeRoom() {
  for (auto& [id, connection] : connections_) {
    if (!connection.idle) continue;
    CloseIdle(id);
    break;
  }
  return false;
}

void Scheduler::CloseIdle(ConnectionId id) {
  Connection& connection = connections_.at(id);
  Site& site = sites_.at(connection.site);
  std::erase(site.idle, id);
  connection.idle = false;
  actions_.push_back(Close{id});
}

void Scheduler::OnWants(ConnectionId id, absl::Duration now) {
  Connection& connection = connections_.at(id);
  const std::string name = connection.site;
  Site& site = sites_.at(name);
  if (connection.opening) {
    connection.opening = false;
    --site.opening;
    site.unreachable = false;
  }
  connection.idle = true;
  connection.idle_since = now;
  site.idle.push_back(id);
  if (connection.jobs >= limits_.jobs_per_connection || stopped_) CloseIdle(id);
  Serve(name, &site);
  const bool wanted = connections_.size() >= limits_.connections && !turns_.empty();
  if (connections_.at(id).idle && wanted) CloseIdle(id);
}

void Scheduler::OnClosed(ConnectionId id, bool reached, absl::Duration) {
  const auto found = connections_.find(id);
  GODWIT_CHECK(found != connections_.end());
  const std::string name = found->second.site;
  Site& site = sites_.at(name);
  if (found->second.opening) --site.opening;
  if (found->second.idle) std::erase(site.idle, id);
  if (!reached) site.unreachable = true;
  --site.connections;
  connections_.erase(found);
  if (turns_.empty()) {
    Serve(name, &site);
  } else if (!site.waiting && site.jobs.size() > site.opening) {
    // Behind those that wait already.
    turns_.push_back(name);
    site.waiting = true;
  }
  ServeTurns();
  Forget(name);
}

void Scheduler::ServeTurns() {
  for (size_t turns = turns_.size(); turns > 0 && connections_.size() < limits_.connections;
       --turns) {
    const std::string name = std::move(turns_.front());
    turns_.pop_front();
    Site& site = sites_.at(name);
    site.waiting = false;
    // One each, so that a large site does not take every place that becomes free.
    if (site.jobs.size() > site.opening && site.connections < BoundOf(site)) OpenFor(name, &site);
    if (site.jobs.size() > site.opening && site.connections < BoundOf(site)) {
      turns_.push_back(name);
      site.waiting = true;
    }
    Forget(name);
  }
}

void Scheduler::Forget(const std::string& name) {
  const auto site = sites_.find(name);
  if (site == sites_.end() || site->second.connections > 0 || site->second.waiting) return;
  if (site->second.jobs.empty()) sites_.erase(site);
}

std::vector<std::unique_ptr<Job>> Scheduler::TakeAll(ConnectionId id) {
  Site& site = sites_.at(connections_.at(id).site);
  std::vector<std::unique_ptr<Job>> jobs;
  for (auto& job : site.jobs) jobs.push_back(std::move(job));
  site.jobs.clear();
  return jobs;
}

void Scheduler::Tick(absl::Duration now) {
  std::vector<ConnectionId> over;
  for (const auto& [id, connection] : connections_) {
    if (connection.idle && now - connection.idle_since >= limits_.idle) over.push_back(id);
  }
  for (ConnectionId id : over) CloseIdle(id);
}

std::vector<std::unique_ptr<Job>> Scheduler::Stop() {
  stopped_ = true;
  std::vector<std::unique_ptr<Job>> jobs;
  for (auto& [name, site] : sites_) {
    for (auto& job : site.jobs) jobs.push_back(std::move(job));
    site.jobs.clear();
  }
  std::vector<ConnectionId> idle;
  for (const auto& [id, connection] : connections_) {
    if (connection.idle) idle.push_back(id);
  }
  for (ConnectionId id : idle) CloseIdle(id);
  return jobs;
}

}  // namespace godwit::delivery_queue

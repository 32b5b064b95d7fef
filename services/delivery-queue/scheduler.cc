#include "services/delivery-queue/scheduler.h"

#include <algorithm>
#include <utility>

#include "libs/base/check.h"

namespace godwit::delivery_queue {

// --- Jobs

bool Scheduler::IsOwn(const Route& route) {
  return route.kind == RouteKind::kInternal || route.kind == RouteKind::kCapture;
}

Scheduler::Lane* Scheduler::LaneFor(const RoutePtr& route) {
  const auto [lane, made] = lanes_.try_emplace(route->lane);
  if (made) ++sites_[route->site].lanes;
  lane->second.route = route;
  return &lane->second;
}

void Scheduler::Add(Lane* lane, std::unique_ptr<Job> job, bool front) {
  ++SiteFor(*lane).jobs;
  if (!IsOwn(*lane->route)) ++outside_jobs_;
  if (front) {
    lane->jobs.push_front(std::move(job));
  } else {
    lane->jobs.push_back(std::move(job));
  }
}

std::unique_ptr<Job> Scheduler::TakeFront(Lane* lane) {
  std::unique_ptr<Job> job = std::move(lane->jobs.front());
  lane->jobs.pop_front();
  --SiteFor(*lane).jobs;
  if (!IsOwn(*lane->route)) --outside_jobs_;
  return job;
}

size_t Scheduler::Room(const Route& route) const {
  const auto site = sites_.find(route.site);
  const size_t there = site == sites_.end() ? 0 : site->second.jobs;
  const size_t room = limits_.jobs_per_site - std::min(limits_.jobs_per_site, there);
  if (IsOwn(route)) return room;
  return std::min(room, limits_.jobs - std::min(limits_.jobs, outside_jobs_));
}

bool Scheduler::Offer(std::unique_ptr<Job>* job, absl::Duration) {
  if (stopped_) return false;
  const RoutePtr route = (*job)->route;
  if (Room(*route) == 0) return false;
  Add(LaneFor(route), std::move(*job), false);
  Serve(route->lane);
  return true;
}

void Scheduler::Requeue(std::unique_ptr<Job> job, absl::Duration) {
  const RoutePtr route = job->route;
  Add(LaneFor(route), std::move(job), true);
  Serve(route->lane);
}

// --- Places

bool Scheduler::Wants(const Lane& lane) const {
  return lane.jobs.size() > lane.opening && !(lane.unreachable && lane.connections > 0);
}

bool Scheduler::HasSitePlace(const Lane& lane) const {
  const Site& site = sites_.at(lane.route->site);
  const size_t bound =
      IsOwn(*lane.route) ? limits_.internal_connections : limits_.connections_per_site;
  return site.connections < std::min(bound, site.bound.value_or(bound));
}

bool Scheduler::HasPlace(const Lane& lane) const {
  if (IsOwn(*lane.route)) return true;
  return outside_ < limits_.connections && opening_ < limits_.opening;
}

// Gives jobs to connections that wait, then opens connections for the rest.
void Scheduler::Serve(const std::string& name) {
  Lane& lane = lanes_.at(name);
  while (!lane.jobs.empty() && !lane.idle.empty()) {
    // The one that waited for the shortest time is the least likely to have been closed.
    const ConnectionId id = lane.idle.back();
    lane.idle.pop_back();
    Connection& connection = connections_.at(id);
    connection.idle = false;
    ++connection.jobs;
    actions_.push_back(Give{id, TakeFront(&lane)});
  }
  while (Wants(lane)) {
    if (!HasSitePlace(lane) || !HasPlace(lane)) return Wait(name, &lane);
    OpenFor(name, &lane);
  }
}

// Until a place of the site, or of all, is free.
void Scheduler::Wait(const std::string& name, Lane* lane) {
  const bool site = !HasSitePlace(*lane);
  if (site || outside_ >= limits_.connections) MakeRoom(site ? &lane->route->site : nullptr);
  if (std::exchange(lane->waiting, true)) return;
  (site ? SiteFor(*lane).waiting : turns_).push_back(name);
}

void Scheduler::OpenFor(const std::string& name, Lane* lane) {
  const ConnectionId id = next_connection_++;
  Connection& connection = connections_[id];
  connection.lane = name;
  connection.site = lane->route->site;
  connection.own = IsOwn(*lane->route);
  if (!connection.own) ++outside_, ++opening_;
  ++SiteFor(*lane).connections;
  ++lane->connections;
  ++lane->opening;
  actions_.push_back(Open{id, lane->route});
}

// A connection that waits for a job gives its place to a lane that has one; with a site only one of
// that site. The place is free only when it is gone (OnClosed).
void Scheduler::MakeRoom(const std::string* site) {
  for (auto& [id, connection] : connections_) {
    if (!connection.idle) continue;
    if (site == nullptr ? connection.own : connection.site != *site) continue;
    CloseIdle(id);
    return;
  }
}

void Scheduler::CloseIdle(ConnectionId id) {
  Connection& connection = connections_.at(id);
  std::erase(lanes_.at(connection.lane).idle, id);
  connection.idle = false;
  actions_.push_back(Close{id});
}

// --- Connections

void Scheduler::OnOpened(Connection* connection, Lane* lane) {
  if (!std::exchange(connection->opening, false)) return;
  --lane->opening;
  if (!connection->own) --opening_;
}

void Scheduler::OnWants(ConnectionId id, absl::Duration now) {
  Connection& connection = connections_.at(id);
  const std::string name = connection.lane;
  Lane& lane = lanes_.at(name);
  if (connection.opening) {
    OnOpened(&connection, &lane);
    lane.unreachable = false;
  }
  connection.idle = true;
  connection.idle_since = now;
  lane.idle.push_back(id);
  if (connection.jobs >= limits_.jobs_per_connection || stopped_) CloseIdle(id);
  // Another lane of the site has no connection at all, and waits for one.
  const std::deque<std::string>& others = SiteFor(lane).waiting;
  const bool starved = std::any_of(others.begin(), others.end(), [&](const std::string& other) {
    return lanes_.at(other).connections == 0;
  });
  if (connection.idle && connection.jobs > 0 && starved) CloseIdle(id);
  Serve(name);
  ServeTurns();
  const bool wanted = !turns_.empty() && !connection.own && outside_ >= limits_.connections;
  if (connections_.at(id).idle && wanted) CloseIdle(id);
}

// One of its connections could not be opened while others work.
void Scheduler::Bound(const Lane& lane, absl::Duration now) {
  Site& site = SiteFor(lane);
  size_t opening = 0;
  for (const auto& [id, each] : connections_) {
    if (each.opening && each.site == lane.route->site) ++opening;
  }
  site.bound = std::max<size_t>(1, site.connections - opening);
  site.bound_until = now + limits_.refused;
}

void Scheduler::OnClosed(ConnectionId id, bool reached, absl::Duration now) {
  const auto found = connections_.find(id);
  GODWIT_CHECK(found != connections_.end());
  Connection connection = std::move(found->second);
  connections_.erase(found);
  Lane& lane = lanes_.at(connection.lane);
  OnOpened(&connection, &lane);
  if (connection.idle) std::erase(lane.idle, id);
  if (!connection.own) --outside_;
  --lane.connections;
  Site& site = sites_.at(connection.site);
  --site.connections;
  // It had its turn: behind the others that wait.
  const auto at = std::find(site.waiting.begin(), site.waiting.end(), connection.lane);
  if (at != site.waiting.end()) std::rotate(at, at + 1, site.waiting.end());
  if (!reached && lane.connections > lane.opening) {
    Bound(lane, now);
  } else if (!reached) {
    lane.unreachable = true;
  }
  // Behind those that wait already.
  if (!lane.waiting && Wants(lane) && !turns_.empty() && !connection.own) {
    lane.waiting = true;
    turns_.push_back(connection.lane);
  }
  ServeWaiting(connection.site);
  ServeTurns();
  const auto left = lanes_.find(connection.lane);
  if (left != lanes_.end() && !left->second.waiting) Serve(connection.lane);
  Forget(connection.lane);
}

// Those for whom their site has a place go on to the turns of all.
void Scheduler::ServeWaiting(const std::string& name) {
  for (auto site = sites_.find(name); site != sites_.end() && !site->second.waiting.empty();
       site = sites_.find(name)) {
    // Who has none first.
    std::deque<std::string>& all = site->second.waiting;
    auto next = std::find_if(all.begin(), all.end(), [&](const std::string& each) {
      return lanes_.at(each).connections == 0;
    });
    if (next == all.end()) next = all.begin();
    const std::string waiting = *next;
    Lane& lane = lanes_.at(waiting);
    if (!HasSitePlace(lane)) return;
    all.erase(next);
    lane.waiting = false;
    const bool own = IsOwn(*lane.route);
    if (Wants(lane) && turns_.empty() && !own && HasPlace(lane)) OpenFor(waiting, &lane);
    while (own && Wants(lane) && HasSitePlace(lane)) OpenFor(waiting, &lane);
    if (Wants(lane)) Wait(waiting, &lane);
    Forget(waiting);
  }
}

// One each, so that a large lane does not take every place that becomes free.
void Scheduler::ServeTurns() {
  while (!turns_.empty()) {
    const std::string name = turns_.front();
    Lane& lane = lanes_.at(name);
    if (!HasPlace(lane)) return;
    turns_.pop_front();
    lane.waiting = false;
    if (Wants(lane) && HasSitePlace(lane)) OpenFor(name, &lane);
    if (Wants(lane)) Wait(name, &lane);
    Forget(name);
  }
}

void Scheduler::Forget(const std::string& name) {
  const auto lane = lanes_.find(name);
  if (lane == lanes_.end() || lane->second.connections > 0 || lane->second.waiting) return;
  if (!lane->second.jobs.empty()) return;
  const auto site = sites_.find(lane->second.route->site);
  if (--site->second.lanes == 0) sites_.erase(site);
  lanes_.erase(lane);
}

std::vector<std::unique_ptr<Job>> Scheduler::TakeAll(ConnectionId id) {
  Lane& lane = lanes_.at(connections_.at(id).lane);
  std::vector<std::unique_ptr<Job>> jobs;
  if (lane.connections > 1) return jobs;
  while (!lane.jobs.empty()) jobs.push_back(TakeFront(&lane));
  return jobs;
}

void Scheduler::Tick(absl::Duration now) {
  std::vector<ConnectionId> over;
  for (const auto& [id, connection] : connections_) {
    if (connection.idle && now - connection.idle_since >= limits_.idle) over.push_back(id);
  }
  for (ConnectionId id : over) CloseIdle(id);
  std::vector<std::string> unbound;
  for (auto& [name, site] : sites_) {
    if (!site.bound || now < site.bound_until) continue;
    site.bound.reset();
    unbound.push_back(name);
  }
  for (const std::string& name : unbound) ServeWaiting(name);
  ServeTurns();
}

std::vector<std::unique_ptr<Job>> Scheduler::Stop() {
  stopped_ = true;
  std::vector<std::unique_ptr<Job>> jobs;
  for (auto& [name, lane] : lanes_) {
    while (!lane.jobs.empty()) jobs.push_back(TakeFront(&lane));
  }
  std::vector<ConnectionId> idle;
  for (const auto& [id, connection] : connections_) {
    if (connection.idle) idle.push_back(id);
  }
  for (ConnectionId id : idle) CloseIdle(id);
  return jobs;
}

}  // namespace godwit::delivery_queue

#include "services/delivery-queue/scheduler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "libs/testing/fake_clock.h"

namespace godwit::delivery_queue {
namespace {

// Plays the connections: notes what they are told.
class Fixture {
 public:
  explicit Fixture(const SchedulerLimits& limits) : scheduler(limits) {}

  bool Offer(const std::string& site, RouteKind kind = RouteKind::kDirect,
             const std::string& lane = "") {
    auto route = std::make_shared<Route>();
    route->site = site;
    route->lane = site + lane;
    route->kind = kind;
    auto job = std::make_unique<Job>();
    job->route = route;
    const bool taken = scheduler.Offer(&job, clock.Monotonic());
    Take();
    return taken;
  }
  void Wants(int64_t connection) {
    scheduler.OnWants(connection, clock.Monotonic());
    Take();
  }
  void Closed(int64_t connection, bool reached = true) {
    open.erase(connection);
    scheduler.OnClosed(connection, reached, clock.Monotonic());
    Take();
  }
  void Tick() {
    scheduler.Tick(clock.Monotonic());
    Take();
  }
  void Take() {
    for (auto& action : scheduler.TakeActions()) {
      if (auto* o = std::get_if<Scheduler::Open>(&action)) open[o->connection] = o->route->lane;
      if (auto* g = std::get_if<Scheduler::Give>(&action)) {
        given.push_back(g->connection);
        lanes.push_back(g->job->route->lane);
      }
      if (auto* c = std::get_if<Scheduler::Close>(&action)) closing.insert(c->connection);
    }
  }
  int OpenTo(const std::string& site) {
    return static_cast<int>(
        std::count_if(open.begin(), open.end(), [&](auto& o) { return o.second == site; }));
  }

  testing::FakeClock clock;
  Scheduler scheduler;
  std::map<int64_t, std::string> open;
  std::vector<int64_t> given;
  std::vector<std::string> lanes;  // of the jobs given
  std::set<int64_t> closing;
};

TEST_CASE("A connection takes one job after the other and is closed when idle",
          "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 1, .idle = absl::Seconds(5)});
  CHECK(f.Offer("a"));
  CHECK(f.Offer("a"));
  REQUIRE(f.open.size() == 1);
  CHECK(f.given.empty());  // it is not open yet
  f.Wants(1);
  CHECK(f.given.size() == 1);
  f.Wants(1);
  CHECK(f.given.size() == 2);
  f.Wants(1);
  f.clock.Advance(absl::Seconds(4));
  f.Tick();
  CHECK(f.closing.empty());
  // Reused while it waits.
  CHECK(f.Offer("a"));
  CHECK(f.given == std::vector<int64_t>{1, 1, 1});
  f.Wants(1);
  f.clock.Advance(absl::Seconds(5));
  f.Tick();
  CHECK(f.closing.contains(1));
  f.Closed(1);
  CHECK(f.scheduler.connections() == 0);
  CHECK(f.scheduler.sites() == 0);
}

TEST_CASE("A site has at most so many connections, and all together, too",
          "[delivery-queue][unit]") {
  Fixture f({.connections = 5, .connections_per_site = 3, .internal_connections = 4});
  for (int i = 0; i < 10; ++i) f.Offer("a");
  CHECK(f.OpenTo("a") == 3);
  for (int i = 0; i < 10; ++i) f.Offer("b");
  CHECK(f.OpenTo("b") == 2);
  for (int i = 0; i < 10; ++i) f.Offer("c");
  CHECK(f.OpenTo("c") == 0);
  // Places that become free go to the sites in turn.
  f.Closed(1);
  f.Closed(2);
  CHECK(f.open.size() == 5);
  CHECK(f.OpenTo("b") + f.OpenTo("c") == 4);
  CHECK(f.OpenTo("c") >= 1);

  Fixture own({.connections_per_site = 1, .internal_connections = 4});
  for (int i = 0; i < 10; ++i) own.Offer("home", RouteKind::kInternal);
  CHECK(own.OpenTo("home") == 4);
}

TEST_CASE("An idle connection gives its place to a site that waits", "[delivery-queue][unit]") {
  Fixture f({.connections = 1});
  f.Offer("a");
  f.Wants(1);
  f.Wants(1);  // idle
  f.Offer("b");
  CHECK(f.closing.contains(1));
  CHECK(f.OpenTo("b") == 0);
  f.Closed(1);
  CHECK(f.OpenTo("b") == 1);
}

TEST_CASE("A busy connection goes when others wait for its place", "[delivery-queue][unit]") {
  Fixture f({.connections = 1});
  f.Offer("a");
  f.Wants(1);
  f.Offer("b");
  CHECK(f.closing.empty());
  f.Wants(1);  // its job is done, it has no other
  CHECK(f.closing.contains(1));
  f.Closed(1);
  CHECK(f.OpenTo("b") == 1);
}

TEST_CASE("A site may fill its queue, but not that of others", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 1, .jobs_per_site = 3});
  for (int i = 0; i < 3; ++i) CHECK(f.Offer("slow"));
  CHECK_FALSE(f.Offer("slow"));
  CHECK(f.Offer("other"));
  f.Wants(1);
  CHECK(f.Offer("slow"));
}

TEST_CASE("Who can not be reached is tried one connection at a time", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 3});
  for (int i = 0; i < 3; ++i) f.Offer("down");
  CHECK(f.OpenTo("down") == 3);
  CHECK(f.scheduler.TakeAll(1).empty());
  f.Closed(1, false);
  for (int i = 0; i < 5; ++i) f.Offer("down");
  CHECK(f.OpenTo("down") == 2);  // those that try already
  f.Closed(2, false);
  // The last word: nobody came through.
  CHECK(f.scheduler.TakeAll(3).size() == 8);
  for (int i = 0; i < 5; ++i) f.Offer("down");
  CHECK(f.OpenTo("down") == 1);
  f.Closed(3, false);
  CHECK(f.OpenTo("down") == 1);
  // One that succeeds opens the door.
  f.Wants(f.open.begin()->first);
  CHECK(f.OpenTo("down") == 3);
}

// A provider that takes four connections from an address answered the fifth with 421, and all that
// waited, which the four would have delivered, was put off with a doubled pause, again and again.
TEST_CASE("A site that refuses one connection more keeps its jobs", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 3, .refused = absl::Seconds(30)});
  for (int i = 0; i < 20; ++i) f.Offer("busy");
  f.Wants(1);
  f.Wants(2);
  CHECK(f.scheduler.TakeAll(3).empty());
  f.Closed(3, false);
  CHECK(f.OpenTo("busy") == 2);
  CHECK(f.open.size() == 2);
  f.Wants(1);
  CHECK(f.given.size() == 3);
  // One that works goes: another may come.
  f.Closed(2);
  CHECK(f.OpenTo("busy") == 2);
  f.Wants(f.open.rbegin()->first);
  f.clock.Advance(absl::Seconds(29));
  f.Tick();
  CHECK(f.OpenTo("busy") == 2);
  f.clock.Advance(absl::Seconds(1));
  f.Tick();
  CHECK(f.OpenTo("busy") == 3);
}

// The certificate for one domain said nothing of another at the same host.
TEST_CASE("What is to be proven has connections of its own, in the bounds of the site",
          "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 2, .jobs_per_site = 6});
  for (int i = 0; i < 3; ++i) f.Offer("a", RouteKind::kDirect, "1");
  CHECK(f.OpenTo("a1") == 2);
  f.Offer("a", RouteKind::kDirect, "2");
  f.Offer("b", RouteKind::kDirect);
  CHECK(f.OpenTo("b") == 1);
  CHECK(f.OpenTo("a2") == 0);
  CHECK(f.Offer("a", RouteKind::kDirect, "2"));
  CHECK(f.Offer("a", RouteKind::kDirect, "3"));
  CHECK_FALSE(f.Offer("a", RouteKind::kDirect, "3"));
  f.Wants(1);
  // After its job it makes place for those that have none, though it had another job.
  f.Wants(1);
  CHECK(f.closing.contains(1));
  f.Closed(1);
  CHECK(f.OpenTo("a2") == 1);
  f.Wants(4);
  CHECK(f.lanes == std::vector<std::string>{"a1", "a2"});
  f.Wants(2);
  f.Wants(2);
  CHECK(f.closing.contains(2));
  f.Closed(2);
  CHECK(f.OpenTo("a3") == 1);
}

// One account's messages to servers that do not answer held all connections and all messages; then
// no mail went to our own mailboxes.
TEST_CASE("Our own servers are served whatever others hold", "[delivery-queue][unit]") {
  Fixture f({.connections = 4, .internal_connections = 2, .jobs = 6, .jobs_per_site = 4});
  int refused = 0;
  for (int i = 0; i < 20; ++i) refused += !f.Offer("tarpit" + std::to_string(i));
  CHECK(refused == 14);
  CHECK(f.open.size() == 4);
  for (int i = 0; i < 3; ++i) CHECK(f.Offer("home", RouteKind::kInternal));
  CHECK(f.OpenTo("home") == 2);
  f.Closed(5);
  CHECK(f.OpenTo("home") == 2);
  Route tarpit, home;
  tarpit.site = "tarpit0";
  home.site = "home";
  home.kind = RouteKind::kInternal;
  CHECK(f.scheduler.Room(tarpit) == 0);
  CHECK(f.scheduler.Room(home) == 1);
  for (int64_t id = 1; id <= 3; ++id) f.Wants(id);
  CHECK(f.scheduler.Room(tarpit) == 3);
}

TEST_CASE("Those that are on their way have a part of the places", "[delivery-queue][unit]") {
  Fixture f({.connections = 4, .opening = 2});
  for (const char* site : {"a", "b", "c"}) f.Offer(site);
  CHECK(f.open.size() == 2);
  f.Wants(1);
  CHECK(f.OpenTo("c") == 1);
}

TEST_CASE("A connection is renewed after so many messages", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 1, .jobs_per_connection = 2});
  for (int i = 0; i < 3; ++i) f.Offer("a");
  f.Wants(1);
  f.Wants(1);
  f.Wants(1);
  CHECK(f.given.size() == 2);
  CHECK(f.closing.contains(1));
  f.Closed(1);
  CHECK(f.OpenTo("a") == 1);
}

TEST_CASE("A job of a dead connection goes to the front", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 1});
  f.Offer("a");
  f.Wants(1);
  f.Closed(1);
  auto route = std::make_shared<Route>();
  route->site = route->lane = "a";
  auto job = std::make_unique<Job>();
  job->route = route;
  f.scheduler.Requeue(std::move(job), f.clock.Monotonic());
  f.Take();
  CHECK(f.OpenTo("a") == 1);
}

TEST_CASE("After the stop nothing begins", "[delivery-queue][unit]") {
  Fixture f({.connections_per_site = 1});
  f.Offer("a");
  f.Offer("a");
  f.Offer("b");
  f.Wants(1);  // works on the first job
  CHECK(f.scheduler.Stop().size() == 2);
  CHECK_FALSE(f.Offer("a"));
  f.Wants(1);
  CHECK(f.closing.contains(1));
  f.Closed(1);
  f.Wants(2);  // was being opened
  CHECK(f.closing.contains(2));
}

}  // namespace
}  // namespace godwit::delivery_queue

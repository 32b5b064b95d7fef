// Replicas that tell one another through a real PostgreSQL.

#include "libs/limit/exchange.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/time/clock.h"
#include "libs/limit/clients.h"
#include "libs/net/reactor.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/must.h"
#include "libs/testing/scratch_database.h"

namespace godwit::limit {
namespace {

using testing::Must;
using testing::MustOk;

// One daemon of several.
struct Replica {
  Replica(const testing::ScratchDatabase& database, const base::Clock* clock)
      : pool(database.PoolOptions(1, "godwit_smtp_ingress")),
        limits({.connections = 30}, clock, base::RandomSource::System()),
        exchange(limits.counters(), &pool, base::RandomSource::System(), {}) {}
  absl::Status Round() { return base::RunBlocking(exchange.Once()); }

  db::Pool pool;
  ClientLimits limits;
  Exchange exchange;
};

TEST_CASE("A client does not get its limit once a replica", "[limit][integration]") {
  testing::ScratchDatabase database;
  testing::FakeClock clock;
  Replica one(database, &clock), two(database, &clock), three(database, &clock);
  const base::IpAddress client = *base::IpAddress::Parse("192.0.2.1");
  std::vector<Admission> kept;
  const auto connect = [&](Replica& replica, int count) {
    int admitted = 0;
    for (int i = 0; i < count; ++i) {
      kept.push_back(replica.limits.Admit(client));
      admitted += kept.back().refused_by.empty();
    }
    return admitted;
  };

  MustOk(one.Round());
  CHECK(database.Ask("SELECT count(*) FROM shared_limits") == "0");  // nothing is loud
  CHECK(connect(one, 20) == 20);
  MustOk(one.Round());
  MustOk(two.Round());
  CHECK(connect(two, 30) == 10);
  MustOk(two.Round());
  MustOk(three.Round());
  CHECK(connect(three, 30) == 0);
  MustOk(one.Round());
  CHECK(connect(one, 30) == 0);
  CHECK(database.Ask("SELECT count(DISTINCT replica) FROM shared_limits") == "2");

  SECTION("quiet again: the rows go") {
    kept.clear();
    clock.Advance(absl::Minutes(10));
    MustOk(one.Round());
    MustOk(two.Round());
    MustOk(three.Round());
    CHECK(database.Ask("SELECT count(*) FROM shared_limits") == "0");
    CHECK(connect(three, 30) == 30);
  }
  SECTION("without the database each counts for itself") {
    testing::ScratchDatabase::StopCluster();
    CHECK_FALSE(three.Round().ok());
    CHECK(connect(three, 30) == 0);
    clock.Advance(kRemoteLife + absl::Seconds(1));
    CHECK(connect(three, 31) == 30);
    testing::ScratchDatabase::StartCluster();
  }
  SECTION("a replica that ends takes back what it told, and tells nothing more") {
    net::Reactor reactor;
    reactor.RunUntilDone(two.exchange.Finish());
    CHECK(database.Ask("SELECT count(*) FROM shared_limits WHERE counter = 'smtp-connections'") ==
          "1");
    MustOk(three.Round());
    CHECK(connect(three, 30) == 10);
    testing::ScratchDatabase::StopCluster();
    const absl::Time begin = absl::Now();
    reactor.RunUntilDone(one.exchange.Finish());
    CHECK(absl::Now() - begin < absl::Seconds(5));
    testing::ScratchDatabase::StartCluster();
  }
  SECTION("what the database's clock left in the future is not heard, and swept") {
    auto connection = database.Connect();
    MustOk(
        connection
            ->ExecuteScript("UPDATE shared_limits SET at = clock_timestamp() + interval '1 hour'")
            .status());
    MustOk(three.Round());
    CHECK(connect(three, 31) == 30);
    MustOk(base::RunBlocking(three.exchange.Sweep()));
    CHECK(database.Ask("SELECT count(*) FROM shared_limits") == "0");
  }
  SECTION(
      "a replica that was killed is forgotten, and its row swept, however loud the others are") {
    auto connection = database.Connect();
    MustOk(
        connection
            ->ExecuteScript("UPDATE shared_limits SET at = clock_timestamp() - interval '1 hour'")
            .status());
    MustOk(three.Round());
    CHECK(connect(three, 31) == 30);
    MustOk(three.Round());
    MustOk(base::RunBlocking(three.exchange.Sweep()));
    CHECK(database.Ask("SELECT count(DISTINCT replica) FROM shared_limits") == "1");
  }
}

TEST_CASE("Of more networks than can be told those nearest their limits are told",
          "[limit][unit]") {
  std::vector<Count> counts;
  const auto add = [&](const char* text, double level) {
    counts.push_back({*NetworkKey::Parse(text), level});
  };
  for (size_t i = 0; i < kMaxLoud; ++i) add("192.0.0.0/21", 100);  // of 270
  add("192.0.2.1/32", 29);                                         // of 30
  const Networks networks({});
  const std::vector<Count> told = Loudest(counts, networks);
  CHECK(told.size() == kMaxLoud);
  CHECK(std::any_of(told.begin(), told.end(),
                    [](const Count& count) { return count.network.bits == 32; }));
}

}  // namespace
}  // namespace godwit::limit

// Against a real PostgreSQL: what is kept, and what when there is too much or nobody takes it.

#include "services/smtp-ingress/session_log.h"

#include <catch2/catch.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "libs/net/reactor.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/scratch_database.h"
#include "services/smtp-ingress/metrics.h"

namespace godwit::smtp_ingress {
namespace {

class SessionLogFixture {
 public:
  SessionLogFixture() : pool(database.PoolOptions(1, "godwit_smtp_ingress")) {}

  // Of mail, each from a network of its own.
  void Add(SessionLog* log, int count) {
    for (int i = 0; i < count; ++i, ++added) {
      AddFrom(log, "10." + std::to_string(added / 256) + "." + std::to_string(added % 256) + ".1");
    }
  }
  void AddFrom(SessionLog* log, const std::string& client, int count = 1, int64_t transaction = 1) {
    for (int i = 0; i < count; ++i) {
      store::RefusedSession session;
      session.session = "s";
      session.transaction = transaction;
      session.client = *base::IpAddress::Parse(client);
      session.reply = "550 5.7.1 No";
      log->Add(std::move(session));
    }
  }
  void Flush(SessionLog* log) { base::RunBlocking(log->Flush()).IgnoreError(); }
  std::string Rows() const { return database.Ask("SELECT count(*) FROM refused_sessions"); }

  testing::ScratchDatabase database;
  db::Pool pool;
  testing::FakeClock clock;
  Metrics metrics;
  int added = 0;
};

TEST_CASE_METHOD(SessionLogFixture, "Refused sessions are sampled above a rate",
                 "[smtp-ingress][component]") {
  SessionLog log({.per_minute = 60}, &pool, &clock, &metrics.refused_sessions);
  Add(&log, 600);
  Flush(&log);
  CHECK(Rows() == "60");
  clock.Advance(absl::Seconds(10));
  Add(&log, 600);
  Flush(&log);
  CHECK(Rows() == "70");
  SessionLog none({.per_minute = 0}, &pool, &clock, &metrics.refused_sessions);
  Add(&none, 10);
  Flush(&none);
  CHECK(Rows() == "70");
}

// One address with ten connections a second took every place, and an id in a 550 led nowhere.
TEST_CASE_METHOD(SessionLogFixture, "No network decides alone what is kept",
                 "[smtp-ingress][component]") {
  SessionLog log({.per_minute = 200}, &pool, &clock, &metrics.refused_sessions);
  AddFrom(&log, "192.0.2.1", 1000);
  AddFrom(&log, "192.0.2.200", 1000);
  Flush(&log);
  CHECK(Rows() == "20");
  AddFrom(&log, "2001:db8:0:1::1", 100);
  AddFrom(&log, "2001:db8:0:2::1", 100);
  Flush(&log);
  CHECK(Rows() == "40");
  // Connections without mail from very many do not take the place of mail.
  for (int i = 0; i < 250; ++i) AddFrom(&log, "10.0." + std::to_string(i) + ".1", 1, 0);
  Flush(&log);
  CHECK(Rows() == "140");
  AddFrom(&log, "198.51.100.1");
  Flush(&log);
  CHECK(Rows() == "141");
}

TEST_CASE_METHOD(SessionLogFixture, "The end waits for what is being written, but not for long",
                 "[smtp-ingress][component]") {
  SessionLog log({.per_minute = 100}, &pool, &clock, &metrics.refused_sessions);
  net::Reactor reactor;
  Add(&log, 3);
  auto lock = database.Connect();
  REQUIRE(lock->ExecuteScript("BEGIN; LOCK TABLE refused_sessions").ok());
  SECTION("it comes") {
    std::thread unlock([&] {
      absl::SleepFor(absl::Milliseconds(300));
      CHECK(lock->ExecuteScript("COMMIT").ok());
    });
    reactor.RunUntilDone(log.Finish());
    unlock.join();
    CHECK(Rows() == "3");
  }
  SECTION("it does not come") {
    const absl::Time begin = absl::Now();
    reactor.RunUntilDone(log.Finish());
    CHECK(absl::Now() - begin < absl::Seconds(4));
    CHECK(lock->ExecuteScript("ROLLBACK").ok());
    reactor.RunUntilDone(log.Finish());
    CHECK(Rows() == "3");
  }
}

TEST_CASE_METHOD(SessionLogFixture, "Many rows go in several transactions",
                 "[smtp-ingress][component]") {
  SessionLog log({.per_minute = 10'000}, &pool, &clock, &metrics.refused_sessions);
  Add(&log, 1234);
  Flush(&log);
  CHECK(Rows() == "1234");
}

TEST_CASE_METHOD(SessionLogFixture, "Without the database a bounded number waits for it",
                 "[smtp-ingress][component]") {
  SessionLog log({.per_minute = 10'000}, &pool, &clock, &metrics.refused_sessions);
  testing::ScratchDatabase::StopCluster();
  Add(&log, 700);
  Flush(&log);
  Add(&log, 2000);
  testing::ScratchDatabase::StartCluster();
  for (int i = 0; i < 100; ++i) {
    Flush(&log);
    if (Rows() == std::to_string(SessionLog::kMaxWaiting)) break;
    absl::SleepFor(absl::Milliseconds(50));
  }
  CHECK(Rows() == std::to_string(SessionLog::kMaxWaiting));
}

}  // namespace
}  // namespace godwit::smtp_ingress

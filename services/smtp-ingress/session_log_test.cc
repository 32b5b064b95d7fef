// Against a real PostgreSQL: what is kept, and what when there is too much or nobody takes it.

#include "services/smtp-ingress/session_log.h"

#include <catch2/catch.hpp>

#include "absl/time/clock.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/scratch_database.h"
#include "services/smtp-ingress/metrics.h"

namespace godwit::smtp_ingress {
namespace {

class SessionLogFixture {
 public:
  SessionLogFixture() : pool(database.PoolOptions(1, "godwit_smtp_ingress")) {}

  void Add(SessionLog* log, int count) {
    for (int i = 0; i < count; ++i) {
      store::RefusedSession session;
      session.session = "s" + std::to_string(added++);
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

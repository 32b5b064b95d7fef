#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/db/connection.h"
#include "libs/db/error.h"
#include "libs/db/pool.h"
#include "libs/testing/scratch_database.h"

namespace godwit::db {
namespace {

using testing::Schema;
using testing::ScratchDatabase;
using Code = absl::StatusCode;

const Statement kScalars("test_scalars", Scope::kSession, Access::kRead,
                         "SELECT $1, $2, $3, $4, $5, $6, 7::int, 8::smallint");
const Statement kArrays("test_arrays", Scope::kSession, Access::kRead,
                        "SELECT $1, $2, cardinality($3), $3[2], $4[1], $5[1], "
                        "array_position($6, NULL), '{1,2}'::int[]");
const Statement kNulls("test_nulls", Scope::kSession, Access::kRead,
                       "SELECT $1, $2, $3, $4, NULL::bigint[]");
const Statement kInsert("test_insert", Scope::kSession, Access::kWrite,
                        "INSERT INTO t (id, text) VALUES ($1, $2)");
const Statement kUpdate("test_update", Scope::kSession, Access::kWrite,
                        "UPDATE t SET text = $2 WHERE id = $1");
const Statement kCount("test_count", Scope::kSession, Access::kRead, "SELECT count(*) FROM t");
const Statement kSleep("test_sleep", Scope::kSession, Access::kRead, "SELECT pg_sleep($1)");
const Statement kPid("test_pid", Scope::kSession, Access::kRead, "SELECT pg_backend_pid()");
const Statement kWrong("test_wrong", Scope::kSession, Access::kRead, "SELECT nothing FROM t");

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}

struct Fixture {
  Fixture() : database(testing::Durability::kFast, Schema::kEmpty), c(database.Connect()) {
    Must(c->ExecuteScript("CREATE TABLE t (id bigint PRIMARY KEY, text text)"));
  }
  absl::Status Insert(Connection& connection, int64_t id) {
    return connection.Execute(kInsert, Params().Int(id).Text("x")).status();
  }
  int64_t Count() { return Must(c->Execute(kCount, Params()))[0].Int(0); }

  ScratchDatabase database;
  std::unique_ptr<Connection> c;
};

TEST_CASE("SQLSTATE decides the code", "[db][unit]") {
  auto code = [](std::string_view state) { return StatusFromSqlState(state, "x\n").code(); };
  CHECK(code("40001") == Code::kAborted);
  CHECK(code("40P01") == Code::kAborted);
  CHECK(code("08006") == Code::kUnavailable);
  CHECK(code("57P01") == Code::kUnavailable);
  CHECK(code("57014") == Code::kDeadlineExceeded);
  // A full disk is no quota: clients were told that they are over theirs.
  CHECK(code("53100") == Code::kUnavailable);
  CHECK(code("53300") == Code::kUnavailable);
  CHECK(code("23505") == Code::kAlreadyExists);
  CHECK(code("23503") == Code::kFailedPrecondition);
  CHECK(code("22021") == Code::kInvalidArgument);
  CHECK(code("42501") == Code::kPermissionDenied);
  CHECK(code("42P01") == Code::kInternal);
  CHECK(code("XX001") == Code::kDataLoss);
  CHECK(code("ZG404") == Code::kNotFound);
  CHECK(base::Message(StatusFromSqlState("22021", "bad\n")) == "bad (SQLSTATE 22021)");
}

TEST_CASE_METHOD(Fixture, "Values come back as they went", "[db][integration]") {
  const absl::Time time = absl::FromUnixMicros(1'700'000'000'123'456);
  const std::string bytes("\0\xff\\x'", 5);
  for (const int64_t number : {int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    auto result = Must(c->Execute(
        kScalars,
        Params().Int(number).Text("Grüße '").Bytes(bytes).Bool(true).Double(-0.5).Time(time)));
    const Row row = result[0];
    CHECK(row.Int(0) == number);
    CHECK(row.Text(1) == "Grüße '");
    CHECK(row.Bytes(2) == bytes);
    CHECK(row.Bool(3));
    CHECK(row.Double(4) == -0.5);
    CHECK(row.Time(5) == time);
    CHECK((row.Int(6) == 7 && row.Int(7) == 8));
  }
  auto ends =
      Must(c->Execute(kScalars, Params().Int(0).Text("").Bytes("").Bool(false).Double(0).Time(
                                    absl::InfiniteFuture())));
  CHECK(ends[0].Time(5) == absl::InfiniteFuture());
  CHECK(ends[0].Text(1).empty());
}

TEST_CASE_METHOD(Fixture, "Arrays and NULLs", "[db][integration]") {
  const std::vector<int64_t> ints = {1, -2, INT64_MAX};
  const std::vector<std::string> texts = {"", "a,b", "{\"}"};
  const std::vector<std::string_view> bytes = {"x", std::string_view("\0y", 2)};
  const std::vector<absl::Time> times = {absl::UnixEpoch()};
  const std::vector<std::optional<std::string_view>> some = {"a", std::nullopt};
  Params params;
  params.Ints(ints).Texts(std::span<const std::string>(texts)).BytesArray(bytes);
  params.Bools({true, false}).Times(times).OptionalTexts(some);
  auto result = Must(c->Execute(kArrays, params));
  CHECK(result[0].Ints(0) == ints);
  CHECK(result[0].Texts(1) == texts);
  CHECK(result[0].Int(2) == 2);
  CHECK(result[0].Bytes(3) == bytes[1]);
  CHECK(result[0].Bool(4));
  CHECK(result[0].Time(5) == absl::UnixEpoch());
  CHECK(result[0].Int(6) == 2);
  CHECK(result[0].Ints(7) == std::vector<int64_t>{1, 2});

  auto nulls = Must(c->Execute(kNulls, Params()
                                           .OptionalInt(std::nullopt)
                                           .OptionalText(std::nullopt)
                                           .OptionalBytes(std::nullopt)
                                           .OptionalTime(std::nullopt)));
  for (int i = 0; i < 4; ++i) CHECK(nulls[0].IsNull(i));
  CHECK_FALSE(nulls[0].OptionalInt(0).has_value());
  CHECK(nulls[0].Ints(4).empty());
}

TEST_CASE_METHOD(Fixture, "Errors are Statuses, and the connection goes on", "[db][integration]") {
  CHECK(Insert(*c, 1).ok());
  CHECK(Insert(*c, 1).code() == Code::kAlreadyExists);
  CHECK(c->Execute(kInsert, Params().Int(2).Text("\xff")).status().code() ==
        Code::kInvalidArgument);
  CHECK(c->Execute(kWrong, Params()).status().code() == Code::kInternal);
  CHECK(c->ExecuteScript("SELECT").ok());
  CHECK(c->ExecuteScript("SELEC").status().code() == Code::kInternal);
  CHECK(Count() == 1);
  CHECK(Connection::Open({.conninfo = "host=/nonexistent"}).status().code() == Code::kUnavailable);
}

TEST_CASE_METHOD(Fixture, "A transaction is undone when its body fails", "[db][integration]") {
  CHECK(RunTransaction(*c, [&](Connection& t) -> absl::Status {
          CHECK(Insert(t, 1).ok());
          return base::InvalidArgument("no");
        }).code() == Code::kInvalidArgument);
  CHECK(Count() == 0);
  CHECK(RunTransaction(*c, [&](Connection& t) { return Insert(t, 1); }).ok());
  // A body that hides a failed statement does not commit in silence.
  CHECK(RunTransaction(*c, [&](Connection& t) -> absl::Status {
          CHECK(Insert(t, 2).ok());
          (void)Insert(t, 1);
          return absl::OkStatus();
        }).code() == Code::kInternal);
  CHECK(Count() == 1);
  CHECK(RunTransaction(
            *c, [&](Connection& t) { return Insert(t, 3); }, Isolation::kSnapshotReadOnly)
            .code() == Code::kFailedPrecondition);
}

TEST_CASE_METHOD(Fixture, "A deadlock is retried", "[db][integration]") {
  CHECK(Insert(*c, 1).ok());
  CHECK(Insert(*c, 2).ok());
  Must(c->ExecuteScript("ALTER SYSTEM SET deadlock_timeout = '20ms'"));
  Must(c->ExecuteScript("SELECT pg_reload_conf()"));
  std::atomic<int> holding = 0;
  std::atomic<int> tries = 0;
  auto run = [&](int64_t first, int64_t second) {
    auto own = database.Connect();
    bool met = false;
    absl::Status status = RunTransaction(*own, [&](Connection& t) -> absl::Status {
      ++tries;
      auto set = [&](int64_t id) {
        return t.Execute(kUpdate, Params().Int(id).Text("y")).status();
      };
      absl::Status one = set(first);
      if (!one.ok()) return one;
      ++holding;
      while (!met && holding < 2) std::this_thread::yield();
      met = true;
      return set(second);
    });
    CHECK(status.ok());
  };
  std::thread other([&] { run(2, 1); });
  run(1, 2);
  other.join();
  CHECK(tries >= 3);  // the second try may meet again
}

TEST_CASE_METHOD(Fixture, "A pipeline is one transaction and one snapshot", "[db][integration]") {
  const std::vector<Connection::Call> good = {{&kInsert, std::move(Params().Int(1).Text("a"))},
                                              {&kInsert, std::move(Params().Int(2).Text("b"))},
                                              {&kCount, Params()}};
  for (int round = 0; round < 2; ++round) {  // preparing, then prepared
    auto results = Must(c->ExecutePipeline(good, Isolation::kReadCommitted));
    CHECK(results[2][0].Int(0) == 2);
    Must(c->ExecuteScript("DELETE FROM t"));
  }
  const std::vector<Connection::Call> bad = {{&kInsert, std::move(Params().Int(1).Text("a"))},
                                             {&kInsert, std::move(Params().Int(1).Text("b"))},
                                             {&kCount, Params()}};
  CHECK(c->ExecutePipeline(bad, Isolation::kReadCommitted).status().code() == Code::kAlreadyExists);
  CHECK(Count() == 0);
  CHECK(c->ExecutePipeline(good, Isolation::kSnapshotReadOnly).status().code() ==
        Code::kFailedPrecondition);
  CHECK(Insert(*c, 5).ok());
}

// What was prepared before the error stays prepared, rollback or not. The connection did not know
// it and prepared it again: 42P05, each time, until the process ended.
TEST_CASE_METHOD(Fixture, "A pipeline that fails in its first use works in the next",
                 "[db][integration]") {
  const Connection::Call insert = {&kInsert, std::move(Params().Int(1).Text("a"))};
  const Connection::Call poison = {&kInsert, std::move(Params().Int(2).Text("\xff"))};
  const Connection::Call wrong = {&kWrong, Params()};
  const Connection::Call count = {&kCount, Params()};
  const std::vector<Connection::Call> fails_running = {count, poison, insert};
  CHECK(c->ExecutePipeline(fails_running, Isolation::kReadCommitted).status().code() ==
        Code::kInvalidArgument);
  const std::vector<Connection::Call> fails_preparing = {insert, wrong, count};
  CHECK(c->ExecutePipeline(fails_preparing, Isolation::kReadCommitted).status().code() ==
        Code::kInternal);
  const std::vector<Connection::Call> good = {insert, count, count};
  for (int round = 0; round < 2; ++round) {
    auto results = Must(c->ExecutePipeline(good, Isolation::kReadCommitted));
    CHECK((results[1][0].Int(0) == 1 && results[2][0].Int(0) == 1));
    Must(c->ExecuteScript("DELETE FROM t"));
  }
  CHECK(Insert(*c, 5).ok());
  CHECK(Count() == 1);
}

TEST_CASE_METHOD(Fixture, "Nobody waits long for a lock", "[db][integration]") {
  CHECK(Insert(*c, 1).ok());
  Must(c->ExecuteScript("BEGIN; UPDATE t SET text = 'held'"));
  ConnectOptions options = database.ConnectOptions();
  options.lock_timeout = absl::Milliseconds(20);
  auto quick = Must(Connection::Open(options));
  CHECK(quick->Execute(kUpdate, Params().Int(1).Text("y")).status().code() ==
        Code::kDeadlineExceeded);
  Must(c->ExecuteScript("ROLLBACK"));
  CHECK(quick->Execute(kUpdate, Params().Int(1).Text("y")).ok());
}

TEST_CASE_METHOD(Fixture, "A statement has its time", "[db][integration]") {
  ConnectOptions options = database.ConnectOptions();
  options.statement_timeout = absl::Milliseconds(50);
  auto quick = Must(Connection::Open(options));
  CHECK(quick->Execute(kSleep, Params().Double(10)).status().code() == Code::kDeadlineExceeded);
  CHECK(quick->Execute(kSleep, Params().Double(0)).ok());
}

// The farewell of a server comes before the end of the connection. Read alone it looked like
// health, and the job that came next was lost: eight logins after each failover.
TEST_CASE_METHOD(Fixture, "A connection that the server speaks to unasked is not healthy",
                 "[db][integration]") {
  auto idle = database.Connect();
  Must(idle->ExecuteScript("LISTEN farewell"));
  CHECK(idle->Healthy());
  Must(c->ExecuteScript("NOTIFY farewell"));
  // It is said once: whoever swallows it at one look is healthy for ever.
  bool healthy = true;
  for (int i = 0; i < 500 && (healthy = idle->Healthy()); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK_FALSE(healthy);
}

TEST_CASE_METHOD(Fixture, "A cut connection is Unavailable and stays broken", "[db][integration]") {
  auto victim = database.Connect();
  const int64_t pid = Must(victim->Execute(kPid, Params()))[0].Int(0);
  CHECK(victim->Healthy());
  Must(c->ExecuteScript("SELECT pg_terminate_backend(" + std::to_string(pid) + ", 5000)"));
  // The first look sees it, behind the farewell that the server sent before its end.
  CHECK_FALSE(victim->Healthy());
  CHECK(Insert(*victim, 1).code() == Code::kUnavailable);
  CHECK(victim->Begin().code() == Code::kUnavailable);
  // Inside a transaction, too.
  auto second = database.Connect();
  const int64_t other = Must(second->Execute(kPid, Params()))[0].Int(0);
  absl::Status status = RunTransaction(*second, [&](Connection& t) -> absl::Status {
    CHECK(Insert(t, 1).ok());
    Must(c->ExecuteScript("SELECT pg_terminate_backend(" + std::to_string(other) + ", 5000)"));
    return Insert(t, 2);
  });
  CHECK(status.code() == Code::kUnavailable);
  CHECK(Count() == 0);
}

// --- Pool ----------------------------------------------------------------------------------------

TEST_CASE_METHOD(Fixture, "The pool resumes on the caller's executor", "[db][integration]") {
  Pool pool(database.PoolOptions(3));
  base::RunLoop loop;
  int done = 0;
  auto session = [](Pool* p, Fixture* f, base::RunLoop* l, int64_t id,
                    int* count) -> base::Task<void> {
    auto status =
        co_await p->Run([f, id](Connection& connection) { return f->Insert(connection, id); });
    CHECK(status.ok());
    CHECK(base::Executor::Current() == l);
    if (++*count == 100) l->Stop();
  };
  for (int i = 0; i < 100; ++i) base::SpawnOn(&loop, session(&pool, this, &loop, i, &done));
  loop.Run();
  CHECK(Count() == 100);
  const PoolStats stats = pool.Stats();
  CHECK(stats.jobs_total == 100);
  CHECK((stats.connected <= 3 && stats.failed_total == 0));
}

TEST_CASE_METHOD(Fixture, "The pool's queue is bounded in number and time", "[db][integration]") {
  PoolOptions options = database.PoolOptions(1);
  options.max_waiting = 2;
  options.queue_timeout = absl::Milliseconds(1);
  std::atomic<bool> go = false;
  std::atomic<int> late = 0;
  std::atomic<bool> started = false;
  {
    Pool pool(options);
    CHECK(pool.Submit([&](Connection*, const absl::Status&) {
                started = true;
                while (!go) std::this_thread::yield();
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                return absl::OkStatus();
              })
              .ok());
    while (!started) std::this_thread::yield();
    auto count = [&](Connection*, const absl::Status& refused) {
      if (refused.code() == Code::kDeadlineExceeded) ++late;
      return refused;
    };
    CHECK(pool.Submit(count).ok());
    CHECK(pool.Submit(count).ok());
    CHECK(pool.Submit(count).code() == Code::kUnavailable);
    go = true;
    while (pool.Stats().timed_out_total < 2) std::this_thread::yield();
    CHECK(pool.Stats().rejected_total == 1);
  }
  CHECK(late == 2);
}

TEST_CASE_METHOD(Fixture, "A pool that ends answers what waits", "[db][integration]") {
  std::atomic<bool> go = false;
  std::atomic<bool> started = false;
  std::atomic<bool> cancelled = false;
  std::thread releaser;
  {
    Pool pool(database.PoolOptions(1));
    CHECK(pool.Submit([&](Connection*, const absl::Status&) {
                started = true;
                while (!go) std::this_thread::yield();
                return absl::OkStatus();
              })
              .ok());
    while (!started) std::this_thread::yield();
    CHECK(pool.Submit([&](Connection*, const absl::Status& refused) {
                cancelled = refused.code() == Code::kCancelled;
                go = true;
                return refused;
              })
              .ok());
  }
  CHECK(cancelled);
}

TEST_CASE_METHOD(Fixture, "A pool without a database says so at once", "[db][integration]") {
  PoolOptions options;
  options.connect.conninfo = "host=/nonexistent";
  options.threads = 2;
  Pool pool(options);
  auto job = [](Connection&) { return absl::OkStatus(); };
  for (int i = 0; i < 10; ++i) {
    CHECK(base::RunBlocking(pool.Run(job)).code() == Code::kUnavailable);
  }
  CHECK(pool.Stats().connect_failures_total < 10);
}

}  // namespace
}  // namespace godwit::db

#pragma once

// Connection: one session with PostgreSQL, used by one thread at a time, synchronous.
//
//   auto connection = db::Connection::Open({.conninfo = "host=/run/pg dbname=godwit"});
//   auto rows = (*connection)->Execute(kFind, db::Params().Int(7));
//   auto moved = db::RunTransaction(**connection, [&](db::Connection& c) -> absl::Status { ... });
//
// Built on libpqxx (opening, transactions, in-doubt commits) and on libpq for what libpqxx 6 lacks
// (binary parameters and results, pipeline mode); the exceptions of the former end here.
//
// How things fail, by the code of the Status (SQLSTATE in the text):
//   Unavailable         not connected, connection lost, server starting or going down (08, 57P0x),
//                       or out of disk, memory or connections (53)
//   Unknown             the connection was lost while a commit may have been under way
//   Aborted             serialisation failure or deadlock (40001, 40P01): do it again
//   DeadlineExceeded    statement or lock timeout (57014, 55P03)
//   ResourceExhausted   ZG429, raised by our own functions: the quota of an account
//   OutOfRange          ZG416: a bound of how many (keywords, mailboxes, subscriptions)
//   InvalidArgument     data the server refuses (22xxx: bad UTF-8, out of range), ZG422
//   AlreadyExists       23505, ZG409;  FailedPrecondition 23503, 25006, ZG412;  NotFound ZG404
//   PermissionDenied    42501, 28xxx;  DataLoss XX001, XX002;  Internal everything else
// A connection that was lost is broken for good, see Healthy(): open another (db::Pool does).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/params.h"
#include "libs/db/result.h"
#include "libs/db/statement.h"

namespace godwit::db {

struct ConnectOptions {
  // libpq's connection string or URI. Never logged: it may hold a password.
  std::string conninfo;
  // Shown in pg_stat_activity.
  std::string application_name = "godwit";
  // Bound on opening; whole seconds, at least 2 (libpq's rule).
  absl::Duration connect_timeout = absl::Seconds(5);
  // Bound on every statement, kept by the server. Zero means none (migrations, checks).
  absl::Duration statement_timeout = absl::Seconds(15);
  // Bound on waiting for a lock. Whoever waits holds a thread of a pool: the users of one account
  // that is locked for long must not keep the threads from all others. Zero means none.
  absl::Duration lock_timeout = absl::Seconds(2);
};

enum class Isolation {
  kReadCommitted,     // read and write
  kSnapshotReadOnly,  // REPEATABLE READ READ ONLY: several statements, one snapshot
};

class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const ConnectOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Prepares `statement` if this connection has not, then runs it: one round trip when prepared.
  // Outside a transaction it commits by itself.
  absl::StatusOr<Result> Execute(const Statement& statement, const Params& params);

  // Runs several statements in pipeline mode: one round trip in all, one transaction of their own
  // with this isolation. The first error is returned and undoes them. Not inside a transaction, and
  // for small parameters: libpq sends all before it reads.
  struct Call {
    const Statement* statement;
    Params params;
  };
  absl::StatusOr<std::vector<Result>> ExecutePipeline(std::span<const Call> calls,
                                                      Isolation isolation);

  // Runs SQL text that is not a prepared statement, possibly several separated by semicolons, for
  // migrations and tests. Returns the last result, with values in text format: read Text() only.
  absl::StatusOr<Result> ExecuteScript(const std::string& sql);

  // A transaction; only one at a time. Prefer RunTransaction, which is also the guard: it rolls
  // back whenever its body fails. Commit is Unknown when the connection broke under it.
  absl::Status Begin(Isolation isolation = Isolation::kReadCommitted);
  absl::Status Commit();
  void Rollback();
  bool in_transaction() const;

  // False once the connection was lost, or the server has spoken unasked while this was idle, which
  // is how it goes away.
  bool Healthy();

 private:
  class Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How often RunTransaction and RetryAborted try in all.
inline constexpr int kMaxTries = 5;

// Sleeps a random, growing moment before try number `attempt` (1 is the first retry).
void PauseBeforeRetry(int attempt);

namespace db_internal {
inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}
}  // namespace db_internal

// Calls `body` (Connection& -> Status or StatusOr<T>) until it is something else than Aborted, at
// most kMaxTries times. For single statements that are transactions of their own.
template <typename Body>
std::invoke_result_t<Body&, Connection&> RetryAborted(Connection& connection, Body body) {
  for (int attempt = 1;; ++attempt) {
    auto result = body(connection);
    const bool again = db_internal::StatusOf(result).code() == absl::StatusCode::kAborted;
    if (!again || attempt == kMaxTries || connection.in_transaction()) return result;
    PauseBeforeRetry(attempt);
  }
}

// Runs `body` inside a transaction: commits when it is OK, rolls back when it is not, and does the
// whole again after a deadlock or a serialisation failure. `body` must be able to run twice. Inside
// a transaction it is a part of that one: the outermost call commits, rolls back and tries again.
template <typename Body>
std::invoke_result_t<Body&, Connection&> RunTransaction(
    Connection& connection, Body body, Isolation isolation = Isolation::kReadCommitted) {
  using R = std::invoke_result_t<Body&, Connection&>;
  if (connection.in_transaction()) return body(connection);
  return RetryAborted(connection, [&](Connection& c) -> R {
    absl::Status begun = c.Begin(isolation);
    if (!begun.ok()) return R(std::move(begun));
    R result = body(c);
    if (!db_internal::StatusOf(result).ok()) {
      c.Rollback();
      return result;
    }
    absl::Status committed = c.Commit();
    if (!committed.ok()) return R(std::move(committed));
    return result;
  });
}

}  // namespace godwit::db

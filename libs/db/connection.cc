#include "libs/db/connection.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <pqxx/except>
#include <pqxx/transaction>
#include <random>
#include <thread>

#include "absl/container/flat_hash_set.h"
#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/db/error.h"
#include "libs/db/session.h"

namespace godwit::db {
namespace {

using SnapshotTransaction = pqxx::transaction<pqxx::repeatable_read, pqxx::read_only>;

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ClearResult>;

// The parameters of one statement as libpq wants them: parallel arrays, all binary. Views into the
// Params it was made from.
struct WireParams {
  std::vector<uint32_t> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  int count() const { return static_cast<int>(values.size()); }
};

absl::Status FromException(const std::exception& error) {
  if (dynamic_cast<const pqxx::in_doubt_error*>(&error) != nullptr) {
    return base::Unknown(error.what());
  }
  if (dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr) {
    return base::Unavailable(error.what());
  }
  if (const auto* sql = dynamic_cast<const pqxx::sql_error*>(&error)) {
    return StatusFromSqlState(sql->sqlstate(), sql->what());
  }
  return base::Internal(error.what());
}

bool Succeeded(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

}  // namespace

class Connection::Impl {
 public:
  explicit Impl(const ConnectOptions& options) : session_(options) {}

  absl::StatusOr<Result> Execute(const Statement& statement, const Params& params);
  absl::StatusOr<std::vector<Result>> ExecutePipeline(std::span<const Call> calls,
                                                      Isolation isolation);
  absl::StatusOr<Result> ExecuteScript(const std::string& sql);
  absl::Status Begin(Isolation isolation);
  absl::Status Commit();
  void Rollback();
  bool in_transaction() const { return transaction_ != nullptr; }
  bool Healthy();

 private:
  PGconn* pq() const { return session_.pq(); }
  bool lost() const { return broken_ || PQstatus(pq()) != CONNECTION_OK; }
  absl::Status Prepare(const Statement& statement, const WireParams& wire);
  absl::Status ErrorOf(const PGresult* result, Access access) const;
  absl::Status SendPipeline(std::span<const Call> calls, std::span<const WireParams> wires,
                            Isolation isolation);
  absl::StatusOr<std::vector<Result>> ReadPipeline(std::span<const Call> calls);
  absl::Status ReadUntilSync(std::vector<PgResult>* results);
  void NotePrepared(std::span<const Call> calls, std::span<const PgResult> results);

  Session session_;
  std::unique_ptr<pqxx::dbtransaction> transaction_;
  Isolation isolation_ = Isolation::kReadCommitted;
  absl::flat_hash_set<const Statement*> prepared_;
  // Statements that a pipeline under way prepares, in order.
  std::vector<const Statement*> preparing_;
  // A pipeline that was sent in part: what the server answers from now on fits nothing.
  bool broken_ = false;
};

namespace {

template <typename Values>
WireParams ToWire(const Values& values) {
  WireParams wire;
  for (const auto& value : values) {
    wire.types.push_back(value.type);
    wire.values.push_back(value.null ? nullptr : value.bytes.data());
    wire.lengths.push_back(static_cast<int>(value.bytes.size()));
    wire.formats.push_back(1);
  }
  return wire;
}

}  // namespace

absl::Status Connection::Impl::ErrorOf(const PGresult* result, Access access) const {
  const char* sqlstate = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message =
      result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (sqlstate != nullptr) {
    return StatusFromSqlState(sqlstate, message == nullptr ? "" : message);
  }
  std::string text = PQerrorMessage(pq());
  if (text.empty()) text = "connection lost";
  if (!lost()) return base::Internal(text);
  // Inside a transaction nothing is committed by what was lost.
  const bool maybe_done = access == Access::kWrite && !in_transaction();
  return maybe_done ? base::Unknown(text) : base::Unavailable(text);
}

absl::Status Connection::Impl::Prepare(const Statement& statement, const WireParams& wire) {
  if (prepared_.contains(&statement)) return absl::OkStatus();
  PgResult result(
      PQprepare(pq(), statement.name(), statement.sql(), wire.count(), wire.types.data()));
  if (!Succeeded(result.get())) {
    return base::Annotate(ErrorOf(result.get(), Access::kRead), statement.name());
  }
  prepared_.insert(&statement);
  return absl::OkStatus();
}

absl::StatusOr<Result> Connection::Impl::Execute(const Statement& statement, const Params& params) {
  if (lost()) return base::Unavailable("not connected");
  const WireParams wire = ToWire(params.values_);
  GODWIT_RETURN_IF_ERROR(Prepare(statement, wire));
  PgResult result(PQexecPrepared(pq(), statement.name(), wire.count(), wire.values.data(),
                                 wire.lengths.data(), wire.formats.data(), /*resultFormat=*/1));
  if (!Succeeded(result.get())) {
    return base::Annotate(ErrorOf(result.get(), statement.access()), statement.name());
  }
  return Result(result.release());
}

absl::StatusOr<Result> Connection::Impl::ExecuteScript(const std::string& sql) {
  if (lost()) return base::Unavailable("not connected");
  PgResult result(PQexec(pq(), sql.c_str()));
  if (!Succeeded(result.get())) return ErrorOf(result.get(), Access::kWrite);
  return Result(result.release());
}

absl::Status Connection::Impl::SendPipeline(std::span<const Call> calls,
                                            std::span<const WireParams> wires,
                                            Isolation isolation) {
  const char* begin = isolation == Isolation::kSnapshotReadOnly
                          ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                          : "BEGIN";
  auto send = [this](const char* sql) {
    return PQsendQueryParams(pq(), sql, 0, nullptr, nullptr, nullptr, nullptr, 1) == 1;
  };
  bool sent = PQenterPipelineMode(pq()) == 1 && send(begin);
  for (size_t i = 0; sent && i < calls.size(); ++i) {
    const Statement& statement = *calls[i].statement;
    const WireParams& wire = wires[i];
    const bool known =
        prepared_.contains(&statement) ||
        std::find(preparing_.begin(), preparing_.end(), &statement) != preparing_.end();
    if (!known) {
      sent = PQsendPrepare(pq(), statement.name(), statement.sql(), wire.count(),
                           wire.types.data()) == 1;
      preparing_.push_back(&statement);
    }
    sent = sent && PQsendQueryPrepared(pq(), statement.name(), wire.count(), wire.values.data(),
                                       wire.lengths.data(), wire.formats.data(), 1) == 1;
  }
  sent = sent && send("COMMIT") && PQpipelineSync(pq()) == 1;
  return sent ? absl::OkStatus() : ErrorOf(nullptr, Access::kRead);
}

// Everything up to the answer of the sync, in order, without the NULLs between.
absl::Status Connection::Impl::ReadUntilSync(std::vector<PgResult>* results) {
  int nulls = 0;
  while (true) {
    PgResult result(PQgetResult(pq()));
    if (result == nullptr) {
      // One NULL ends each statement; two in a row and the connection is gone.
      if (++nulls > 1 || lost()) return ErrorOf(nullptr, Access::kWrite);
      continue;
    }
    nulls = 0;
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) return absl::OkStatus();
    results->push_back(std::move(result));
  }
}

// A prepared statement outlives the transaction it was made in: what a pipeline prepared before it
// failed is there, and preparing it again would fail for ever.
void Connection::Impl::NotePrepared(std::span<const Call> calls,
                                    std::span<const PgResult> results) {
  size_t at = 1;  // behind BEGIN
  for (const Call& call : calls) {
    const auto it = std::find(preparing_.begin(), preparing_.end(), call.statement);
    if (it != preparing_.end() && !prepared_.contains(call.statement)) {
      if (at >= results.size() || !Succeeded(results[at].get())) return;
      prepared_.insert(call.statement);
      ++at;
    }
    ++at;
  }
}

absl::StatusOr<std::vector<Result>> Connection::Impl::ReadPipeline(std::span<const Call> calls) {
  std::vector<PgResult> results;
  GODWIT_RETURN_IF_ERROR(ReadUntilSync(&results));
  NotePrepared(calls, results);
  for (const PgResult& result : results) {
    if (!Succeeded(result.get())) return ErrorOf(result.get(), Access::kWrite);
  }
  GODWIT_CHECK(results.size() == calls.size() + preparing_.size() + 2);
  std::vector<Result> out;
  size_t at = 1;  // behind BEGIN
  for (const Call& call : calls) {
    const auto it = std::find(preparing_.begin(), preparing_.end(), call.statement);
    if (it != preparing_.end()) {
      preparing_.erase(it);
      ++at;
    }
    out.emplace_back(results[at++].release());
  }
  return out;
}

absl::StatusOr<std::vector<Result>> Connection::Impl::ExecutePipeline(std::span<const Call> calls,
                                                                      Isolation isolation) {
  GODWIT_CHECK(!in_transaction());
  if (lost()) return base::Unavailable("not connected");
  std::vector<WireParams> wires;
  for (const Call& call : calls) wires.push_back(ToWire(call.params.values_));
  preparing_.clear();
  absl::Status sent = SendPipeline(calls, wires, isolation);
  if (!sent.ok()) {
    broken_ = true;
    return sent;
  }
  auto results = ReadPipeline(calls);
  if (!lost()) {
    PQexitPipelineMode(pq());
    // A failed statement leaves the explicit BEGIN open.
    if (!results.ok()) PgResult rollback(PQexec(pq(), "ROLLBACK"));
  }
  return results;
}

absl::Status Connection::Impl::Begin(Isolation isolation) {
  GODWIT_CHECK(!in_transaction());
  if (lost()) return base::Unavailable("not connected");
  isolation_ = isolation;
  try {
    if (isolation == Isolation::kSnapshotReadOnly) {
      transaction_ = std::make_unique<SnapshotTransaction>(session_);
    } else {
      transaction_ = std::make_unique<pqxx::work>(session_);
    }
  } catch (const std::exception& error) {
    return FromException(error);
  }
  return absl::OkStatus();
}

absl::Status Connection::Impl::Commit() {
  GODWIT_CHECK(in_transaction());
  if (lost() || PQtransactionStatus(pq()) != PQTRANS_INTRANS) {
    // COMMIT of a failed transaction is answered with ROLLBACK and no error: do not be fooled.
    Rollback();
    return lost() ? base::Unavailable("connection lost")
                  : base::Internal("commit of a failed transaction");
  }
  absl::Status status;
  try {
    transaction_->commit();
  } catch (const std::exception& error) {
    status = FromException(error);
  }
  transaction_.reset();
  if (!status.ok() && lost() && isolation_ == Isolation::kReadCommitted) {
    return base::Unknown(base::Message(status));
  }
  return status;
}

void Connection::Impl::Rollback() {
  if (!in_transaction()) return;
  try {
    transaction_->abort();
  } catch (const std::exception&) {
    // The connection is gone, and the transaction with it.
  }
  transaction_.reset();
}

bool Connection::Impl::Healthy() {
  if (lost()) return false;
  // An idle server says nothing; what it does say is mostly its farewell, and the end of the
  // connection may be under way yet. Should it be something else, a new connection costs little.
  pollfd socket = {PQsocket(pq()), POLLIN, 0};
  return poll(&socket, 1, 0) == 0;
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() { impl_->Rollback(); }

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const ConnectOptions& options) {
  try {
    return std::unique_ptr<Connection>(new Connection(std::make_unique<Impl>(options)));
  } catch (const std::exception& error) {
    return FromException(error);
  }
}

absl::StatusOr<Result> Connection::Execute(const Statement& statement, const Params& params) {
  return impl_->Execute(statement, params);
}

absl::StatusOr<std::vector<Result>> Connection::ExecutePipeline(std::span<const Call> calls,
                                                                Isolation isolation) {
  return impl_->ExecutePipeline(calls, isolation);
}

absl::StatusOr<Result> Connection::ExecuteScript(const std::string& sql) {
  return impl_->ExecuteScript(sql);
}

absl::Status Connection::Begin(Isolation isolation) { return impl_->Begin(isolation); }
absl::Status Connection::Commit() { return impl_->Commit(); }
void Connection::Rollback() { impl_->Rollback(); }
bool Connection::in_transaction() const { return impl_->in_transaction(); }
bool Connection::Healthy() { return impl_->Healthy(); }

void PauseBeforeRetry(int attempt) {
  thread_local std::minstd_rand random(std::random_device{}());
  const int bound = 2000 << std::min(attempt, 6);  // microseconds: 4 ms, 8 ms, ... 128 ms
  std::this_thread::sleep_for(
      std::chrono::microseconds(std::uniform_int_distribution<int>(bound / 4, bound)(random)));
}

}  // namespace godwit::db

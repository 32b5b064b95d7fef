#include "libs/db/session.h"

#include <algorithm>
#include <pqxx/except>

namespace godwit::db {
namespace {

// For every statement of the session; SET, not the connection's `options`, so that those of the
// operator stay. JIT compilation costs more than our statements take.
//
// Every statement of a daemon finds a few rows by index. A plan made while a table was small or
// without statistics (a fresh database, an account that grew) may scan or hash the whole of it, and
// prepared plans stay: one flag change then read all of its mailbox. So the choice is taken away;
// what does go over everything (`store check`) asks for it with SET LOCAL. And planning costs more
// than running (deliver_group: 2 ms against 0.2), so a statement is planned once.
std::string SessionSettings(const ConnectOptions& options) {
  const int64_t timeout = absl::ToInt64Milliseconds(options.statement_timeout);
  const int64_t lock_timeout = absl::ToInt64Milliseconds(options.lock_timeout);
  return "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET "
         "enable_hashjoin = off; "
         "SET enable_mergejoin = off; SET client_min_messages = warning; "
         "SET idle_in_transaction_session_timeout = 60000; SET statement_timeout = " +
         std::to_string(timeout) + "; SET lock_timeout = " + std::to_string(lock_timeout);
}

PGconn* ConnectWith(const ConnectOptions& options) {
  const int64_t seconds =
      absl::ToInt64Seconds(absl::Ceil(options.connect_timeout, absl::Seconds(1)));
  const std::string timeout = std::to_string(std::max<int64_t>(2, seconds));
  // A server that vanished without a word is given up after ten seconds, not after fifteen minutes.
  const char* const names[] = {"dbname",
                               "fallback_application_name",
                               "connect_timeout",
                               "client_encoding",
                               "keepalives_idle",
                               "tcp_user_timeout",
                               nullptr};
  const char* const values[] = {options.conninfo.c_str(),
                                options.application_name.c_str(),
                                timeout.c_str(),
                                "UTF8",
                                "10",
                                "10000",
                                nullptr};
  return PQconnectdbParams(names, values, /*expand_dbname=*/1);
}

}  // namespace

ConnectOnce::ConnectOnce(const ConnectOptions& options)
    : pqxx::connectionpolicy(std::string()), options_(options) {}

pqxx::connectionpolicy::handle ConnectOnce::do_startconnect(handle orig) {
  if (orig != nullptr) return orig;
  if (pq_ != nullptr) throw pqxx::broken_connection("connection lost");
  PGconn* pq = ConnectWith(options_);
  if (pq == nullptr) throw pqxx::broken_connection("out of memory");
  std::string error;
  if (PQstatus(pq) != CONNECTION_OK) error = PQerrorMessage(pq);
  if (error.empty()) {
    PGresult* set = PQexec(pq, SessionSettings(options_).c_str());
    if (PQresultStatus(set) != PGRES_COMMAND_OK) error = PQerrorMessage(pq);
    PQclear(set);
  }
  if (!error.empty()) {
    PQfinish(pq);
    throw pqxx::broken_connection(error);
  }
  pq_ = pq;
  return pq;
}

Session::Session(const ConnectOptions& options) : pqxx::connection_base(policy_), policy_(options) {
  init();
}

Session::~Session() noexcept { close(); }

}  // namespace godwit::db

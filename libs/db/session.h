#pragma once

// Session: the libpqxx connection under a db::Connection, which lets libpq at its handle.
//
// libpqxx 6 opens again in silence what broke, without the prepared statements and in the middle of
// whatever was going on; a Session connects once and never again. Included by connection.cc only:
// libpqxx's headers stay in there.

#include <postgresql/libpq-fe.h>

#include <pqxx/connection_base>
#include <pqxx/connectionpolicy>
#include <string>

#include "libs/db/connection.h"

namespace godwit::db {

class ConnectOnce : public pqxx::connectionpolicy {
 public:
  explicit ConnectOnce(const ConnectOptions& options);
  handle do_startconnect(handle orig) override;
  PGconn* pq() const { return pq_; }

 private:
  const ConnectOptions options_;
  PGconn* pq_ = nullptr;
};

class Session : public pqxx::connection_base {
 public:
  // Throws pqxx::failure when there is no connection to be had.
  explicit Session(const ConnectOptions& options);
  ~Session() noexcept;
  PGconn* pq() const { return policy_.pq(); }

 private:
  ConnectOnce policy_;
};

}  // namespace godwit::db

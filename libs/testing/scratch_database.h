#pragma once

// ScratchDatabase: a throw-away PostgreSQL 15 for tests.
//
//   testing::ScratchDatabase database;               // migrated, empty
//   auto connection = database.Connect();            // as owner and superuser
//   auto pool_options = database.PoolOptions(4);
//
// The first one in a process starts a cluster of its own in a short folder below /tmp (a unix
// socket path holds 107 bytes), reachable by that socket only; each ScratchDatabase is a database
// in it, made from a migrated template. The cluster goes when the process ends, in whatever way: a
// keeper process waits for the end of a pipe. PostgreSQL refuses to run as root: then it runs as
// user `postgres`. Tests that use it need tags = ["local"].
//
// By default the cluster does not flush to disk (kFast). Fault tests and benchmarks take kDurable,
// the settings of production; the first ScratchDatabase of a process decides.

#include <memory>
#include <string>
#include <string_view>

#include "libs/db/connection.h"
#include "libs/db/pool.h"

namespace godwit::testing {

enum class Durability { kFast, kDurable };
enum class Schema { kMigrated, kEmpty };

class ScratchDatabase {
 public:
  explicit ScratchDatabase(Durability durability = Durability::kFast,
                           Schema schema = Schema::kMigrated);
  ~ScratchDatabase();  // drops the database
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;

  // As the superuser, or as the role of a daemon ("godwit_smtp_ingress").
  std::string ConnInfo(std::string_view role = "postgres") const;
  db::ConnectOptions ConnectOptions(std::string_view role = "postgres") const;
  db::PoolOptions PoolOptions(int threads, std::string_view role = "postgres") const;
  // A connection of its own; the process dies when there is none.
  std::unique_ptr<db::Connection> Connect(std::string_view role = "postgres") const;

  // One value of one row as text, for checks: `SELECT count(*) FROM emails`.
  std::string Ask(const std::string& sql) const;

  // The whole cluster, all databases of the process: ends it (fast: connections are cut;
  // immediate: as a crash), starts it again.
  enum class StopMode { kFast, kImmediate };
  static void StopCluster(StopMode mode = StopMode::kFast);
  static void StartCluster();
  // Folder of the cluster's socket, to be given as "host=".
  static std::string SocketFolder();

 private:
  std::string name_;
};

}  // namespace godwit::testing

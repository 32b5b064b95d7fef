#include "tools/godwitctl/database.h"

#include <cstdlib>

#include "libs/base/status.h"

namespace godwit::ctl {

absl::StatusOr<std::unique_ptr<db::Connection>> OpenDatabase(absl::Duration statement_timeout) {
  const char* conninfo = std::getenv("GODWIT_DATABASE");
  if (conninfo == nullptr || *conninfo == '\0') {
    return base::FailedPrecondition(
        "GODWIT_DATABASE is not set: it holds PostgreSQL's connection string, such as "
        "\"host=/run/postgresql dbname=godwit user=godwit\"");
  }
  db::ConnectOptions options;
  options.conninfo = conninfo;
  options.application_name = "godwitctl";
  options.statement_timeout = statement_timeout;
  // One administrator holds up nobody's threads: the statement timeout is bound enough.
  options.lock_timeout = absl::ZeroDuration();
  return db::Connection::Open(options);
}

}  // namespace godwit::ctl

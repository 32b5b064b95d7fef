#pragma once

// The database of the commands that need one: the connection string in GODWIT_DATABASE.

#include <memory>

#include "absl/status/statusor.h"
#include "libs/db/connection.h"
#include "tools/godwitctl/command_line.h"

namespace godwit::ctl {

// FailedPrecondition when the variable is not set.
absl::StatusOr<std::unique_ptr<db::Connection>> OpenDatabase(
    absl::Duration statement_timeout = absl::Seconds(60));

// Gives `body` an open connection: `.run = WithDatabase([](db::Connection& c, const Invocation& in)
// -> absl::StatusOr<Report> {...})`.
template <typename Body>
auto WithDatabase(Body body) {
  return [body = std::move(body)](const Invocation& invocation) -> absl::StatusOr<Report> {
    auto connection = OpenDatabase();
    if (!connection.ok()) return connection.status();
    return body(**connection, invocation);
  };
}

}  // namespace godwit::ctl

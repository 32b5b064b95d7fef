#pragma once

// From SQLSTATE to absl::Status: the table is in connection.h.

#include <string_view>

#include "absl/status/status.h"

namespace godwit::db {

// The Status for an error report of the server. `sqlstate` has five characters; "" when there was
// no report because the connection went.
absl::Status StatusFromSqlState(std::string_view sqlstate, std::string_view message);

}  // namespace godwit::db

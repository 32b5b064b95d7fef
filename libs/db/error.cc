#include "libs/db/error.h"

#include <string>

#include "libs/base/status.h"

namespace godwit::db {
namespace {

struct Mapping {
  std::string_view prefix;
  absl::StatusCode code;
};

// The first prefix that fits decides.
constexpr Mapping kMappings[] = {
    {"40001", absl::StatusCode::kAborted},             // serialization_failure
    {"40P01", absl::StatusCode::kAborted},             // deadlock_detected
    {"40003", absl::StatusCode::kUnknown},             // statement_completion_unknown
    {"08", absl::StatusCode::kUnavailable},            // connection exceptions
    {"57P0", absl::StatusCode::kUnavailable},          // shutdown, crash, cannot connect now
    {"57014", absl::StatusCode::kDeadlineExceeded},    // query_canceled: statement_timeout
    {"55P03", absl::StatusCode::kDeadlineExceeded},    // lock_not_available: lock_timeout
    {"25P03", absl::StatusCode::kUnavailable},         // idle_in_transaction_session_timeout
    {"53", absl::StatusCode::kUnavailable},            // disk, memory, connections
    {"54", absl::StatusCode::kInvalidArgument},        // program limits
    {"23505", absl::StatusCode::kAlreadyExists},       // unique_violation
    {"23503", absl::StatusCode::kFailedPrecondition},  // foreign_key_violation
    {"25006", absl::StatusCode::kFailedPrecondition},  // read_only_sql_transaction
    {"22", absl::StatusCode::kInvalidArgument},        // data exceptions
    {"42501", absl::StatusCode::kPermissionDenied},    // insufficient_privilege
    {"28", absl::StatusCode::kPermissionDenied},       // invalid authorization
    {"3D000", absl::StatusCode::kNotFound},            // the database
    {"58", absl::StatusCode::kUnavailable},            // system errors outside PostgreSQL
    {"XX001", absl::StatusCode::kDataLoss},            // data_corrupted
    {"XX002", absl::StatusCode::kDataLoss},            // index_corrupted
    {"ZG404", absl::StatusCode::kNotFound},            // ZG: raised by libs/store's functions
    {"ZG409", absl::StatusCode::kAlreadyExists},
    {"ZG412", absl::StatusCode::kFailedPrecondition},
    {"ZG416", absl::StatusCode::kOutOfRange},
    {"ZG422", absl::StatusCode::kInvalidArgument},
    {"ZG429", absl::StatusCode::kResourceExhausted},
};

absl::StatusCode CodeFor(std::string_view sqlstate) {
  if (sqlstate.empty()) return absl::StatusCode::kUnavailable;
  for (const Mapping& mapping : kMappings) {
    if (sqlstate.substr(0, mapping.prefix.size()) == mapping.prefix) return mapping.code;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace

absl::Status StatusFromSqlState(std::string_view sqlstate, std::string_view message) {
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  std::string text(message);
  if (!sqlstate.empty()) {
    text += " (SQLSTATE ";
    text += sqlstate;
    text += ")";
  }
  return base::MakeStatus(CodeFor(sqlstate), text);
}

}  // namespace godwit::db

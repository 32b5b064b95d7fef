#pragma once

// Making and reading absl::Status with std::string_view.
//
// Debian builds Abseil with a string_view of its own, so absl::InvalidArgumentError() and
// status.message() do not meet std::string_view. Everything in Godwit makes and reads errors
// through this header instead.
//
// The code of a Status decides the retry, everywhere (house rule):
//   Unavailable, Aborted, DeadlineExceeded   try again, with backoff
//   ResourceExhausted                        a bound of ours is reached: shed load, answer 4xx
//   Unknown                                  "the commit may have happened": only where idempotent
//   everything else                          never
// Text of a Status goes to logs and to operators, never to a remote peer.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace godwit::base {

// The text of `status`; valid as long as `status` lives.
std::string_view Message(const absl::Status& status);

absl::Status MakeStatus(absl::StatusCode code, std::string_view message);

absl::Status Aborted(std::string_view message);
absl::Status AlreadyExists(std::string_view message);
absl::Status Cancelled(std::string_view message);
absl::Status DataLoss(std::string_view message);
absl::Status DeadlineExceeded(std::string_view message);
absl::Status FailedPrecondition(std::string_view message);
absl::Status Internal(std::string_view message);
absl::Status InvalidArgument(std::string_view message);
absl::Status NotFound(std::string_view message);
absl::Status OutOfRange(std::string_view message);
absl::Status PermissionDenied(std::string_view message);
absl::Status ResourceExhausted(std::string_view message);
absl::Status Unauthenticated(std::string_view message);
absl::Status Unavailable(std::string_view message);
absl::Status Unimplemented(std::string_view message);
absl::Status Unknown(std::string_view message);

// The same code with "context: " in front of the text. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// True for the codes that a caller may try again after a pause.
bool IsRetryable(const absl::Status& status);

// "UNAVAILABLE: connection refused", for logs and command lines.
std::string ToString(const absl::Status& status);

}  // namespace godwit::base

#define GODWIT_STATUS_CONCAT_INNER_(a, b) a##b
#define GODWIT_STATUS_CONCAT_(a, b) GODWIT_STATUS_CONCAT_INNER_(a, b)

// Leaves the function with the error of `expr`, if it has one.
#define GODWIT_RETURN_IF_ERROR(expr)                 \
  do {                                               \
    absl::Status godwit_status_ = (expr);            \
    if (!godwit_status_.ok()) return godwit_status_; \
  } while (false)

// The same inside a coroutine, where `return` is illegal.
#define GODWIT_CO_RETURN_IF_ERROR(expr)                 \
  do {                                                  \
    absl::Status godwit_status_ = (expr);               \
    if (!godwit_status_.ok()) co_return godwit_status_; \
  } while (false)

// `GODWIT_ASSIGN_OR_RETURN(auto x, Compute());`
#define GODWIT_ASSIGN_OR_RETURN(lhs, expr) \
  GODWIT_ASSIGN_OR_RETURN_IMPL_(return, GODWIT_STATUS_CONCAT_(godwit_or_, __LINE__), lhs, expr)
#define GODWIT_CO_ASSIGN_OR_RETURN(lhs, expr) \
  GODWIT_ASSIGN_OR_RETURN_IMPL_(co_return, GODWIT_STATUS_CONCAT_(godwit_or_, __LINE__), lhs, expr)
#define GODWIT_ASSIGN_OR_RETURN_IMPL_(ret, tmp, lhs, expr) \
  auto tmp = (expr);                                       \
  if (!tmp.ok()) ret tmp.status();                         \
  lhs = *std::move(tmp)

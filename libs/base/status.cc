#include "libs/base/status.h"

namespace godwit::base {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

absl::Status MakeStatus(absl::StatusCode code, std::string_view message) {
  return absl::Status(code, Absl(message));
}

absl::Status Aborted(std::string_view m) { return MakeStatus(absl::StatusCode::kAborted, m); }
absl::Status AlreadyExists(std::string_view m) {
  return MakeStatus(absl::StatusCode::kAlreadyExists, m);
}
absl::Status Cancelled(std::string_view m) { return MakeStatus(absl::StatusCode::kCancelled, m); }
absl::Status DataLoss(std::string_view m) { return MakeStatus(absl::StatusCode::kDataLoss, m); }
absl::Status DeadlineExceeded(std::string_view m) {
  return MakeStatus(absl::StatusCode::kDeadlineExceeded, m);
}
absl::Status FailedPrecondition(std::string_view m) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, m);
}
absl::Status Internal(std::string_view m) { return MakeStatus(absl::StatusCode::kInternal, m); }
absl::Status InvalidArgument(std::string_view m) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, m);
}
absl::Status NotFound(std::string_view m) { return MakeStatus(absl::StatusCode::kNotFound, m); }
absl::Status OutOfRange(std::string_view m) { return MakeStatus(absl::StatusCode::kOutOfRange, m); }
absl::Status PermissionDenied(std::string_view m) {
  return MakeStatus(absl::StatusCode::kPermissionDenied, m);
}
absl::Status ResourceExhausted(std::string_view m) {
  return MakeStatus(absl::StatusCode::kResourceExhausted, m);
}
absl::Status Unauthenticated(std::string_view m) {
  return MakeStatus(absl::StatusCode::kUnauthenticated, m);
}
absl::Status Unavailable(std::string_view m) {
  return MakeStatus(absl::StatusCode::kUnavailable, m);
}
absl::Status Unimplemented(std::string_view m) {
  return MakeStatus(absl::StatusCode::kUnimplemented, m);
}
absl::Status Unknown(std::string_view m) { return MakeStatus(absl::StatusCode::kUnknown, m); }

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  std::string text(context);
  text += ": ";
  text += Message(status);
  return MakeStatus(status.code(), text);
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded: return true;
    default: return false;
  }
}

std::string ToString(const absl::Status& status) {
  std::string text = absl::StatusCodeToString(status.code());
  if (!Message(status).empty()) text.append(": ").append(Message(status));
  return text;
}

}  // namespace godwit::base

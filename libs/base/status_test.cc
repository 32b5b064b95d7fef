#include "libs/base/status.h"

#include <catch2/catch.hpp>
#include <utility>

#include "libs/base/task.h"

namespace godwit::base {
namespace {

TEST_CASE("Errors keep their code and their text", "[base][unit]") {
  const absl::Status status = Unavailable("connection refused");
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(Message(status) == "connection refused");
  CHECK(ToString(status) == "UNAVAILABLE: connection refused");
  CHECK(ToString(NotFound("")) == "NOT_FOUND");
  CHECK(ToString(absl::OkStatus()) == "OK");
}

TEST_CASE("Annotate puts the context in front and leaves OK alone", "[base][unit]") {
  const absl::Status status = Annotate(NotFound("no such row"), "account 7");
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(Message(status) == "account 7: no such row");
  CHECK(Annotate(absl::OkStatus(), "account 7").ok());
}

TEST_CASE("The code decides the retry", "[base][unit]") {
  for (const auto& status : {Unavailable(""), Aborted(""), DeadlineExceeded("")}) {
    CAPTURE(ToString(status));
    CHECK(IsRetryable(status));
  }
  for (const auto& status :
       {absl::OkStatus(), Unknown(""), ResourceExhausted(""), InvalidArgument(""), Internal(""),
        NotFound(""), PermissionDenied(""), Unauthenticated(""), FailedPrecondition(""),
        AlreadyExists(""), Cancelled(""), DataLoss(""), OutOfRange(""), Unimplemented("")}) {
    CAPTURE(ToString(status));
    CHECK_FALSE(IsRetryable(status));
  }
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  GODWIT_ASSIGN_OR_RETURN(const int half, Half(n));
  GODWIT_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status CheckEven(int n, bool* reached_end) {
  GODWIT_RETURN_IF_ERROR(Half(n).status());
  *reached_end = true;
  return absl::OkStatus();
}

Task<absl::StatusOr<int>> QuarterTask(int n) {
  GODWIT_CO_RETURN_IF_ERROR(Half(n).status());
  GODWIT_CO_ASSIGN_OR_RETURN(const int half, Half(n));
  GODWIT_CO_ASSIGN_OR_RETURN(const int quarter, Half(half));
  co_return quarter;
}

TEST_CASE("The macros leave with the first error", "[base][unit]") {
  CHECK(Quarter(8).value() == 2);
  CHECK(Message(Quarter(6).status()) == "odd");
  bool reached_end = false;
  CHECK_FALSE(CheckEven(1, &reached_end).ok());
  CHECK_FALSE(reached_end);
  CHECK(CheckEven(2, &reached_end).ok());
  CHECK(reached_end);
}

TEST_CASE("The macros for coroutines leave with the first error", "[base][unit]") {
  CHECK(RunBlocking(QuarterTask(8)).value() == 2);
  CHECK(Message(RunBlocking(QuarterTask(6)).status()) == "odd");
  CHECK(Message(RunBlocking(QuarterTask(7)).status()) == "odd");
}

}  // namespace
}  // namespace godwit::base

#pragma once

// Must and MustOk: what a test needs to go on. Anything else fails it, with the status.

#include <catch2/catch.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/status.h"

namespace godwit::testing {

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}

inline void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}

}  // namespace godwit::testing

#include "libs/db/wire.h"

#include <limits>

namespace godwit::db {
namespace {

constexpr int64_t kEpochSeconds = 946684800;  // 2000-01-01T00:00:00Z in Unix time
constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

}  // namespace

int64_t ToPostgresTime(absl::Time time) {
  if (time == absl::InfiniteFuture()) return kForever;
  if (time == absl::InfinitePast()) return kNever;
  return absl::ToUnixMicros(time) - kEpochSeconds * 1000000;
}

absl::Time FromPostgresTime(int64_t microseconds) {
  if (microseconds == kForever) return absl::InfiniteFuture();
  if (microseconds == kNever) return absl::InfinitePast();
  return absl::FromUnixSeconds(kEpochSeconds) + absl::Microseconds(microseconds);
}

}  // namespace godwit::db

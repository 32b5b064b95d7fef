#include "libs/store/ready.h"

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/store/migrate.h"

namespace godwit::store {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(200);

}  // namespace

absl::Status AwaitSchema(db::Pool* pool, const base::Clock* clock, absl::Duration patience) {
  const absl::Duration begin = clock->Monotonic();
  for (;;) {
    absl::Status status = base::RunBlocking(
        pool->Run([](db::Connection& connection) { return CheckSchema(connection); }));
    const bool patient = clock->Monotonic() - begin < patience;
    if (status.ok() || !base::IsRetryable(status) || !patient) {
      return base::Annotate(status, "database");
    }
    absl::SleepFor(kPause);
  }
}

}  // namespace godwit::store

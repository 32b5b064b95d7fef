#include "libs/rpc/subscription.h"

#include "libs/base/random.h"
#include "libs/obs/log.h"

namespace godwit::rpc {

absl::Duration WithJitter(absl::Duration pause) {
  const int64_t percent = 50 + base::RandomSource::System()->Id63() % 51;
  return pause * percent / 100;
}

void LogLost(const SubscriptionOptions& options, const absl::Status& why, bool worked) {
  obs::Log(worked ? obs::Level::kDebug : obs::Level::kWarning, "stream lost",
           {{"stream", options.name}, {"status", why}});
}

}  // namespace godwit::rpc

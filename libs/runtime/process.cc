#include "libs/runtime/process.h"

#include <signal.h>
#include <unistd.h>

#include "libs/base/status.h"

namespace godwit::runtime {

absl::Status Process::Drain() {
  if (!running_) return base::FailedPrecondition("this process is not driven by signals");
  // A second SIGTERM would end the process at once.
  if (draining_.exchange(true)) return absl::OkStatus();
  if (kill(getpid(), SIGTERM) != 0) return base::Internal("kill(2) failed");
  return absl::OkStatus();
}

}  // namespace godwit::runtime

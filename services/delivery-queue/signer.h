#pragma once

// Signer: has auth-verifier sign our notices (proto/godwit/auth_verifier/v1, Sign). RPC messages
// end here.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/rpc/client.h"

namespace godwit::delivery_queue {

class Signer {
 public:
  virtual ~Signer() = default;

  // The fields to put in front of `message`, whose author is `from`. Any error: it leaves unsigned.
  virtual base::Task<absl::StatusOr<std::string>> Sign(std::string message, std::string from,
                                                       std::string trace) = 0;

  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<Signer>> Create(rpc::ChannelOptions channel,
                                                        absl::Duration deadline);
};

}  // namespace godwit::delivery_queue

#pragma once

// What EmailSubmission/set needs of Email/set.

#include <string>

#include "absl/status/statusor.h"
#include "libs/base/task.h"
#include "services/webmail-api/calls.h"

namespace godwit::webmail_api {

// The state of type Email.
base::Task<absl::StatusOr<std::string>> EmailState(CallContext* context);

}  // namespace godwit::webmail_api

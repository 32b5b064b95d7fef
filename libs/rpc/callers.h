#pragma once

// The table of callers: who may call what. Pure. Private to libs/rpc.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "libs/rpc/server.h"

namespace godwit::rpc {

// OK, or Unauthenticated: a mistake in certificates or tables, never to be taken for what the
// method itself says of a message or its sender (PermissionDenied). `names` are those in the
// caller's certificate.
absl::Status MayCall(const Callers& callers, const std::string& method,
                     const std::vector<std::string>& names);

// InvalidArgument when `callers` name a method that is not compiled in, or leave out a method of a
// service they name.
absl::Status CheckCallers(const Callers& callers);

}  // namespace godwit::rpc

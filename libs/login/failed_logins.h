#pragma once

// RunCounted: one step of logging in, within what may fail from the client's network
// (limit/failed_logins.h).
//
//   base::Task<login::Step> begun = conversation->Begin(initial);
//   std::optional<login::Step> step = co_await login::RunCounted(
//       failed_logins, conversation->AttemptFrom(client.address), std::move(begun));
//   if (!step) ... too many: the password was not even looked at ...
//
// On a reactor's thread.

#include <optional>

#include "libs/base/task.h"
#include "libs/limit/failed_logins.h"
#include "libs/login/login.h"

namespace godwit::login {

// `step`: of a Conversation, or TryPassword; it is begun only if there is room for one more
// failure. Nothing: there is none. A Refused counts, unless the password was right.
base::Task<std::optional<Step>> RunCounted(limit::FailedLogins* failed_logins,
                                           limit::LoginAttempt attempt, base::Task<Step> step);

}  // namespace godwit::login

#pragma once

// The method calls of one request (RFC 8620 §3): what they share, and the table of methods.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/jmap/json.h"
#include "libs/jmap/request.h"
#include "libs/jmap/standard.h"
#include "services/webmail-api/auth.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

struct CallContext {
  Environment* env = nullptr;
  User user;
  std::string account_id;      // "a7"
  std::string client_address;  // for the trace of what is sent
  std::string trace;
  // RFC 8620 §5.3: ids of what this request has created, by creation id.
  std::map<std::string, std::string> created;
  std::vector<jmap::Invocation> responses;
  // What references may still copy, and what the answers may still take, as jmap::SizeWithin()
  // measures. When the answers have taken theirs, no more calls are made.
  size_t references_left = 0;
  size_t answers_left = 0;
  // Octets that all its searches may still read.
  int64_t search_left = 0;
  // On the monotonic clock: when it has taken too long.
  absl::Duration deadline;
  // Of the call that is being made: an implicit call answers under its id.
  std::string call_id;

  store::AccountId account() const { return user.account; }
  const jmap::Limits& limits() const { return env->settings.jmap; }
  // "#k1" -> the id that was created; others stay. nullopt: nothing was created under that name.
  std::optional<std::string> Resolve(std::string_view id) const;
};

// Takes accountId: missing is invalidArguments, another's is accountNotFound.
std::optional<jmap::MethodError> TakeAccount(const CallContext& context,
                                             jmap::Arguments* arguments);
// serverUnavailable when the request is past its deadline: asked between two steps.
std::optional<jmap::MethodError> TooLate(const CallContext& context);
// serverUnavailable where trying again may help, else serverFail; logged.
jmap::MethodError ServerError(const CallContext& context, const absl::Status& status);
// The same for one object.
jmap::SetError ServerSetError(const CallContext& context, const absl::Status& status);
// "StateMismatch" and the state after a write.
inline constexpr std::string_view kCannotCalculate = "cannotCalculateChanges";

// Methods. Each is given its own copy of the arguments, with references resolved.
using Method = base::Task<jmap::Result> (*)(CallContext* context, jmap::json::object arguments);

base::Task<jmap::Result> CoreEcho(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> MailboxGet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> MailboxChanges(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> MailboxQuery(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> MailboxSet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> ThreadGet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> ThreadChanges(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> EmailGet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> EmailChanges(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> EmailQuery(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> EmailSet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> EmailImport(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> IdentityGet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> IdentityChanges(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> SubmissionGet(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> SubmissionChanges(CallContext* context, jmap::json::object arguments);
base::Task<jmap::Result> SubmissionSet(CallContext* context, jmap::json::object arguments);
// Foo/queryChanges: RFC 8620 §5.6, never calculated.
base::Task<jmap::Result> QueryChanges(CallContext* context, jmap::json::object arguments);

// All calls of a request, one after the other. The responses are in `context->responses`.
base::Task<void> RunCalls(CallContext* context, jmap::Request request);

}  // namespace godwit::webmail_api

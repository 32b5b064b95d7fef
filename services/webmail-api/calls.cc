#include "services/webmail-api/calls.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/obs/log.h"

namespace godwit::webmail_api {
namespace {

// What all references of a request may copy, and all its answers together may be, against the size
// of a request. The last call that is made may go over it by what one call answers.
constexpr size_t kReferencesFactor = 4;
constexpr size_t kAnswersFactor = 8;
// Of all searches of a request.
constexpr int64_t kMaxSearched = 256ll * 1024 * 1024;
// A request that is at work for longer is given up at its next step.
constexpr absl::Duration kRequestTime = absl::Minutes(2);

struct Entry {
  std::string_view name;
  std::string_view capability;
  Method method;
};

constexpr std::array<Entry, 21> kMethods = {{
    {"Core/echo", jmap::kCoreCapability, CoreEcho},
    {"Mailbox/get", jmap::kMailCapability, MailboxGet},
    {"Mailbox/changes", jmap::kMailCapability, MailboxChanges},
    {"Mailbox/query", jmap::kMailCapability, MailboxQuery},
    {"Mailbox/queryChanges", jmap::kMailCapability, QueryChanges},
    {"Mailbox/set", jmap::kMailCapability, MailboxSet},
    {"Thread/get", jmap::kMailCapability, ThreadGet},
    {"Thread/changes", jmap::kMailCapability, ThreadChanges},
    {"Email/get", jmap::kMailCapability, EmailGet},
    {"Email/changes", jmap::kMailCapability, EmailChanges},
    {"Email/query", jmap::kMailCapability, EmailQuery},
    {"Email/queryChanges", jmap::kMailCapability, QueryChanges},
    {"Email/set", jmap::kMailCapability, EmailSet},
    {"Email/import", jmap::kMailCapability, EmailImport},
    {"Identity/get", jmap::kSubmissionCapability, IdentityGet},
    {"Identity/changes", jmap::kSubmissionCapability, IdentityChanges},
    {"EmailSubmission/get", jmap::kSubmissionCapability, SubmissionGet},
    {"EmailSubmission/changes", jmap::kSubmissionCapability, SubmissionChanges},
    {"EmailSubmission/set", jmap::kSubmissionCapability, SubmissionSet},
    {"EmailSubmission/query", jmap::kSubmissionCapability, nullptr},
    {"EmailSubmission/queryChanges", jmap::kSubmissionCapability, QueryChanges},
}};

// RFC 8620 §3.3: methods of a capability that the request does not use do not exist.
Method FindMethod(std::string_view name, const std::vector<std::string>& capabilities) {
  for (const Entry& entry : kMethods) {
    if (entry.name != name) continue;
    const bool used =
        entry.capability == jmap::kCoreCapability ||
        std::find(capabilities.begin(), capabilities.end(), entry.capability) != capabilities.end();
    return used ? entry.method : nullptr;
  }
  return nullptr;
}

base::Task<jmap::Result> RunOne(CallContext* context, Method method, jmap::Invocation* call) {
  if (method == nullptr) co_return jmap::MethodError{"unknownMethod", call->name};
  if (auto error = TooLate(*context)) co_return *error;
  if (context->answers_left == 0) {
    co_return jmap::MethodError{"requestTooLarge",
                                "the answers so far are: ask in another request"};
  }
  if (auto error = jmap::ResolveReferences(&call->arguments, context->responses,
                                           &context->references_left)) {
    co_return *error;
  }
  jmap::Result result = co_await method(context, std::move(call->arguments));
  co_return result;
}

std::string_view OutcomeOf(const jmap::Result& result) {
  const auto* error = std::get_if<jmap::MethodError>(&result);
  if (error == nullptr) return "done";
  return error->type.starts_with("server") ? "failed" : "refused";
}

}  // namespace

std::optional<std::string> CallContext::Resolve(std::string_view id) const {
  if (!id.starts_with('#')) return std::string(id);
  const auto found = created.find(std::string(id.substr(1)));
  if (found == created.end()) return std::nullopt;
  return found->second;
}

std::optional<jmap::MethodError> TakeAccount(const CallContext& context,
                                             jmap::Arguments* arguments) {
  const auto id = arguments->String("accountId");
  if (!id) {
    arguments->Fail("accountId", "missing");
    return arguments->Finish();
  }
  if (*id != context.account_id) return jmap::MethodError{"accountNotFound", ""};
  return std::nullopt;
}

std::optional<jmap::MethodError> TooLate(const CallContext& context) {
  if (context.env->clock->Monotonic() < context.deadline) return std::nullopt;
  return jmap::MethodError{"serverUnavailable", "the request takes too long"};
}

jmap::MethodError ServerError(const CallContext& context, const absl::Status& status) {
  obs::Log(obs::Level::kWarning, "method failed", {{"trace", context.trace}, {"error", status}});
  return {base::IsRetryable(status) ? "serverUnavailable" : "serverFail", ""};
}

jmap::SetError ServerSetError(const CallContext& context, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound: return {"notFound"};
    case absl::StatusCode::kResourceExhausted: return {"overQuota"};
    default: break;
  }
  obs::Log(obs::Level::kWarning, "object failed", {{"trace", context.trace}, {"error", status}});
  return {"serverFail"};
}

base::Task<jmap::Result> CoreEcho(CallContext* /*context*/, jmap::json::object arguments) {
  co_return arguments;
}

base::Task<jmap::Result> QueryChanges(CallContext* context, jmap::json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  co_return jmap::MethodError{std::string(kCannotCalculate), ""};
}

base::Task<void> RunCalls(CallContext* context, jmap::Request request) {
  Environment* const env = context->env;
  if (request.created_ids) context->created = *request.created_ids;
  const size_t size = context->limits().max_size_request;
  context->references_left = kReferencesFactor * size;
  context->answers_left = kAnswersFactor * size;
  context->search_left = kMaxSearched;
  context->deadline = env->clock->Monotonic() + kRequestTime;
  for (jmap::Invocation& call : request.calls) {
    const absl::Duration begin = env->clock->Monotonic();
    context->call_id = call.id;
    const size_t place = context->responses.size();
    jmap::Result result =
        co_await RunOne(context, FindMethod(call.name, request.capabilities), &call);
    env->metrics->calls.At({OutcomeOf(result)}).Add();
    env->metrics->call_seconds.Observe(absl::ToDoubleSeconds(env->clock->Monotonic() - begin));
    jmap::Invocation response;
    response.id = call.id;
    if (auto* error = std::get_if<jmap::MethodError>(&result)) {
      response.name = "error";
      response.arguments = jmap::ToJson(*error);
    } else {
      response.name = call.name;
      response.arguments = std::get<jmap::json::object>(std::move(result));
    }
    const auto taken = jmap::SizeWithin(response.arguments, context->answers_left);
    context->answers_left -= taken.value_or(context->answers_left);
    // What the method answered beside it (an implicit Email/set) stands behind its own answer.
    context->responses.insert(context->responses.begin() + static_cast<ptrdiff_t>(place),
                              std::move(response));
  }
}

}  // namespace godwit::webmail_api

#include "libs/rpc/serve.h"

#include <algorithm>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/rpc/caller_check.h"
#include "libs/rpc/trace.h"

namespace godwit::rpc {
namespace {

constexpr size_t kLongestTrace = 64;

bool IsTrace(std::string_view text) {
  return text.size() <= kLongestTrace && std::all_of(text.begin(), text.end(), [](char c) {
           return base::IsAlnum(c) || c == '.' || c == '_' || c == '-';
         });
}

base::Task<void> RunUnary(grpc::ServerUnaryReactor* reactor, base::Task<absl::Status> task) {
  absl::Status status = co_await task;
  reactor->Finish(ToGrpc(status));
}

}  // namespace

std::string TraceOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kTraceMetadata);
  if (found == context.client_metadata().end()) return "";
  std::string trace(found->second.data(), found->second.size());
  return IsTrace(trace) ? trace : "";
}

std::string CallerOf(const grpc::CallbackServerContext& context) {
  const std::vector<std::string> names = PeerNames(*context.auth_context());
  return names.empty() ? "" : names.front();
}

void ReturnTrace(grpc::CallbackServerContext* context) {
  const std::string trace = TraceOf(*context);
  if (!trace.empty()) context->AddInitialMetadata(kTraceMetadata, trace);
}

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  ReturnTrace(context);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, base::Executor* executor,
                                     base::Task<absl::Status> task) {
  ReturnTrace(context);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  base::SpawnOn(executor, RunUnary(reactor, std::move(task)));
  return reactor;
}

}  // namespace godwit::rpc

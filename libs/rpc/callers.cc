#include "libs/rpc/callers.h"

#include <google/protobuf/descriptor.h>

#include <string_view>

#include "libs/base/status.h"

namespace godwit::rpc {
namespace {

// What every daemon of our CA may ask of every other.
bool IsOpenToAll(std::string_view method) {
  return method.starts_with("/grpc.health.v1.Health/") ||
         method.starts_with("/grpc.reflection.v1alpha.ServerReflection/") ||
         method.starts_with("/grpc.reflection.v1.ServerReflection/");
}

}  // namespace

absl::Status MayCall(const Callers& callers, const std::string& method,
                     const std::vector<std::string>& names) {
  if (!names.empty() && IsOpenToAll(method)) return absl::OkStatus();
  const auto allowed = callers.find(method);
  if (allowed == callers.end()) return base::Unauthenticated("nobody may call " + method);
  for (const std::string& name : names) {
    for (const std::string& daemon : allowed->second) {
      if (daemon == "*" || daemon == name) return absl::OkStatus();
    }
  }
  const std::string who = names.empty() ? "a peer without a name" : names.front();
  return base::Unauthenticated(who + " may not call " + method);
}

absl::Status CheckCallers(const Callers& callers) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const auto& [path, daemons] : callers) {
    const size_t slash = path.rfind('/');
    const auto* service = path.starts_with('/') && slash > 0
                              ? pool->FindServiceByName(path.substr(1, slash - 1))
                              : nullptr;
    if (service == nullptr || service->FindMethodByName(path.substr(slash + 1)) == nullptr) {
      return base::InvalidArgument("callers: there is no method " + path);
    }
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string other = "/" + service->full_name() + "/" + service->method(i)->name();
      if (callers.count(other) == 0) {
        return base::InvalidArgument("callers: no line for " + other);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace godwit::rpc

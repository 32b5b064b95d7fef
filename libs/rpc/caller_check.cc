#include "libs/rpc/caller_check.h"

#include <grpc/grpc_security_constants.h>

#include "libs/base/status.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/status.h"

namespace godwit::rpc {
namespace {

std::vector<std::string> Values(const grpc::AuthContext& context, const char* property) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(property)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

}  // namespace

std::vector<std::string> PeerNames(const grpc::AuthContext& context) {
  std::vector<std::string> names = Values(context, GRPC_PEER_DNS_PROPERTY_NAME);
  if (names.empty()) names = Values(context, GRPC_X509_CN_PROPERTY_NAME);
  return names;
}

grpc::Status CallerCheck::Process(const InputMetadata& metadata, grpc::AuthContext* context,
                                  OutputMetadata*, OutputMetadata*) {
  const auto path = metadata.find(":path");
  if (path == metadata.end()) return ToGrpc(base::Unauthenticated("a call without a path"));
  const std::string method(path->second.data(), path->second.size());
  return ToGrpc(MayCall(callers_, method, PeerNames(*context)));
}

}  // namespace godwit::rpc

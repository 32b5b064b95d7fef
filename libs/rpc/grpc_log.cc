#include "libs/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <string_view>

#include "libs/obs/log.h"

namespace godwit::rpc {
namespace {

void Forward(gpr_log_func_args* args) {
  const std::string_view file = args->file;
  // gRPC's errors are the troubles of one connection: warnings for us.
  obs::Log(obs::Level::kWarning, "grpc",
           {{"message", args->message},
            {"source", file.substr(file.rfind('/') + 1)},
            {"line", args->line}});
}

}  // namespace

void InstallLog() {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(&Forward);
}

}  // namespace godwit::rpc

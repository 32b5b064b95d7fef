#include "libs/admin/admin.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "libs/runtime/version.h"
#include "proto/godwit/admin/v1/admin.grpc.pb.h"

namespace godwit::admin {
namespace {

namespace pb = ::godwit::admin::v1;

// Everything here answers at once, on gRPC's own thread: it works when reactors are stuck.
class AdminService : public pb::Admin::CallbackService {
 public:
  AdminService(runtime::Context* context, std::function<int64_t()> connections)
      : context_(context), connections_(std::move(connections)) {}

  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context, const pb::StatusRequest*,
                                   pb::StatusResponse* out) override {
    const runtime::Process& process = context_->process;
    out->set_daemon(context_->name);
    out->set_version(runtime::kVersion);
    out->mutable_started()->set_seconds(absl::ToUnixSeconds(process.started()));
    out->set_uptime_seconds(absl::ToDoubleSeconds(process.uptime()));
    out->set_serving(process.serving());
    out->set_draining(process.draining());
    out->set_log_level(std::string(obs::LevelName(obs::CurrentLevel())));
    if (connections_) out->set_connections(connections_());
    for (const runtime::Setting& setting : process.settings()) {
      pb::Setting* added = out->add_settings();
      added->set_path(setting.path);
      added->set_value(setting.value);
    }
    out->set_pid(getpid());
    return rpc::Answer(context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* context,
                                        const pb::SetLogLevelRequest* in,
                                        pb::SetLogLevelResponse* out) override {
    out->set_before(std::string(obs::LevelName(obs::CurrentLevel())));
    absl::Status status = obs::SetLevel(in->level());
    if (status.ok()) {
      obs::Log(
          obs::Level::kInfo, "log level set",
          {{"before", out->before()}, {"now", in->level()}, {"caller", rpc::CallerOf(*context)}});
    }
    return rpc::Answer(context, status);
  }

  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const pb::DrainRequest* in,
                                  pb::DrainResponse*) override {
    if (in->daemon() != context_->name) {
      return rpc::Answer(context, base::InvalidArgument("this is " + context_->name +
                                                        ": the request must name it"));
    }
    obs::Log(obs::Level::kInfo, "drain asked for", {{"caller", rpc::CallerOf(*context)}});
    return rpc::Answer(context, context_->process.Drain());
  }

 private:
  runtime::Context* const context_;
  const std::function<int64_t()> connections_;
};

}  // namespace

void AddTo(runtime::Context* context, rpc::ServerOptions* options,
           std::function<int64_t()> connections) {
  for (const char* method : {"Status", "SetLogLevel", "Drain"}) {
    options->callers[std::string("/godwit.admin.v1.Admin/") + method] = {"godwitctl",
                                                                         "webmail-api"};
  }
  options->own_services.push_back(std::make_shared<AdminService>(context, std::move(connections)));
}

}  // namespace godwit::admin

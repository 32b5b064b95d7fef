#include "tools/godwitctl/daemons.h"

#include <algorithm>
#include <cstdlib>

#include "libs/base/status.h"
#include "libs/rpc/client.h"
#include "libs/runtime/config_sections.h"
#include "libs/runtime/units.h"
#include "libs/runtime/yaml_config.h"
#include "tools/godwitctl/config.pb.h"

namespace godwit::ctl {
namespace {

constexpr char kDefaultPath[] = "/etc/godwit/godwitctl.yaml";

std::string PathOf(const Invocation& invocation) {
  if (const auto flag = invocation.flag(kConfigFlag.name)) return *flag;
  const char* variable = std::getenv("GODWITCTL_CONFIG");
  return variable != nullptr && *variable != '\0' ? variable : kDefaultPath;
}

}  // namespace

const Flag kConfigFlag = {"config", "FILE",
                          "where the daemons are; else $GODWITCTL_CONFIG, else "
                          "/etc/godwit/godwitctl.yaml",
                          false};

absl::StatusOr<Daemons> Daemons::Load(const Invocation& invocation) {
  Config config;
  GODWIT_RETURN_IF_ERROR(runtime::LoadYamlFile(PathOf(invocation), &config));
  Daemons daemons;
  daemons.tls_ = runtime::MakeRpcTls(config.rpc_tls());
  daemons.deadline_ = runtime::ToDuration(config.deadline());
  for (const Daemon& daemon : config.daemons()) {
    for (const std::string& target : daemon.targets()) {
      daemons.targets_.push_back({daemon.name(), target});
    }
  }
  return daemons;
}

absl::StatusOr<std::vector<DaemonTarget>> Daemons::Targets(
    const std::vector<std::string>& names) const {
  if (names.empty()) return targets_;
  std::vector<DaemonTarget> chosen;
  for (const std::string& name : names) {
    const size_t before = chosen.size();
    for (const DaemonTarget& target : targets_) {
      if (target.name == name) chosen.push_back(target);
    }
    if (chosen.size() == before) {
      return base::NotFound("the configuration of godwitctl has no target of \"" + name + "\"");
    }
  }
  return chosen;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Daemons::Connect(const std::string& name) const {
  GODWIT_ASSIGN_OR_RETURN(const std::vector<DaemonTarget> found, Targets({name}));
  return Connect(found.front());
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Daemons::Connect(const DaemonTarget& target) const {
  rpc::ChannelOptions options;
  options.target = target.target;
  options.daemon = target.name;
  options.tls = tls_;
  return rpc::Connect(std::move(options));
}

}  // namespace godwit::ctl

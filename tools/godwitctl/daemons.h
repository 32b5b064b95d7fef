#pragma once

// The daemons of the commands that call them: a configuration file (config.proto) that says where
// they are, and channels to them. The file is --config, else $GODWITCTL_CONFIG, else
// /etc/godwit/godwitctl.yaml; tools/localserve writes one.
//
//   {"queue hold", {"ID"}, {kConfigFlag}, "...", [](const Invocation& in) -> absl::StatusOr<Report>
//   {
//     GODWIT_ASSIGN_OR_RETURN(const Daemons daemons, Daemons::Load(in));
//     GODWIT_ASSIGN_OR_RETURN(const auto channel, daemons.Connect("delivery-queue"));
//     const auto stub = DeliveryQueue::NewStub(channel);
//     auto reply = base::RunBlocking(rpc::Call(stub.get(), &..., request, {.deadline =
//     daemons.deadline()}));

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/rpc/tls.h"
#include "tools/godwitctl/command_line.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace godwit::ctl {

extern const Flag kConfigFlag;

// One gRPC listener.
struct DaemonTarget {
  std::string name;
  std::string target;
};

class Daemons {
 public:
  // NotFound without a file; InvalidArgument with every error of the file.
  static absl::StatusOr<Daemons> Load(const Invocation& invocation);

  // All, in the order of the file; or those of the daemons named. NotFound for a name that the file
  // has not.
  absl::StatusOr<std::vector<DaemonTarget>> Targets(const std::vector<std::string>& names) const;

  // The first target of the daemon. NotFound when the file has none.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& name) const;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const DaemonTarget& target) const;

  // Of one call.
  absl::Duration deadline() const { return deadline_; }

 private:
  rpc::TlsFiles tls_;
  absl::Duration deadline_;
  std::vector<DaemonTarget> targets_;
};

}  // namespace godwit::ctl

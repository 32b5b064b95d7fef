// godwitctl status, log-level, drain: what every daemon answers (proto/godwit/admin/v1).

#include <grpcpp/channel.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/call.h"
#include "proto/godwit/admin/v1/admin.grpc.pb.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/daemons.h"

namespace godwit::ctl {
namespace {

namespace pb = ::godwit::admin::v1;
using Async = pb::Admin::StubInterface::async_interface;

template <typename Request, typename Reply>
absl::StatusOr<Reply> CallOne(const Daemons& daemons, const DaemonTarget& target,
                              void (Async::*method)(grpc::ClientContext*, const Request*, Reply*,
                                                    std::function<void(grpc::Status)>),
                              Request request) {
  GODWIT_ASSIGN_OR_RETURN(const auto channel, daemons.Connect(target));
  const auto stub = pb::Admin::NewStub(channel);
  return base::RunBlocking(
      rpc::Call(stub.get(), method, std::move(request), {.deadline = daemons.deadline()}));
}

// "3d 4h", "2h 5m", "1m 7s": the two largest units.
std::string Uptime(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return absl::StrFormat("%dd %dh", days, hours);
  if (hours > 0) return absl::StrFormat("%dh %dm", hours, minutes);
  if (minutes > 0) return absl::StrFormat("%dm %ds", minutes, whole % 60);
  return absl::StrFormat("%ds", whole);
}

std::string State(const pb::StatusResponse& status) {
  if (status.draining()) return "draining";
  return status.serving() ? "serving" : "not serving";
}

boost::json::object ToJson(const DaemonTarget& target, const pb::StatusResponse& status) {
  boost::json::object settings;
  for (const pb::Setting& setting : status.settings()) settings[setting.path()] = setting.value();
  return {{"daemon", status.daemon()},
          {"target", target.target},
          {"version", status.version()},
          {"pid", status.pid()},
          {"started",
           absl::FormatTime(absl::RFC3339_sec, absl::FromUnixSeconds(status.started().seconds()),
                            absl::UTCTimeZone())},
          {"uptime_seconds", status.uptime_seconds()},
          {"serving", status.serving()},
          {"draining", status.draining()},
          {"log_level", status.log_level()},
          {"connections", status.connections()},
          {"settings", std::move(settings)}};
}

absl::StatusOr<Report> Status(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const Daemons daemons, Daemons::Load(in));
  GODWIT_ASSIGN_OR_RETURN(const auto targets, daemons.Targets(in.rest()));
  Table table(
      {"DAEMON", "TARGET", "STATE", "VERSION", "UP", "LOG", "CONNECTIONS", "PID", "PROBLEM"});
  boost::json::array json;
  bool all_serve = true;
  for (const DaemonTarget& target : targets) {
    const auto status = CallOne(daemons, target, &Async::Status, pb::StatusRequest());
    all_serve = all_serve && status.ok() && status->serving();
    if (!status.ok()) {
      table.Add({target.name, target.target, "no answer", "", "", "", "", "",
                 base::ToString(status.status())});
      json.push_back(boost::json::object{{"daemon", target.name},
                                         {"target", target.target},
                                         {"error", base::ToString(status.status())}});
      continue;
    }
    table.Add({status->daemon(), target.target, State(*status), status->version(),
               Uptime(status->uptime_seconds()), status->log_level(),
               std::to_string(status->connections()), std::to_string(status->pid()), ""});
    json.push_back(ToJson(target, *status));
  }
  Report report(table.ToString(), std::move(json));
  if (!all_serve) report.set_exit_code(1);
  return report;
}

absl::StatusOr<Report> LogLevel(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const Daemons daemons, Daemons::Load(in));
  GODWIT_ASSIGN_OR_RETURN(const auto targets, daemons.Targets({in.argument("DAEMON")}));
  pb::SetLogLevelRequest request;
  request.set_level(in.argument("LEVEL"));
  std::string text;
  boost::json::array json;
  for (const DaemonTarget& target : targets) {
    GODWIT_ASSIGN_OR_RETURN(const auto reply,
                            CallOne(daemons, target, &Async::SetLogLevel, request));
    text += target.name + " at " + target.target + " logs from " + request.level() +
            " on (before: " + reply.before() + ").\n";
    json.push_back(boost::json::object{{"daemon", target.name},
                                       {"target", target.target},
                                       {"before", reply.before()},
                                       {"log_level", request.level()}});
  }
  return Report(std::move(text), std::move(json));
}

absl::StatusOr<Report> Drain(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const Daemons daemons, Daemons::Load(in));
  const std::string& name = in.argument("DAEMON");
  GODWIT_ASSIGN_OR_RETURN(const auto targets, daemons.Targets({name}));
  const std::string wanted = in.flag("target").value_or(targets.front().target);
  // All replicas at once would be an outage.
  if (targets.size() > 1 && !in.has("target")) {
    return base::InvalidArgument(name + " has several targets: choose one with --target");
  }
  pb::DrainRequest request;
  request.set_daemon(name);
  GODWIT_RETURN_IF_ERROR(
      CallOne(daemons, DaemonTarget{name, wanted}, &Async::Drain, request).status());
  return Report::Done(name + " at " + wanted + " drains and ends.");
}

}  // namespace

std::vector<Command> DaemonCommands() {
  return {
      {"status",
       {"[DAEMON...]"},
       {kConfigFlag},
       "Asks daemons, all without a name, what they are and do; 1 when one does not serve.",
       Status},
      {"log-level",
       {"DAEMON", "LEVEL"},
       {kConfigFlag},
       "Has a daemon log from debug, info, warning or error on, until its configuration is read "
       "again.",
       LogLevel},
      {"drain",
       {"DAEMON"},
       {kConfigFlag, {"target", "HOST:PORT", "which one of several replicas", false}},
       "Ends a daemon when what is in flight is done; its supervisor starts another.",
       Drain},
  };
}

}  // namespace godwit::ctl

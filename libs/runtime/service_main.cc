#include "libs/runtime/service_main.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/config_summary.h"
#include "libs/runtime/metrics_listener.h"
#include "libs/runtime/units.h"
#include "libs/runtime/yaml_config.h"
#include "proto/godwit/config/v1/common.pb.h"

namespace godwit::runtime {
namespace {

using config::v1::Common;

// What a Drain() may take beyond its grace before the process is ended.
constexpr unsigned kSecondsAfterGrace = 10;

sigset_t HandledSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

// The section `common` of a configuration; its defaults when the message has none.
Common CommonOf(const google::protobuf::Message& config) {
  Common common;
  const auto* field = config.GetDescriptor()->FindFieldByName("common");
  GODWIT_CHECK(field != nullptr && field->message_type() == Common::descriptor());
  common.CopyFrom(config.GetReflection()->GetMessage(config, field));
  return common;
}

obs::Level LevelOf(config::v1::Log::Level level) {
  switch (level) {
    case config::v1::Log::LEVEL_DEBUG: return obs::Level::kDebug;
    case config::v1::Log::LEVEL_WARNING: return obs::Level::kWarning;
    case config::v1::Log::LEVEL_ERROR: return obs::Level::kError;
    default: return obs::Level::kInfo;
  }
}

absl::Status ApplyLog(const Common& common) {
  obs::SetLevel(LevelOf(common.log().level()));
  return obs::SetFile(common.log().file());
}

}  // namespace

struct ServiceMain::State {
  std::string config_path;
  std::unique_ptr<google::protobuf::Message> prototype;  // of the configuration
  Common common;
  std::unique_ptr<MetricsListener> metrics;
};

ServiceMain::ServiceMain(std::string_view name) : state_(std::make_unique<State>()) {
  context_.name = name;
  obs::SetDaemon(name);
  signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = HandledSignals();
  GODWIT_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
}

ServiceMain::~ServiceMain() = default;

absl::Status ServiceMain::Load(const std::string& path, google::protobuf::Message* config) {
  GODWIT_RETURN_IF_ERROR(LoadYamlFile(path, config));
  state_->config_path = path;
  state_->prototype.reset(config->New());
  state_->common = CommonOf(*config);
  context_.process.settings_ = SummarizeConfig(*config);
  return ApplyLog(state_->common);
}

int ServiceMain::Fail(const absl::Status& status) {
  // To a person first: every error of the configuration on a line of its own.
  std::fprintf(stderr, "%s: %s\n", context_.name.c_str(),
               std::string(base::Message(status)).c_str());
  const bool is_configuration = status.code() == absl::StatusCode::kInvalidArgument ||
                                status.code() == absl::StatusCode::kNotFound;
  return is_configuration ? 2 : 1;
}

uint16_t ServiceMain::metrics_port() const { return state_->metrics ? state_->metrics->port() : 0; }

void ServiceMain::SetReady(bool ready) {
  context_.process.serving_ = ready;
  if (state_->metrics) state_->metrics->SetReady(ready);
  if (context_.on_ready) context_.on_ready(ready);
}

int ServiceMain::Run(Service* service) {
  if (!state_->common.metrics_listen().empty()) {
    auto listener = MetricsListener::Start(state_->common.metrics_listen());
    if (!listener.ok()) return Fail(listener.status());
    state_->metrics = *std::move(listener);
  }
  if (absl::Status started = service->Start(); !started.ok()) {
    obs::Log(obs::Level::kError, "the service can't start", {{"error", started}});
    return Fail(started);
  }
  context_.process.running_ = true;
  SetReady(true);
  obs::Log(obs::Level::kInfo, "ready", {{"pid", getpid()}, {"metrics_port", metrics_port()}});
  const sigset_t signals = HandledSignals();
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) Reload(service);
  obs::Log(obs::Level::kInfo, "draining", {{"signal", signal}});
  Drain(service);
  obs::Log(obs::Level::kInfo, "stopped");
  // A drain that had to cut leaves calls of gRPC and jobs of the database behind, which answer on
  // threads of their own to reactors that destructors would have taken away. Nothing that is left
  // needs a destructor.
  std::fflush(nullptr);
  _exit(0);
}

// SIGHUP: the log's level and file from the configuration, then what the service has.
void ServiceMain::Reload(Service* service) {
  absl::Status status;
  if (state_->prototype) {
    std::unique_ptr<google::protobuf::Message> config(state_->prototype->New());
    status = LoadYamlFile(state_->config_path, config.get());
    if (status.ok()) status = ApplyLog(CommonOf(*config));
  }
  if (status.ok()) status = service->Reload();
  if (status.ok()) {
    obs::Log(obs::Level::kInfo, "reloaded");
  } else {
    obs::Log(obs::Level::kError, "the reload failed", {{"error", status}});
  }
}

void ServiceMain::Drain(Service* service) {
  context_.process.draining_ = true;
  // From now on the signals have their own effect: a second SIGTERM ends the process at once.
  const sigset_t signals = HandledSignals();
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  SetReady(false);
  absl::SleepFor(ToDuration(state_->common.drain().notice()));
  const absl::Duration grace = ToDuration(state_->common.drain().grace());
  // A Drain() that hangs is ended by SIGALRM.
  alarm(static_cast<unsigned>(absl::ToInt64Seconds(grace)) + kSecondsAfterGrace);
  service->Drain(grace);
  alarm(0);
}

}  // namespace godwit::runtime

#pragma once

// ServiceMain: what every daemon does around its own work.
//
//   int main(int argc, char** argv) {
//     absl::ParseCommandLine(argc, argv);
//     godwit::runtime::ServiceMain main("smtp-ingress");
//     auto config = main.LoadConfig<godwit::smtp_ingress::v1::Config>(absl::GetFlag(FLAGS_config));
//     if (!config.ok()) return main.Fail(config.status());
//     godwit::smtp_ingress::Server server(*config, main.context());
//     return main.Run(&server);
//   }
//
// It reads the configuration (yaml_config.h), sets up logs, opens the metrics listener (/metrics,
// /healthz: the process lives, /readyz: it serves), and then: Start(), ready, wait for a signal.
// SIGTERM or SIGINT: not ready, a pause in which load balancers notice, Drain(), exit 0. A second
// one ends at once. Process::Drain() does as SIGTERM does. Nothing is destroyed after Drain(): what
// must be done at the end stands there. SIGHUP: log file opened anew, Reload(). SIGPIPE is ignored.
//
// The constructor blocks the signals for all threads: it must come before any thread is made. The
// settings of all daemons are the section `common` of each Config message
// (proto/godwit/config/v1/common.proto).

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/runtime/process.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace godwit::runtime {

// What a daemon gets from its main program. Lives until Run() has returned.
struct Context {
  std::string name;  // "smtp-ingress"
  const base::Clock* clock = base::Clock::System();
  // Set by the daemon: called whenever readiness changes, to tell the health service of gRPC.
  std::function<void(bool ready)> on_ready = nullptr;
  // What the process says of itself; see libs/admin.
  Process process = {};
};

// A daemon, as ServiceMain drives it. All are called on the main thread.
class Service {
 public:
  virtual ~Service() = default;
  // Listens and starts its threads; does not block. An error ends the process.
  virtual absl::Status Start() = 0;
  // SIGHUP: certificates and such are read again. An error is logged, nothing else.
  virtual absl::Status Reload() { return absl::OkStatus(); }
  // Stops listening, ends what runs within `grace`, gives back leases, stops threads. Blocks.
  virtual void Drain(absl::Duration grace) = 0;
};

class ServiceMain {
 public:
  explicit ServiceMain(std::string_view name);
  ~ServiceMain();

  // The configuration file as a message; its section `common` takes effect. InvalidArgument with
  // every error of the file, one a line; NotFound when there is no such file.
  template <typename Config>
  absl::StatusOr<Config> LoadConfig(const std::string& path) {
    Config config;
    absl::Status status = Load(path, &config);
    if (!status.ok()) return status;
    return config;
  }

  // Prints the error; the exit code to return from main: 2 for InvalidArgument and NotFound (the
  // configuration), else 1.
  int Fail(const absl::Status& status);

  Context* context() { return &context_; }
  // Where the metrics listener listens; 0 when it is off or not open yet.
  uint16_t metrics_port() const;

  // Runs the service until a signal ends it, and then the process, with exit code 0 and without
  // destructors (see service_main.cc). Returns only when the service can't start: the exit code.
  int Run(Service* service);

 private:
  struct State;
  absl::Status Load(const std::string& path, google::protobuf::Message* config);
  void SetReady(bool ready);
  void Reload(Service* service);
  void Drain(Service* service);

  Context context_;
  std::unique_ptr<State> state_;
};

}  // namespace godwit::runtime

// delivery-queue: keeps mail until it is delivered. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/delivery-queue/config.pb.h"
#include "services/delivery-queue/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/delivery-queue.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("delivery-queue");
  auto config = service.LoadConfig<godwit::delivery_queue::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::delivery_queue::Server server(*config, service.context());
  return service.Run(&server);
}

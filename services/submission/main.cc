// submission: takes mail from our users. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/submission/config.pb.h"
#include "services/submission/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/submission.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("submission");
  auto config = service.LoadConfig<godwit::submission::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::submission::Server server(*config, service.context());
  return service.Run(&server);
}

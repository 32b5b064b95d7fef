// imap-gateway: IMAP4rev2 and IMAP4rev1. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/imap-gateway/config.pb.h"
#include "services/imap-gateway/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/imap-gateway.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("imap-gateway");
  auto config = service.LoadConfig<godwit::imap_gateway::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::imap_gateway::Server server(*config, service.context());
  return service.Run(&server);
}

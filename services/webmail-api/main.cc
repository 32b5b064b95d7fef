// webmail-api: JMAP and the web page. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/webmail-api/config.pb.h"
#include "services/webmail-api/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/webmail-api.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("webmail-api");
  auto config = service.LoadConfig<godwit::webmail_api::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::webmail_api::Server server(*config, service.context());
  return service.Run(&server);
}

// smtp-ingress: takes mail from other servers. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/smtp-ingress/config.pb.h"
#include "services/smtp-ingress/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/smtp-ingress.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("smtp-ingress");
  auto config = service.LoadConfig<godwit::smtp_ingress::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::smtp_ingress::Server server(*config, service.context());
  return service.Run(&server);
}

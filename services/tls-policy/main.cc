// tls-policy: says where mail goes and what TLS must prove on the way. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/tls-policy/config.pb.h"
#include "services/tls-policy/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/tls-policy.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("tls-policy");
  auto config = service.LoadConfig<godwit::tls_policy::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::tls_policy::Server server(*config, service.context());
  return service.Run(&server);
}

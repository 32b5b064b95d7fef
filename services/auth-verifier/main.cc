// auth-verifier: judges who a message is from, and signs what leaves. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/auth-verifier/config.pb.h"
#include "services/auth-verifier/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/auth-verifier.yaml", "Configuration (see README).");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("auth-verifier");
  auto config = service.LoadConfig<godwit::auth_verifier::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  godwit::auth_verifier::Server server(*config, service.context());
  return service.Run(&server);
}

// acme: makes, renews and pushes the certificates of all daemons. See README.md.

#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "libs/runtime/service_main.h"
#include "services/acme/bootstrap.h"
#include "services/acme/config.pb.h"
#include "services/acme/server.h"

ABSL_FLAG(std::string, config, "/etc/godwit/acme.yaml", "Configuration (see README).");
ABSL_FLAG(std::string, bootstrap, "",
          "Makes authorities and certificates that are missing, writes the first files of every "
          "daemon into this folder, and ends.");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  godwit::runtime::ServiceMain service("acme");
  auto config = service.LoadConfig<godwit::acme::Config>(absl::GetFlag(FLAGS_config));
  if (!config.ok()) return service.Fail(config.status());
  if (const std::string folder = absl::GetFlag(FLAGS_bootstrap); !folder.empty()) {
    const absl::Status done = godwit::acme::Bootstrap(*config, folder, service.context()->clock);
    return done.ok() ? 0 : service.Fail(done);
  }
  godwit::acme::Server server(*config, service.context());
  return service.Run(&server);
}

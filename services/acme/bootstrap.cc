#include "services/acme/bootstrap.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/certificates/bundle.h"
#include "libs/db/connection.h"
#include "libs/runtime/config_sections.h"
#include "libs/store/certificates.h"
#include "libs/store/migrate.h"
#include "services/acme/issuer.h"
#include "services/acme/policy.h"

namespace godwit::acme {
namespace {

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

absl::Status MakeFolder(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return absl::OkStatus();
  return base::Unavailable("the folder " + path + " can't be made");
}

// Takes `folder`/ca.{pem,key} over as the authority `name`, if they are there and it is not.
absl::Status Adopt(db::Connection& connection, const std::string& folder, const std::string& name,
                   absl::Time now) {
  const std::string key_file = folder + "/ca.key";
  const auto certificate = ReadFile(folder + "/ca.pem");
  const auto key = ReadFile(key_file);
  if (!certificate || !key) return absl::OkStatus();
  GODWIT_ASSIGN_OR_RETURN(const auto have, store::FindAuthority(connection, name));
  if (have) return absl::OkStatus();
  const absl::Status adopted =
      AdoptAuthority(connection, {name, *certificate, base::Secret(*key)}, now);
  GODWIT_RETURN_IF_ERROR(base::Annotate(adopted, folder + "/ca.pem"));
  std::printf("The authority of %s/ca.pem is kept in the database now.\n", folder.c_str());
  // From now on acme's role is the only one that can sign.
  if (unlink(key_file.c_str()) != 0) return base::Unavailable(key_file + " can't be removed");
  return absl::OkStatus();
}

absl::Status WriteAll(const Snapshot& snapshot, const Policy& policy, const std::string& folder) {
  for (const Wanted& wanted : policy.wanted) {
    if (wanted.kind != store::CertificateKind::kRpc) continue;
    GODWIT_ASSIGN_OR_RETURN(const auto bundle, BundleFor(snapshot, policy, wanted.name));
    GODWIT_RETURN_IF_ERROR(certificates::WriteBundle(folder + "/" + wanted.name, bundle).status());
  }
  GODWIT_RETURN_IF_ERROR(MakeFolder(folder + "/public", 0755));
  const std::string ca_file = folder + "/public/ca.pem";
  GODWIT_RETURN_IF_ERROR(
      certificates::ReplaceFile(ca_file, snapshot.public_authority_pem).status());
  // No secret: every client reads it.
  if (chmod(ca_file.c_str(), 0644) != 0) return base::Unavailable(ca_file + ": chmod failed");
  return absl::OkStatus();
}

}  // namespace

absl::Status Bootstrap(const Config& config, const std::string& folder, const base::Clock* clock) {
  GODWIT_ASSIGN_OR_RETURN(const Policy policy, MakePolicy(config));
  const auto options = runtime::MakePoolOptions(config.database(), "acme");
  GODWIT_ASSIGN_OR_RETURN(const auto connection, db::Connection::Open(options.connect));
  GODWIT_RETURN_IF_ERROR(store::CheckSchema(*connection));
  GODWIT_RETURN_IF_ERROR(MakeFolder(folder, 0755));
  const absl::Time now = clock->Now();
  GODWIT_RETURN_IF_ERROR(Adopt(*connection, folder + "/public", "public", now));
  GODWIT_RETURN_IF_ERROR(Adopt(*connection, folder + "/mesh", "rpc", now));
  GODWIT_ASSIGN_OR_RETURN(const Outcome outcome,
                          Refresh(*connection, policy, nullptr, now, base::RandomSource::System()));
  return WriteAll(*outcome.snapshot, policy, folder);
}

}  // namespace godwit::acme

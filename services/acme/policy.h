#pragma once

// What acme is to keep alive: its configuration as plain values.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/store/certificates.h"

namespace godwit::acme {

class Config;

struct Wanted {
  store::CertificateKind kind = store::CertificateKind::kPublic;
  std::string name;
  std::vector<std::string> names;    // in the certificate
  std::vector<std::string> daemons;  // that get it
};

// The operator's name among those of the daemons.
inline constexpr char kOperator[] = "godwitctl";

struct Policy {
  std::string organization = "Godwit";
  absl::Duration authority_lifetime = absl::Hours(87600);
  absl::Duration public_lifetime = absl::Hours(2160);
  absl::Duration rpc_lifetime = absl::Hours(720);
  absl::Duration operator_lifetime = absl::Hours(8760);
  int renew_after_percent = 66;
  std::vector<Wanted> wanted;
};

// InvalidArgument for a certificate's name that can't be a file's, or one that is there twice.
absl::StatusOr<Policy> MakePolicy(const Config& config);

}  // namespace godwit::acme

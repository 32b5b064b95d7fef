#include "services/acme/policy.h"

#include <set>

#include "libs/base/status.h"
#include "libs/certificates/bundle.h"
#include "libs/runtime/units.h"
#include "services/acme/config.pb.h"

namespace godwit::acme {
namespace {

using store::CertificateKind;

std::vector<std::string> DaemonsOf(const Config& config) {
  if (!config.daemons().empty()) return {config.daemons().begin(), config.daemons().end()};
  return {"smtp-ingress", "submission",  "imap-gateway", "delivery-queue", "auth-verifier",
          "tls-policy",   "webmail-api", "acme",         kOperator};
}

Wanted ToWanted(const PublicCertificate& certificate) {
  Wanted wanted;
  wanted.kind = CertificateKind::kPublic;
  wanted.name = certificate.name();
  wanted.names.assign(certificate.names().begin(), certificate.names().end());
  if (wanted.names.empty()) wanted.names = {wanted.name};
  wanted.daemons.assign(certificate.daemons().begin(), certificate.daemons().end());
  return wanted;
}

absl::Status CheckNames(const std::vector<Wanted>& all) {
  std::set<std::pair<CertificateKind, std::string>> seen;
  for (const Wanted& wanted : all) {
    if (!certificates::IsCertificateName(wanted.name)) {
      return base::InvalidArgument("\"" + wanted.name + "\" can not be the name of a certificate");
    }
    if (!seen.insert({wanted.kind, wanted.name}).second) {
      return base::InvalidArgument("\"" + wanted.name + "\" is there twice");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Policy> MakePolicy(const Config& config) {
  Policy policy;
  policy.organization = config.local().organization();
  policy.authority_lifetime = runtime::ToDuration(config.local().lifetime());
  policy.public_lifetime = runtime::ToDuration(config.lifetimes().public_());
  policy.rpc_lifetime = runtime::ToDuration(config.lifetimes().rpc());
  policy.operator_lifetime = runtime::ToDuration(config.lifetimes().operator_());
  policy.renew_after_percent = static_cast<int>(config.lifetimes().renew_after());
  for (const std::string& daemon : DaemonsOf(config)) {
    policy.wanted.push_back({CertificateKind::kRpc, daemon, {daemon}, {daemon}});
  }
  for (const PublicCertificate& certificate : config.certificates()) {
    policy.wanted.push_back(ToWanted(certificate));
  }
  GODWIT_RETURN_IF_ERROR(CheckNames(policy.wanted));
  return policy;
}

}  // namespace godwit::acme

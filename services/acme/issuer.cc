#include "services/acme/issuer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "libs/base/status.h"
#include "libs/x509/x509.h"

namespace godwit::acme {
namespace {

using store::Certificate;
using store::CertificateAuthority;
using store::CertificateKind;

constexpr char kPublicAuthority[] = "public";
constexpr char kRpcAuthority[] = "rpc";
// Before now, for peers whose clock is slow; at most a tenth of the lifetime.
constexpr absl::Duration kBackdate = absl::Minutes(5);
constexpr absl::Duration kRetryAfter = absl::Minutes(1);
// While a configuration with other names is rolled out, old and new replicas would issue against
// each other.
constexpr absl::Duration kRenameAfter = absl::Minutes(10);

absl::Duration LifetimeOf(const Policy& policy, const Wanted& wanted) {
  if (wanted.kind == CertificateKind::kPublic) return policy.public_lifetime;
  return wanted.name == kOperator ? policy.operator_lifetime : policy.rpc_lifetime;
}

const std::string& AuthorityPem(const Snapshot& snapshot, CertificateKind kind) {
  return kind == CertificateKind::kRpc ? snapshot.rpc_authority_pem : snapshot.public_authority_pem;
}

const Certificate* Find(const std::vector<Certificate>& all, CertificateKind kind,
                        std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Certificate& each) {
    return each.kind == kind && each.name == name;
  });
  return found == all.end() ? nullptr : &*found;
}

// `have` may be null.
bool IsDue(const Wanted& wanted, const Certificate* have, const std::string& authority_pem,
           absl::Time now) {
  if (have == nullptr) return true;
  if (have->last_error_at && now < *have->last_error_at + kRetryAfter) return false;
  const bool renamed = have->names != wanted.names && now >= have->not_before + kRenameAfter;
  return now >= have->renew_at || renamed ||
         !x509::CheckIssuer(have->chain_pem, authority_pem).ok();
}

bool IsWanted(const Policy& policy, const Certificate& certificate) {
  return std::any_of(policy.wanted.begin(), policy.wanted.end(), [&](const Wanted& wanted) {
    return wanted.kind == certificate.kind && wanted.name == certificate.name;
  });
}

bool AnythingToDo(const Snapshot& snapshot, const Policy& policy, absl::Time now) {
  for (const Wanted& wanted : policy.wanted) {
    const Certificate* have = Find(snapshot.certificates, wanted.kind, wanted.name);
    if (IsDue(wanted, have, AuthorityPem(snapshot, wanted.kind), now)) return true;
  }
  return std::any_of(
      snapshot.certificates.begin(), snapshot.certificates.end(),
      [&](const Certificate& each) { return now >= each.not_after && !IsWanted(policy, each); });
}

// The authority, made when it is not there. Under the lock.
absl::StatusOr<CertificateAuthority> GetAuthority(db::Connection& connection, const char* name,
                                                  const Policy& policy, absl::Time now,
                                                  base::RandomSource* random) {
  GODWIT_ASSIGN_OR_RETURN(auto found, store::FindAuthority(connection, name));
  if (found) return *std::move(found);
  x509::AuthorityOptions options;
  options.organization = policy.organization;
  options.common_name = policy.organization + " " + name + " authority";
  options.not_before = now - kBackdate;
  options.not_after = now + policy.authority_lifetime;
  GODWIT_ASSIGN_OR_RETURN(x509::Authority made, x509::NewAuthority(options, random));
  CertificateAuthority authority = {name, made.certificate_pem, made.key_pem};
  GODWIT_RETURN_IF_ERROR(store::AddAuthority(connection, authority, now));
  return authority;
}

// When a certificate of this lifetime that begins now is renewed.
absl::Time RenewAt(const Policy& policy, absl::Duration lifetime, absl::Time now,
                   base::RandomSource* random) {
  const int64_t early = random->Id63() % 1000;  // thousandths of a tenth of the lifetime
  return now + lifetime * policy.renew_after_percent / 100 - lifetime / 10 * early / 1000;
}

absl::Status Issue(const Wanted& wanted, const CertificateAuthority& authority,
                   const Policy& policy, absl::Time now, base::RandomSource* random,
                   Certificate* certificate) {
  const absl::Duration lifetime = LifetimeOf(policy, wanted);
  const bool keeps_key = wanted.kind == CertificateKind::kPublic && !certificate->key_pem.empty();
  base::Secret key = certificate->key_pem;
  if (!keeps_key) {
    GODWIT_ASSIGN_OR_RETURN(key, x509::NewKey());
  }
  x509::LeafOptions options;
  options.names = wanted.names;
  options.not_before = now - std::min(kBackdate, lifetime / 10);
  options.not_after = now + lifetime;
  GODWIT_ASSIGN_OR_RETURN(
      const std::string leaf,
      x509::Issue({authority.certificate_pem, authority.key_pem}, key, options, random));
  GODWIT_ASSIGN_OR_RETURN(const x509::Description description, x509::Describe(leaf));
  certificate->names = wanted.names;
  // What verifies has the authority already, but openssl's and others' tools like to see it.
  certificate->chain_pem = leaf + authority.certificate_pem;
  certificate->key_pem = std::move(key);
  certificate->serial = description.serial;
  certificate->public_key_sha256 = description.public_key_sha256;
  certificate->not_before = description.not_before;
  certificate->not_after = description.not_after;
  certificate->renew_at = RenewAt(policy, lifetime, now, random);
  return absl::OkStatus();
}

// Makes or renews one, or notes why not.
absl::Status Renew(db::Connection& connection, const Wanted& wanted, const Certificate* have,
                   const CertificateAuthority& authority, const Policy& policy, absl::Time now,
                   base::RandomSource* random, Outcome* outcome) {
  Certificate certificate;
  if (have != nullptr) {
    certificate = *have;
  } else {
    certificate.kind = wanted.kind;
    certificate.name = wanted.name;
    certificate.not_before = certificate.not_after = certificate.renew_at = now;
  }
  const absl::Status issued = Issue(wanted, authority, policy, now, random, &certificate);
  certificate.last_error = base::Message(issued);
  certificate.last_error_at = issued.ok() ? std::nullopt : std::optional(now);
  (issued.ok() ? outcome->issued : outcome->failed).push_back(wanted.kind);
  return store::PutCertificate(connection, certificate);
}

absl::StatusOr<Outcome> RenewDue(db::Connection& connection, const Policy& policy, absl::Time now,
                                 base::RandomSource* random) {
  Outcome outcome;
  GODWIT_RETURN_IF_ERROR(store::LockCertificates(connection));
  GODWIT_ASSIGN_OR_RETURN(const auto for_clients,
                          GetAuthority(connection, kPublicAuthority, policy, now, random));
  GODWIT_ASSIGN_OR_RETURN(const auto for_rpc,
                          GetAuthority(connection, kRpcAuthority, policy, now, random));
  // Read under the lock: another replica may have been first.
  GODWIT_ASSIGN_OR_RETURN(const auto all, store::ListCertificates(connection));
  for (const Wanted& wanted : policy.wanted) {
    const CertificateAuthority& authority =
        wanted.kind == CertificateKind::kRpc ? for_rpc : for_clients;
    const Certificate* have = Find(all, wanted.kind, wanted.name);
    if (!IsDue(wanted, have, authority.certificate_pem, now)) continue;
    GODWIT_RETURN_IF_ERROR(
        Renew(connection, wanted, have, authority, policy, now, random, &outcome));
  }
  for (const Certificate& each : all) {
    if (now < each.not_after || IsWanted(policy, each)) continue;
    GODWIT_RETURN_IF_ERROR(store::RemoveCertificate(connection, each.kind, each.name));
  }
  return outcome;
}

// One transaction, so that version and rows fit.
absl::StatusOr<std::shared_ptr<const Snapshot>> Read(db::Connection& connection) {
  using Result = absl::StatusOr<std::shared_ptr<const Snapshot>>;
  return db::RunTransaction(
      connection,
      [](db::Connection& c) -> Result {
        auto snapshot = std::make_shared<Snapshot>();
        GODWIT_ASSIGN_OR_RETURN(snapshot->version, store::CertificatesVersion(c));
        GODWIT_ASSIGN_OR_RETURN(snapshot->certificates, store::ListCertificates(c));
        GODWIT_ASSIGN_OR_RETURN(const auto for_clients, store::FindAuthority(c, kPublicAuthority));
        GODWIT_ASSIGN_OR_RETURN(const auto for_rpc, store::FindAuthority(c, kRpcAuthority));
        if (for_clients) snapshot->public_authority_pem = for_clients->certificate_pem;
        if (for_rpc) snapshot->rpc_authority_pem = for_rpc->certificate_pem;
        for (const auto& pem : {snapshot->public_authority_pem, snapshot->rpc_authority_pem}) {
          const auto authority = x509::Describe(pem);
          if (!authority.ok()) continue;
          snapshot->authorities_end = std::min(snapshot->authorities_end, authority->not_after);
        }
        return std::shared_ptr<const Snapshot>(std::move(snapshot));
      },
      db::Isolation::kSnapshotReadOnly);
}

}  // namespace

absl::StatusOr<Outcome> Refresh(db::Connection& connection, const Policy& policy,
                                std::shared_ptr<const Snapshot> known, absl::Time now,
                                base::RandomSource* random) {
  GODWIT_ASSIGN_OR_RETURN(const int64_t version, store::CertificatesVersion(connection));
  if (known == nullptr || known->version != version) {
    GODWIT_ASSIGN_OR_RETURN(known, Read(connection));
  }
  Outcome outcome;
  if (AnythingToDo(*known, policy, now)) {
    GODWIT_ASSIGN_OR_RETURN(outcome, db::RunTransaction(connection, [&](db::Connection& c) {
                              return RenewDue(c, policy, now, random);
                            }));
    GODWIT_ASSIGN_OR_RETURN(known, Read(connection));
  }
  outcome.snapshot = std::move(known);
  return outcome;
}

absl::StatusOr<certificates::Bundle> BundleFor(const Snapshot& snapshot, const Policy& policy,
                                               std::string_view daemon) {
  const Certificate* own = Find(snapshot.certificates, CertificateKind::kRpc, daemon);
  if (own == nullptr || own->chain_pem.empty()) {
    return base::NotFound("no certificate is made for " + std::string(daemon));
  }
  certificates::Bundle bundle;
  bundle.rpc = {own->name, own->chain_pem, own->key_pem};
  bundle.rpc_authorities_pem = snapshot.rpc_authority_pem;
  for (const Wanted& wanted : policy.wanted) {
    const auto& daemons = wanted.daemons;
    if (wanted.kind != CertificateKind::kPublic ||
        std::find(daemons.begin(), daemons.end(), daemon) == daemons.end()) {
      continue;
    }
    const Certificate* have = Find(snapshot.certificates, wanted.kind, wanted.name);
    if (have == nullptr || have->chain_pem.empty()) continue;
    bundle.public_ones.push_back({have->name, have->chain_pem, have->key_pem});
  }
  return bundle;
}

absl::Status AdoptAuthority(db::Connection& connection, const CertificateAuthority& authority,
                            absl::Time now) {
  GODWIT_RETURN_IF_ERROR(x509::CheckKey(authority.certificate_pem, authority.key_pem.Reveal()));
  return store::AddAuthority(connection, authority, now);
}

}  // namespace godwit::acme

#pragma once

// The issuer: makes what the policy wants and is missing, renews what is due, all in one
// transaction under the lock of libs/store/certificates.h, so that any number of replicas may do
// this.
//
// Certificates that clients see keep their key when they are renewed, so that TLSA records "3 1 1"
// stay right without a rollover (RFC 7671 §8.1); those of daemons get a new one. A certificate that
// can't be made keeps its predecessor, has the reason in its row, and is tried again after a
// minute.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/certificates/bundle.h"
#include "libs/db/connection.h"
#include "libs/store/certificates.h"
#include "services/acme/policy.h"

namespace godwit::acme {

// All of the tables at one moment; does not change any more.
struct Snapshot {
  int64_t version = 0;
  std::vector<store::Certificate> certificates;
  std::string public_authority_pem;
  std::string rpc_authority_pem;
  absl::Time authorities_end = absl::InfiniteFuture();  // of the one that ends first
};

struct Outcome {
  // The one that was given, when nothing has changed.
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<store::CertificateKind> issued;  // one entry each
  std::vector<store::CertificateKind> failed;
};

// Reads what is new since `known` (null: everything), and makes and renews what is due.
absl::StatusOr<Outcome> Refresh(db::Connection& connection, const Policy& policy,
                                std::shared_ptr<const Snapshot> known, absl::Time now,
                                base::RandomSource* random);

// What one daemon gets. NotFound when there is no certificate of mutual TLS for it. Pure.
absl::StatusOr<certificates::Bundle> BundleFor(const Snapshot& snapshot, const Policy& policy,
                                               std::string_view daemon);

// Takes an authority over that was made elsewhere. AlreadyExists when there is one of this name.
absl::Status AdoptAuthority(db::Connection& connection,
                            const store::CertificateAuthority& authority, absl::Time now);

}  // namespace godwit::acme

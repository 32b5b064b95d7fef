#pragma once

// Certificates: what acme keeps of its authorities and of what they have signed. Only the role of
// acme can use this.
//
// Making and renewing is one transaction under one lock, so that of several replicas one does it:
//
//   db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
//     GODWIT_RETURN_IF_ERROR(store::LockCertificates(c));
//     GODWIT_ASSIGN_OR_RETURN(auto all, store::ListCertificates(c));
//     ... store::PutCertificate(c, renewed) ...
//   });
//
// Every change makes CertificatesVersion() grow; replicas poll it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/secret.h"
#include "libs/db/connection.h"

namespace godwit::store {

struct CertificateAuthority {
  std::string name;  // "public" or "rpc"
  std::string certificate_pem;
  base::Secret key_pem;
};

absl::StatusOr<std::optional<CertificateAuthority>> FindAuthority(db::Connection& connection,
                                                                  std::string_view name);
// AlreadyExists when there is one of this name: an authority is made once and kept.
absl::Status AddAuthority(db::Connection& connection, const CertificateAuthority& authority,
                          absl::Time now);

enum class CertificateKind { kPublic, kRpc };

struct Certificate {
  CertificateKind kind = CertificateKind::kPublic;
  std::string name;                // unique among its kind
  std::vector<std::string> names;  // in the certificate
  std::string chain_pem;           // leaf first; empty while the first one fails
  base::Secret key_pem;
  std::string serial;
  std::string public_key_sha256;  // 32 octets
  absl::Time not_before;
  absl::Time not_after;
  absl::Time renew_at;
  std::string last_error;  // of the last attempt; "" when it succeeded
  std::optional<absl::Time> last_error_at;
};

// Until the end of the transaction nobody else has this lock.
absl::Status LockCertificates(db::Connection& connection);
// By kind and name.
absl::StatusOr<std::vector<Certificate>> ListCertificates(db::Connection& connection);
// Adds or replaces it.
absl::Status PutCertificate(db::Connection& connection, const Certificate& certificate);
absl::Status RemoveCertificate(db::Connection& connection, CertificateKind kind,
                               std::string_view name);
absl::StatusOr<int64_t> CertificatesVersion(db::Connection& connection);

}  // namespace godwit::store

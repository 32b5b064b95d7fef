#pragma once

// X.509 certificates (RFC 5280) over BoringSSL: an authority of our own, the leaves it signs, and
// what a certificate says. Keys are ECDSA P-256. Pure but for the key generator: times and serial
// numbers come from the caller.
//
//   auto authority = x509::NewAuthority({"Example", "Example CA", now, now + absl::Hours(87600)},
//   random); auto key = x509::NewKey(); auto leaf = x509::Issue(*authority, *key,
//   {{"mx.example.org"}, now, now + absl::Hours(2160)}, random); x509::Describe(*leaf)->serial; //
//   "5b2f..."
//
// A leaf is for servers and clients (both extended key usages), and for names or addresses that are
// written in its subject alternative names. Not here: requests, revocation, chains of authorities.
//
// Errors: InvalidArgument for text that is no PEM, a key that does not fit, a name that can't be
// one.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/base/secret.h"

namespace godwit::x509 {

// A new private key, PKCS #8 in PEM.
absl::StatusOr<base::Secret> NewKey();

struct Authority {
  std::string certificate_pem;
  base::Secret key_pem;
};

struct AuthorityOptions {
  std::string organization;  // at most 64 octets, as the next
  std::string common_name;
  absl::Time not_before;  // whole seconds count
  absl::Time not_after;
};

// A self-signed authority that signs leaves only.
absl::StatusOr<Authority> NewAuthority(const AuthorityOptions& options, base::RandomSource* random);

struct LeafOptions {
  // DNS names ("*.example.org" too) and IP addresses; at least one.
  std::vector<std::string> names;
  absl::Time not_before;
  absl::Time not_after;
};

// The certificate of `key_pem`, without the authority's.
absl::StatusOr<std::string> Issue(const Authority& authority, const base::Secret& key_pem,
                                  const LeafOptions& options, base::RandomSource* random);

struct Description {
  std::string common_name;
  std::vector<std::string> names;  // DNS names and addresses, in their order
  std::string serial;              // hexadecimal, lower case
  absl::Time not_before;
  absl::Time not_after;
  bool is_authority = false;
  // SHA-256 of the SubjectPublicKeyInfo, 32 octets: what a TLSA record "3 1 1" holds (RFC 6698
  // §2.1).
  std::string public_key_sha256;
};

// Of the first certificate in `pem`, in which keys may stand, too.
absl::StatusOr<Description> Describe(std::string_view pem);

// OK when the first certificate of `leaf_pem` was signed by the authority, whatever the time.
absl::Status CheckIssuer(std::string_view leaf_pem, std::string_view authority_pem);

// OK when the first key of `key_pem` belongs to the first certificate of `certificate_pem`.
absl::Status CheckKey(std::string_view certificate_pem, std::string_view key_pem);

}  // namespace godwit::x509

#pragma once

// The two kinds of keys DKIM and ARC sign with: RSA (RFC 6376 §3.3, RFC 8301) and Ed25519 (RFC
// 8463), over BoringSSL, whose signing takes the same time whatever the key is. Immutable after
// making; safe from every thread; copies share the key.

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/base/secret.h"
#include "libs/dkim/key_record.h"

namespace godwit::dkim {

// "rsa-sha256", "ed25519-sha256": what a= says of signatures by such a key.
std::string_view AlgorithmName(KeyType type);
// The text to publish at <selector>._domainkey.<domain>: "v=DKIM1; k=rsa; p=...". `public_key` is
// what PrivateKey::PublicBytes() gives.
std::string FormatKeyRecord(KeyType type, std::string_view public_key);

class PublicKey {
 public:
  // InvalidArgument when the bytes of p= are no key of their kind.
  static absl::StatusOr<PublicKey> FromRecord(const KeyRecord& record);

  KeyType type() const { return type_; }
  int bits() const { return bits_; }
  // `signed_data` is what SHA-256 runs over. False for every kind of mismatch.
  bool Verify(std::string_view signed_data, std::string_view signature) const;

 private:
  KeyType type_ = KeyType::kRsa;
  int bits_ = 0;
  std::string raw_;            // Ed25519: 32 bytes
  std::shared_ptr<void> rsa_;  // RSA*
};

class PrivateKey {
 public:
  // PKCS #8 ("BEGIN PRIVATE KEY": RSA or Ed25519) or PKCS #1 ("BEGIN RSA PRIVATE KEY"), not
  // encrypted. InvalidArgument for anything else; the text of the error has nothing of the key.
  static absl::StatusOr<PrivateKey> FromPem(std::string_view pem);
  // 32 bytes: the seed of RFC 8032 §5.1.5.
  static absl::StatusOr<PrivateKey> FromEd25519Seed(std::string_view seed);
  // PKCS #8 as DER, likewise.
  static absl::StatusOr<PrivateKey> FromPkcs8(std::string_view der);
  // A new key. `rsa_bits` is 2048, 3072 or 4096 (InvalidArgument else) and of no matter for
  // Ed25519. RSA takes a good part of a second.
  static absl::StatusOr<PrivateKey> Generate(KeyType type, int rsa_bits = 2048);

  KeyType type() const;
  int bits() const;
  base::Secret Pkcs8() const;
  // What p= holds, not encoded: a SubjectPublicKeyInfo for RSA, 32 octets for Ed25519.
  std::string PublicBytes() const;
  // The signature of the SHA-256 of `data`. Internal if the library refuses.
  absl::StatusOr<std::string> Sign(std::string_view data) const;
  // The text to publish: "v=DKIM1; k=rsa; p=...".
  std::string PublicRecord() const;

 private:
  std::shared_ptr<void> key_;  // EVP_PKEY*
};

}  // namespace godwit::dkim

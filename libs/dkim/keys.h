#pragma once

// The two kinds of keys DKIM and ARC sign with: RSA (RFC 6376 §3.3, RFC 8301) and Ed25519 (RFC
// 8463), over BoringSSL. Immutable after making; safe from every thread.

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "libs/dkim/key_record.h"

namespace godwit::dkim {

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

  KeyType type() const;
  // The signature of the SHA-256 of `data`. Internal if the library refuses.
  absl::StatusOr<std::string> Sign(std::string_view data) const;
  // The text to publish: "v=DKIM1; k=rsa; p=...".
  std::string PublicRecord() const;

 private:
  std::shared_ptr<void> key_;  // EVP_PKEY*
};

}  // namespace godwit::dkim

#include "libs/dkim/keys.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <array>

#include "libs/base/encoding.h"
#include "libs/base/status.h"

namespace godwit::dkim {
namespace {

using Hash = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

Hash Sha256(std::string_view data) {
  Hash hash;
  SHA256(Bytes(data), data.size(), hash.data());
  return hash;
}

// RFC 6376 §3.6.1 with EID 3017: p= has a SubjectPublicKeyInfo; a bare RSAPublicKey is seen too.
bssl::UniquePtr<RSA> ParseRsa(std::string_view der) {
  CBS whole;
  CBS_init(&whole, Bytes(der), der.size());
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&whole));
  if (key && CBS_len(&whole) == 0) return bssl::UniquePtr<RSA>(EVP_PKEY_get1_RSA(key.get()));
  ERR_clear_error();
  bssl::UniquePtr<RSA> rsa(RSA_public_key_from_bytes(Bytes(der), der.size()));
  ERR_clear_error();
  return rsa;
}

EVP_PKEY* Key(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

std::shared_ptr<void> Own(EVP_PKEY* key) {
  return {key, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); }};
}

absl::Status CheckSigningKey(const EVP_PKEY* key) {
  const int id = EVP_PKEY_id(key);
  if (id != EVP_PKEY_RSA && id != EVP_PKEY_ED25519) {
    return base::InvalidArgument("not an RSA or Ed25519 key");
  }
  // RFC 8301 §3.2: signers use at least 1,024 bits.
  if (id == EVP_PKEY_RSA && EVP_PKEY_bits(key) < 1024) {
    return base::InvalidArgument("an RSA key of less than 1024 bits");
  }
  return absl::OkStatus();
}

// What `marshal` writes, as bytes that the caller wipes.
std::string Marshal(int (*marshal)(CBB*, const EVP_PKEY*), const EVP_PKEY* key) {
  bssl::ScopedCBB builder;
  uint8_t* der = nullptr;
  size_t size = 0;
  if (CBB_init(builder.get(), 512) != 1 || marshal(builder.get(), key) != 1 ||
      CBB_finish(builder.get(), &der, &size) != 1) {
    ERR_clear_error();
    return "";
  }
  const bssl::UniquePtr<uint8_t> owner(der);  // OPENSSL_free wipes it
  return {reinterpret_cast<const char*>(der), size};
}

}  // namespace

absl::StatusOr<PublicKey> PublicKey::FromRecord(const KeyRecord& record) {
  PublicKey key;
  key.type_ = record.type;
  if (record.type == KeyType::kEd25519) {
    // RFC 8463 §4.2: the 32 octets themselves.
    if (record.key.size() != ED25519_PUBLIC_KEY_LEN) {
      return base::InvalidArgument("an Ed25519 key has 32 octets");
    }
    key.raw_ = record.key;
    key.bits_ = 256;
    return key;
  }
  bssl::UniquePtr<RSA> rsa = ParseRsa(record.key);
  if (!rsa) return base::InvalidArgument("not an RSA key");
  key.bits_ = static_cast<int>(RSA_bits(rsa.get()));
  key.rsa_ = {rsa.release(), [](void* p) { RSA_free(static_cast<RSA*>(p)); }};
  return key;
}

bool PublicKey::Verify(std::string_view signed_data, std::string_view signature) const {
  const Hash hash = Sha256(signed_data);
  bool good = false;
  if (type_ == KeyType::kEd25519) {
    // RFC 8463 §3: PureEdDSA over the SHA-256 hash.
    good = signature.size() == ED25519_SIGNATURE_LEN &&
           ED25519_verify(hash.data(), hash.size(), Bytes(signature), Bytes(raw_)) == 1;
  } else {
    good = RSA_verify(NID_sha256, hash.data(), hash.size(), Bytes(signature), signature.size(),
                      static_cast<RSA*>(rsa_.get())) == 1;
  }
  ERR_clear_error();
  return good;
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Without a callback BoringSSL would ask the terminal for a password.
  const auto refuse = [](char*, int, int, void*) { return 0; };
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse, nullptr));
  ERR_clear_error();
  if (!key) return base::InvalidArgument("not an unencrypted PEM private key");
  GODWIT_RETURN_IF_ERROR(CheckSigningKey(key.get()));
  PrivateKey result;
  result.key_ = Own(key.release());
  return result;
}

absl::StatusOr<PrivateKey> PrivateKey::FromPkcs8(std::string_view der) {
  CBS whole;
  CBS_init(&whole, Bytes(der), der.size());
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_private_key(&whole));
  ERR_clear_error();
  if (!key || CBS_len(&whole) != 0) return base::InvalidArgument("not a PKCS #8 private key");
  GODWIT_RETURN_IF_ERROR(CheckSigningKey(key.get()));
  PrivateKey result;
  result.key_ = Own(key.release());
  return result;
}

absl::StatusOr<PrivateKey> PrivateKey::Generate(KeyType type, int rsa_bits) {
  const bool rsa = type == KeyType::kRsa;
  if (rsa && rsa_bits != 2048 && rsa_bits != 3072 && rsa_bits != 4096) {
    return base::InvalidArgument("an RSA key has 2048, 3072 or 4096 bits");
  }
  bssl::UniquePtr<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_id(rsa ? EVP_PKEY_RSA : EVP_PKEY_ED25519, nullptr));
  EVP_PKEY* key = nullptr;
  const bool done = context && EVP_PKEY_keygen_init(context.get()) == 1 &&
                    (!rsa || EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), rsa_bits) == 1) &&
                    EVP_PKEY_keygen(context.get(), &key) == 1;
  ERR_clear_error();
  if (!done) return base::Internal("no key could be made");
  PrivateKey result;
  result.key_ = Own(key);
  return result;
}

absl::StatusOr<PrivateKey> PrivateKey::FromEd25519Seed(std::string_view seed) {
  if (seed.size() != 32) return base::InvalidArgument("an Ed25519 seed has 32 octets");
  PrivateKey result;
  result.key_ =
      Own(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Bytes(seed), seed.size()));
  return result;
}

KeyType PrivateKey::type() const {
  return EVP_PKEY_id(Key(key_)) == EVP_PKEY_ED25519 ? KeyType::kEd25519 : KeyType::kRsa;
}

absl::StatusOr<std::string> PrivateKey::Sign(std::string_view data) const {
  const Hash hash = Sha256(data);
  bssl::ScopedEVP_MD_CTX context;
  // RFC 8463 §3: Ed25519 signs the hash as its message; RSA gets the data and hashes itself.
  const bool ed25519 = type() == KeyType::kEd25519;
  const EVP_MD* digest = ed25519 ? nullptr : EVP_sha256();
  const uint8_t* message = ed25519 ? hash.data() : Bytes(data);
  const size_t message_size = ed25519 ? hash.size() : data.size();
  std::string signature(static_cast<size_t>(EVP_PKEY_size(Key(key_))), '\0');
  size_t size = signature.size();
  const bool done = EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, Key(key_)) == 1 &&
                    EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()),
                                   &size, message, message_size) == 1;
  ERR_clear_error();
  if (!done) return base::Internal("signing failed");
  signature.resize(size);
  return signature;
}

int PrivateKey::bits() const {
  return type() == KeyType::kEd25519 ? 256 : EVP_PKEY_bits(Key(key_));
}

base::Secret PrivateKey::Pkcs8() const {
  std::string der = Marshal(EVP_marshal_private_key, Key(key_));
  base::Secret secret(der);
  OPENSSL_cleanse(der.data(), der.size());
  return secret;
}

std::string PrivateKey::PublicBytes() const {
  if (type() == KeyType::kRsa) return Marshal(EVP_marshal_public_key, Key(key_));
  std::string raw(ED25519_PUBLIC_KEY_LEN, '\0');
  size_t size = raw.size();
  EVP_PKEY_get_raw_public_key(Key(key_), reinterpret_cast<uint8_t*>(raw.data()), &size);
  return raw;
}

std::string PrivateKey::PublicRecord() const { return FormatKeyRecord(type(), PublicBytes()); }

std::string_view AlgorithmName(KeyType type) {
  return type == KeyType::kRsa ? "rsa-sha256" : "ed25519-sha256";
}

std::string FormatKeyRecord(KeyType type, std::string_view public_key) {
  // RFC 6376 §3.6.1, RFC 8463 §4.
  const std::string kind = type == KeyType::kRsa ? "rsa" : "ed25519";
  return "v=DKIM1; k=" + kind + "; p=" + base::Base64Encode(public_key);
}

}  // namespace godwit::dkim

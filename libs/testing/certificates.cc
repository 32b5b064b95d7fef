#include "libs/testing/certificates.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <fstream>
#include <utility>

#include "libs/base/check.h"
#include "libs/base/ip_address.h"

namespace godwit::testing {
namespace {

constexpr long kDay = 24 * 60 * 60;

bssl::UniquePtr<EVP_PKEY> NewKey(KeyKind kind) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (kind == KeyKind::kEcdsaP256) {
    bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    GODWIT_CHECK(EC_KEY_generate_key(ec.get()) && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()));
    return key;
  }
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> exponent(BN_new());
  GODWIT_CHECK(BN_set_word(exponent.get(), RSA_F4) &&
               RSA_generate_key_ex(rsa.get(), 2048, exponent.get(), nullptr) &&
               EVP_PKEY_set1_RSA(key.get(), rsa.get()));
  return key;
}

void AddText(X509_NAME* name, const char* field, const std::string& value) {
  GODWIT_CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                          reinterpret_cast<const uint8_t*>(value.data()),
                                          static_cast<int>(value.size()), -1, 0));
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  GODWIT_CHECK(extension && X509_add_ext(certificate, extension.get(), -1));
}

// Version 3, serial number, subject, key and dates; begins a day ago, for skewed clocks.
bssl::UniquePtr<X509> NewCertificate(int serial, const std::string& common_name,
                                     const std::string& organization, EVP_PKEY* key,
                                     absl::Duration lifetime) {
  bssl::UniquePtr<X509> made(X509_new());
  GODWIT_CHECK(X509_set_version(made.get(), X509_VERSION_3));
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), absl::ToInt64Seconds(lifetime));
  AddText(X509_get_subject_name(made.get()), "O", organization);
  AddText(X509_get_subject_name(made.get()), "CN", common_name);
  GODWIT_CHECK(X509_set_pubkey(made.get(), key));
  return made;
}

std::string Contents(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  GODWIT_CHECK(BIO_mem_contents(bio, &data, &size));
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string ToPem(X509* certificate) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  GODWIT_CHECK(PEM_write_bio_X509(bio.get(), certificate));
  return Contents(bio.get());
}

std::string ToPem(EVP_PKEY* key) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  GODWIT_CHECK(
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr));
  return Contents(bio.get());
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  GODWIT_CHECK(file);
}

std::string SubjectAltName(const std::vector<std::string>& names) {
  std::string value;
  for (const std::string& each : names) {
    if (!value.empty()) value += ",";
    value += base::IpAddress::Parse(each) ? "IP:" : "DNS:";
    value += each;
  }
  return value;
}

}  // namespace

struct CertificateAuthority::Keys {
  bssl::UniquePtr<EVP_PKEY> key;
  bssl::UniquePtr<X509> certificate;
};

CertificateAuthority::CertificateAuthority(std::string folder, std::string name)
    : folder_(std::move(folder)), name_(std::move(name)), keys_(std::make_unique<Keys>()) {
  keys_->key = NewKey(KeyKind::kEcdsaP256);
  keys_->certificate =
      NewCertificate(1, name_, "Godwit tests", keys_->key.get(), absl::Hours(24 * 365));
  X509* made = keys_->certificate.get();
  X509_set_issuer_name(made, X509_get_subject_name(made));
  AddExtension(made, made, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(made, made, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(made, made, NID_subject_key_identifier, "hash");
  GODWIT_CHECK(X509_sign(made, keys_->key.get(), EVP_sha256()));
  ca_file_ = folder_ + "/" + name_ + ".pem";
  WriteFile(ca_file_, ToPem(made));
}

CertificateAuthority::~CertificateAuthority() = default;

LeafFiles CertificateAuthority::Issue(const LeafOptions& options) {
  GODWIT_CHECK(!options.names.empty());
  const auto key = NewKey(options.key);
  ++issued_;
  const auto leaf = NewCertificate(issued_ + 1, options.names.front(), options.organization,
                                   key.get(), options.lifetime);
  X509* issuer = keys_->certificate.get();
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
  AddExtension(leaf.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(leaf.get(), issuer, NID_key_usage, "critical,digitalSignature");
  AddExtension(leaf.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(leaf.get(), issuer, NID_subject_key_identifier, "hash");
  AddExtension(leaf.get(), issuer, NID_authority_key_identifier, "keyid");
  AddExtension(leaf.get(), issuer, NID_subject_alt_name, SubjectAltName(options.names));
  GODWIT_CHECK(X509_sign(leaf.get(), keys_->key.get(), EVP_sha256()));

  LeafFiles files;
  files.chain_pem = ToPem(leaf.get()) + ToPem(issuer);
  files.key_pem = ToPem(key.get());
  const std::string stem = folder_ + "/" + name_ + "-leaf-" + std::to_string(issued_);
  files.chain_file = stem + ".pem";
  files.key_file = stem + ".key";
  WriteFile(files.chain_file, files.chain_pem);
  WriteFile(files.key_file, files.key_pem);
  return files;
}

std::string MakeScratchFolder() {
  const char* base_folder = getenv("TEST_TMPDIR");
  std::string path = std::string(base_folder != nullptr ? base_folder : "/tmp") + "/godwit-XXXXXX";
  GODWIT_CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

}  // namespace godwit::testing

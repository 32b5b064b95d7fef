#include "tests/boringssl/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "libs/base/check.h"

namespace godwit::boringssl_test {
namespace {

bssl::UniquePtr<EVP_PKEY> NewKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  GODWIT_CHECK(ec && EC_KEY_generate_key(ec.get()));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  GODWIT_CHECK(key && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()));
  return key;
}

void SetName(X509_NAME* name, const std::string& common_name) {
  const auto* text = reinterpret_cast<const uint8_t*>(common_name.data());
  GODWIT_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text,
                                          static_cast<int>(common_name.size()), -1, 0));
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, const_cast<char*>(value)));
  GODWIT_CHECK(extension && X509_add_ext(certificate, extension.get(), -1));
}

// Valid from an hour ago for a day; without extensions and signature.
bssl::UniquePtr<X509> NewCertificate(const std::string& common_name, EVP_PKEY* key, long serial) {
  bssl::UniquePtr<X509> certificate(X509_new());
  GODWIT_CHECK(certificate && X509_set_version(certificate.get(), X509_VERSION_3));
  GODWIT_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial));
  GODWIT_CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600));
  GODWIT_CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400));
  SetName(X509_get_subject_name(certificate.get()), common_name);
  GODWIT_CHECK(X509_set_pubkey(certificate.get(), key));
  return certificate;
}

std::string ReadAll(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  GODWIT_CHECK(BIO_mem_contents(bio, &data, &size));
  return {reinterpret_cast<const char*>(data), size};
}

std::string ToPem(X509* certificate) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  GODWIT_CHECK(bio && PEM_write_bio_X509(bio.get(), certificate));
  return ReadAll(bio.get());
}

std::string ToPem(EVP_PKEY* key) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  GODWIT_CHECK(
      bio && PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr));
  return ReadAll(bio.get());
}

}  // namespace

Authority::Authority() : key_(NewKey()), certificate_(NewCertificate("Test CA", key_.get(), 1)) {
  X509* self = certificate_.get();
  GODWIT_CHECK(X509_set_issuer_name(self, X509_get_subject_name(self)));
  AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(self, self, NID_key_usage, "critical,keyCertSign");
  GODWIT_CHECK(X509_sign(self, key_.get(), EVP_sha256()));
  certificate_pem_ = ToPem(self);
}

Identity Authority::Issue(const std::string& common_name) const {
  const auto key = NewKey();
  const auto certificate = NewCertificate(common_name, key.get(), 2);
  GODWIT_CHECK(X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get())));
  AddExtension(certificate.get(), certificate_.get(), NID_subject_alt_name, "DNS:localhost");
  AddExtension(certificate.get(), certificate_.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  GODWIT_CHECK(X509_sign(certificate.get(), key_.get(), EVP_sha256()));
  return {ToPem(certificate.get()), ToPem(key.get())};
}

}  // namespace godwit::boringssl_test

#include "libs/dkim/test_keys.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <map>

#include "libs/base/check.h"

namespace godwit::dkim {
namespace {

std::string MakePem(int bits) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> exponent(BN_new());
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  GODWIT_CHECK(BN_set_word(exponent.get(), RSA_F4) == 1);
  GODWIT_CHECK(RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr) == 1);
  GODWIT_CHECK(EVP_PKEY_set1_RSA(key.get(), rsa.get()) == 1);
  GODWIT_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                             nullptr) == 1);
  const uint8_t* data = nullptr;
  size_t size = 0;
  GODWIT_CHECK(BIO_mem_contents(bio.get(), &data, &size) == 1);
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

const std::string& TestRsaPem(int bits) {
  static std::map<int, std::string>& made = *new std::map<int, std::string>;
  std::string& pem = made[bits];
  if (pem.empty()) pem = MakePem(bits);
  return pem;
}

}  // namespace godwit::dkim

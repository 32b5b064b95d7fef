#pragma once

// A certificate authority for one test: it lives in memory and signs for localhost.

#include <openssl/base.h>

#include <string>

namespace godwit::boringssl_test {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;  // PKCS #8
};

class Authority {
 public:
  Authority();

  const std::string& certificate_pem() const { return certificate_pem_; }
  // A certificate for localhost that serves as server and as client.
  Identity Issue(const std::string& common_name) const;

 private:
  bssl::UniquePtr<EVP_PKEY> key_;
  bssl::UniquePtr<X509> certificate_;
  std::string certificate_pem_;
};

}  // namespace godwit::boringssl_test

#pragma once

// Certificates for tests, made at run time: an authority and leaves, as PEM files in a folder.
//
//   testing::CertificateAuthority authority(testing::MakeScratchFolder());
//   auto leaf = authority.Issue({.names = {"mx.example.org", "127.0.0.1"}});
//   net::TlsContext::NewServer({.certificates = {{.chain_file = leaf.chain_file, .key_file =
//   leaf.key_file}}});
//
// Everything dies with a GODWIT_CHECK when the folder can not be written: it is for tests only.

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace godwit::testing {

enum class KeyKind { kEcdsaP256, kRsa2048 };

struct LeafOptions {
  // Subject alternative names: DNS names, or IP addresses. The first is the subject's CN too.
  std::vector<std::string> names;
  KeyKind key = KeyKind::kEcdsaP256;
  // Relative to now; a negative lifetime makes an expired certificate.
  absl::Duration lifetime = absl::Hours(24);
  std::string organization = "Godwit tests";
};

struct LeafFiles {
  std::string chain_file;  // leaf, then authority
  std::string key_file;    // PKCS #8
  std::string chain_pem;
  std::string key_pem;
};

class CertificateAuthority {
 public:
  // Writes `folder`/<name>.pem.
  explicit CertificateAuthority(std::string folder, std::string name = "test-authority");
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  const std::string& ca_file() const { return ca_file_; }
  // Server and client use both. Writes two files into the folder.
  LeafFiles Issue(const LeafOptions& options);

 private:
  struct Keys;
  std::string folder_;
  std::string name_;
  std::string ca_file_;
  std::unique_ptr<Keys> keys_;
  int issued_ = 0;
};

// A new folder of this test, below TEST_TMPDIR or /tmp.
std::string MakeScratchFolder();

}  // namespace godwit::testing

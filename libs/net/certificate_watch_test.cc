#include "libs/net/certificate_watch.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "libs/testing/certificates.h"

namespace godwit::net {
namespace {

void Replace(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new", std::ios::trunc) << text;
  REQUIRE(std::rename((path + ".new").c_str(), path.c_str()) == 0);
}

TEST_CASE("Files that changed are read again until they fit one another", "[net][tls]") {
  testing::CertificateAuthority authority(testing::MakeScratchFolder());
  const testing::LeafFiles leaf = authority.Issue({.names = {"mx.example.org"}});
  const testing::LeafFiles fresh = authority.Issue({.names = {"mx.example.org"}});
  TlsServerOptions options;
  TlsCertificate& certificate = options.certificates.emplace_back();
  certificate.chain_file = leaf.chain_file;
  certificate.key_file = leaf.key_file;
  auto context = TlsContext::NewServer(options);
  REQUIRE(context.ok());
  CHECK((*context)->files() == std::vector<std::string>{leaf.chain_file, leaf.key_file});

  CertificateWatch watch;
  watch.Add(*context);
  CHECK(watch.Check().ok());
  Replace(leaf.chain_file, fresh.chain_pem);
  CHECK_FALSE(watch.Check().ok());  // the key is of the one before
  CHECK_FALSE(watch.Check().ok());
  Replace(leaf.key_file, fresh.key_pem);
  CHECK(watch.Check().ok());
  CHECK(watch.Check().ok());
}

// The first renewal of the day came between the reading of the files and the first look at them.
TEST_CASE("Files that changed before the first look are read again, too", "[net][tls]") {
  testing::CertificateAuthority authority(testing::MakeScratchFolder());
  const testing::LeafFiles leaf = authority.Issue({.names = {"mx.example.org"}});
  TlsServerOptions options;
  TlsCertificate& certificate = options.certificates.emplace_back();
  certificate.chain_file = leaf.chain_file;
  certificate.key_file = leaf.key_file;
  auto context = TlsContext::NewServer(options);
  REQUIRE(context.ok());
  Replace(leaf.chain_file, "half of a renewal");
  CertificateWatch watch;
  watch.Add(*context);
  CHECK_FALSE(watch.Check().ok());
  Replace(leaf.chain_file, leaf.chain_pem);
  CHECK(watch.Check().ok());
}

}  // namespace
}  // namespace godwit::net

#include "libs/certificates/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "libs/base/status.h"
#include "libs/testing/certificates.h"

namespace godwit::certificates {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

Bundle Example() {
  Bundle bundle;
  bundle.rpc = {"smtp-ingress", "rpc chain\n", base::Secret("rpc key\n")};
  bundle.rpc_authorities_pem = "ca\n";
  bundle.public_ones = {{"mx.example.org", "chain\n", base::Secret("key\n")}};
  return bundle;
}

TEST_CASE("A bundle is written for its owner alone, and only when it differs",
          "[certificates][unit]") {
  const std::string folder = testing::MakeScratchFolder() + "/own";
  Bundle bundle = Example();
  auto changed = WriteBundle(folder, bundle);
  REQUIRE(changed.ok());
  CHECK(*changed);
  CHECK(ModeOf(folder) == 0700);
  CHECK(Read(folder + "/rpc.pem") == "rpc chain\nrpc key\n");
  CHECK(Read(folder + "/rpc-ca.pem") == "ca\n");
  CHECK(Read(folder + "/mx.example.org.pem") == "chain\nkey\n");
  for (const char* file : {"/rpc.pem", "/rpc-ca.pem", "/mx.example.org.pem"}) {
    CHECK(ModeOf(folder + file) == 0600);
  }
  CHECK_FALSE(*WriteBundle(folder, bundle));
  bundle.public_ones[0].chain_pem = "renewed\n";
  CHECK(*WriteBundle(folder, bundle));
  CHECK(Read(folder + "/mx.example.org.pem") == "renewed\nkey\n");
}

TEST_CASE("A reader that has the old file open keeps reading the old one", "[certificates][unit]") {
  const std::string folder = testing::MakeScratchFolder();
  Bundle bundle = Example();
  REQUIRE(WriteBundle(folder, bundle).ok());
  std::ifstream open(folder + "/rpc.pem", std::ios::binary);
  bundle.rpc.chain_pem = "another, and longer than before\n";
  REQUIRE(WriteBundle(folder, bundle).ok());
  CHECK(std::string(std::istreambuf_iterator<char>(open), {}) == "rpc chain\nrpc key\n");
}

TEST_CASE("What an interrupted write left behind is no obstacle", "[certificates][unit]") {
  const std::string folder = testing::MakeScratchFolder();
  std::ofstream(folder + "/rpc.pem.new") << "half";
  REQUIRE(WriteBundle(folder, Example()).ok());
  CHECK(Read(folder + "/rpc.pem") == "rpc chain\nrpc key\n");
  CHECK(access((folder + "/rpc.pem.new").c_str(), F_OK) != 0);
}

TEST_CASE("No name leads out of the folder or onto another's file", "[certificates][unit]") {
  const std::string name =
      GENERATE(values<std::string>({"", "..", "../x", "a/b", ".hidden", "rpc", "rpc-ca", "a b",
                                    std::string("a\0b", 3), std::string(201, 'a')}));
  CAPTURE(name);
  CHECK_FALSE(IsCertificateName(name));
  const std::string folder = testing::MakeScratchFolder() + "/own";
  Bundle bundle = Example();
  bundle.public_ones[0].name = name;
  CHECK(WriteBundle(folder, bundle).status().code() == absl::StatusCode::kInvalidArgument);
  // The rest is there.
  CHECK(Read(folder + "/rpc.pem") == "rpc chain\nrpc key\n");
}

TEST_CASE("A folder that can not be written is Unavailable", "[certificates][unit]") {
  CHECK(WriteBundle("/nowhere/at/all", Example()).status().code() ==
        absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace godwit::certificates

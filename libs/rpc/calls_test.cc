// Unary calls: who is served, how they end, and how certificates change.

#include <catch2/catch.hpp>
#include <cstdio>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/rpc_fixture.h"
#include "libs/testing/certificates.h"

namespace godwit::rpc {
namespace {

using Code = absl::StatusCode;

TEST_CASE("The right caller is served, with its name and trace id", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  const auto reply = alice.Say("hello", {.trace = "trace-1"});
  REQUIRE(reply.ok());
  CHECK(reply->text == "hello");
  CHECK(reply->caller == "alice");
  CHECK(reply->trace == "trace-1");
  // A trace id that could forge a log or a header is dropped.
  CHECK(alice.Say("x", {.trace = "a b"})->trace == "");
  CHECK(alice.TraceInMetadata("t7") == "t7");
}

TEST_CASE("A wrong caller is refused before the handler", "[rpc][net]") {
  World world;
  const auto reply = world.Caller("mallory").Say("hello");
  CHECK(reply.status().code() == Code::kUnauthenticated);
  CHECK(base::Message(reply.status()).find("mallory") != std::string_view::npos);
  CHECK(world.Caller("alice").Secret().code() == Code::kUnauthenticated);
  CHECK(world.calls() == 0);
}

TEST_CASE("No certificate, another authority's, and a server of another name do not connect",
          "[rpc][net]") {
  World world;
  testing::CertificateAuthority other(testing::MakeScratchFolder());
  const auto stranger = other.Issue({.names = {"alice"}});
  TlsFiles files = world.FilesOf("alice");

  SECTION("another authority's certificate") {
    files.certificate_file = stranger.chain_file;
    files.key_file = stranger.key_file;
    CHECK(world.CallerWith(files).Say("x").status().code() == Code::kUnavailable);
  }
  SECTION("a server that another authority signed") {
    files.ca_file = other.ca_file();
    CHECK(world.CallerWith(files).Say("x").status().code() == Code::kUnavailable);
  }
  SECTION("a server of another name") {
    CHECK(world.CallerWith(files, "delivery-queue").Say("x").status().code() == Code::kUnavailable);
  }
  SECTION("no certificate") {
    CHECK(world.CallerWithoutCertificate().Say("x").status().code() == Code::kUnavailable);
  }
  SECTION("plain text") {
    CHECK(world.PlainCaller().Say("x").status().code() == Code::kUnavailable);
  }
  CHECK(world.calls() == 0);
}

TEST_CASE("A status comes over with its code and text", "[rpc][net]") {
  World world;
  CHECK(world.Caller("alice").Say("", {.fail_with = Code::kResourceExhausted}).status() ==
        base::ResourceExhausted("as asked"));
}

TEST_CASE("A call ends at its deadline", "[rpc][net]") {
  World world;
  CHECK(world.Caller("anybody").Wait(absl::Milliseconds(100)).code() == Code::kDeadlineExceeded);
}

TEST_CASE("An idempotent call is tried again, another is not", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  world.FailFirst(2);
  CHECK(alice.Say("x").ok());
  CHECK(world.calls() == 3);
  world.FailFirst(100);
  CHECK(alice.Say("x").status().code() == Code::kUnavailable);
  CHECK(world.calls() == 7);
}

TEST_CASE("A dead server is Unavailable at once, and found again when it is back", "[rpc][net]") {
  World world;
  Client alice = world.Caller("alice");
  REQUIRE(alice.Say("x").ok());
  const uint16_t port = world.Stop();
  CHECK(alice.Say("x", {.deadline = absl::Seconds(20)}).status().code() == Code::kUnavailable);
  world.Start(port);
  CHECK(Eventually([&] { return alice.Say("x").ok(); }));
}

TEST_CASE("Certificates are read again when they change", "[rpc][net]") {
  World world;
  TlsFiles files = world.FilesOf("mallory");
  Client client = world.CallerWith(files);
  CHECK(client.Say("x").status().code() == Code::kUnauthenticated);
  const TlsFiles alice = world.FilesOf("alice");
  REQUIRE(rename(alice.key_file.c_str(), files.key_file.c_str()) == 0);
  REQUIRE(rename(alice.certificate_file.c_str(), files.certificate_file.c_str()) == 0);
  // Connections that stand keep their certificate.
  CHECK(Eventually([&] {
    world.Start(world.Stop());
    return client.Say("x").ok();
  }));
}

// libs/certificates keeps certificate and key in one file, which is replaced by one rename.
TEST_CASE("Certificate and key may be one file", "[rpc][net]") {
  World world;
  auto joined = [&](const std::string& daemon) {
    TlsFiles files = world.FilesOf(daemon);
    REQUIRE(std::system(("cat " + files.key_file + " >> " + files.certificate_file).c_str()) == 0);
    files.key_file = files.certificate_file;
    return files;
  };
  const TlsFiles files = joined("mallory");
  Client client = world.CallerWith(files);
  CHECK(client.Say("x").status().code() == Code::kUnauthenticated);
  const TlsFiles alice = joined("alice");
  REQUIRE(rename(alice.certificate_file.c_str(), files.certificate_file.c_str()) == 0);
  CHECK(Eventually([&] {
    world.Start(world.Stop());
    return client.Say("x").ok();
  }));
}

TEST_CASE("The callers' table must be whole", "[rpc][unit]") {
  World linked;  // brings the service's descriptor
  CHECK_FALSE(CheckCallers({{"/godwit.rpc.test.Echo/Nothing", {"*"}}}).ok());
  CHECK_FALSE(CheckCallers({{"godwit.rpc.test.Echo/Say", {"*"}}}).ok());
  CHECK_FALSE(CheckCallers({{"/godwit.rpc.test.Echo/Say", {"*"}}}).ok());
  CHECK(CheckCallers({}).ok());
}

TEST_CASE("Who may call what", "[rpc][unit]") {
  const Callers callers = {{"/a.B/C", {"x", "y"}}, {"/a.B/D", {}}, {"/a.B/E", {"*"}}};
  CHECK(MayCall(callers, "/a.B/C", {"y"}).ok());
  CHECK(MayCall(callers, "/a.B/C", {"q", "x"}).ok());
  CHECK_FALSE(MayCall(callers, "/a.B/C", {"z"}).ok());
  CHECK_FALSE(MayCall(callers, "/a.B/C", {}).ok());
  CHECK_FALSE(MayCall(callers, "/a.B/D", {"x"}).ok());
  CHECK(MayCall(callers, "/a.B/E", {"z"}).ok());
  CHECK_FALSE(MayCall(callers, "/a.B/E", {}).ok());
  CHECK_FALSE(MayCall(callers, "/a.B/F", {"x"}).ok());
  CHECK(MayCall(callers, "/grpc.health.v1.Health/Check", {"z"}).ok());
  CHECK_FALSE(MayCall(callers, "/grpc.health.v1.Health/Check", {}).ok());
}

}  // namespace
}  // namespace godwit::rpc

#include "libs/admin/admin.h"

#include <grpcpp/channel.h>

#include <catch2/catch.hpp>

#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/obs/log.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/testing/certificates.h"
#include "proto/godwit/admin/v1/admin.grpc.pb.h"

namespace godwit::admin {
namespace {

namespace pb = ::godwit::admin::v1;
using Async = pb::Admin::StubInterface::async_interface;
using Code = absl::StatusCode;

class World {
 public:
  World() : authority_(testing::MakeScratchFolder()) {
    context_.name = "echo";
    rpc::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls = FilesOf("echo");
    AddTo(&context_, &options, [] { return 42; });
    auto server = rpc::Server::Start(std::move(options), {});
    REQUIRE(server.ok());
    server_ = *std::move(server);
  }
  ~World() { obs::SetLevel(obs::Level::kInfo); }

  std::unique_ptr<pb::Admin::Stub> StubOf(const std::string& caller) {
    rpc::ChannelOptions options;
    options.target = "127.0.0.1:" + std::to_string(server_->port());
    options.daemon = "echo";
    options.tls = FilesOf(caller);
    auto channel = rpc::Connect(options);
    REQUIRE(channel.ok());
    return pb::Admin::NewStub(*channel);
  }

 private:
  rpc::TlsFiles FilesOf(const std::string& name) {
    const auto leaf = authority_.Issue({.names = {name}});
    return {authority_.ca_file(), leaf.chain_file, leaf.key_file};
  }
  testing::CertificateAuthority authority_;
  runtime::Context context_;
  std::unique_ptr<rpc::Server> server_;
};

absl::StatusOr<pb::StatusResponse> Status(pb::Admin::Stub* stub) {
  return base::RunBlocking(rpc::Call(stub, &Async::Status, pb::StatusRequest(), {}));
}
absl::StatusOr<pb::SetLogLevelResponse> SetLogLevel(pb::Admin::Stub* stub,
                                                    const std::string& level) {
  pb::SetLogLevelRequest request;
  request.set_level(level);
  return base::RunBlocking(rpc::Call(stub, &Async::SetLogLevel, request, {}));
}
absl::Status Drain(pb::Admin::Stub* stub, const std::string& daemon) {
  pb::DrainRequest request;
  request.set_daemon(daemon);
  return base::RunBlocking(rpc::Call(stub, &Async::Drain, request, {})).status();
}

TEST_CASE("Status tells who runs, and the log level can be changed", "[admin][net]") {
  World world;
  const auto stub = world.StubOf(GENERATE("godwitctl", "webmail-api"));
  auto status = Status(stub.get());
  REQUIRE(base::ToString(status.status()) == "OK");
  CHECK(status->daemon() == "echo");
  CHECK_FALSE(status->version().empty());
  CHECK(status->connections() == 42);
  CHECK(status->log_level() == "info");
  CHECK(status->uptime_seconds() >= 0);
  CHECK(status->started().seconds() > 1700000000);
  CHECK(SetLogLevel(stub.get(), "debug")->before() == "info");
  CHECK(Status(stub.get())->log_level() == "debug");
  CHECK(obs::Enabled(obs::Level::kDebug));
  CHECK(SetLogLevel(stub.get(), "loud").status().code() == Code::kInvalidArgument);
  CHECK(Status(stub.get())->log_level() == "debug");
}

TEST_CASE("Nobody else is told anything", "[admin][net]") {
  World world;
  const auto stub = world.StubOf("smtp-ingress");
  CHECK(Status(stub.get()).status().code() == Code::kUnauthenticated);
  CHECK(SetLogLevel(stub.get(), "debug").status().code() == Code::kUnauthenticated);
  CHECK(Drain(stub.get(), "echo").code() == Code::kUnauthenticated);
  CHECK_FALSE(obs::Enabled(obs::Level::kDebug));
}

TEST_CASE("Drain must name the daemon that is to end", "[admin][net]") {
  World world;
  const auto stub = world.StubOf("godwitctl");
  CHECK(Drain(stub.get(), "").code() == Code::kInvalidArgument);
  CHECK(Drain(stub.get(), "smtp-ingress").code() == Code::kInvalidArgument);
  // Understood; there is no ServiceMain here to end.
  CHECK(Drain(stub.get(), "echo").code() == Code::kFailedPrecondition);
}

}  // namespace
}  // namespace godwit::admin

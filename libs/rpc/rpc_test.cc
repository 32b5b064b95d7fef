#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/call.h"
#include "libs/rpc/caller_check.h"
#include "libs/rpc/client.h"
#include "libs/rpc/serve.h"
#include "libs/rpc/server.h"
#include "libs/rpc/test_service.grpc.pb.h"
#include "libs/testing/certificates.h"

namespace godwit::rpc {
namespace {

using test::Echo;
using test::SayReply;
using test::SayRequest;
using AsyncEcho = Echo::StubInterface::async_interface;

// The thread that the handlers run on.
class ServiceThread {
 public:
  ServiceThread() : thread_([this] { loop_.Run(); }) {}
  ~ServiceThread() {
    loop_.Stop();
    thread_.join();
  }
  base::Executor* executor() { return &loop_; }

 private:
  base::RunLoop loop_;
  std::thread thread_;
};

class EchoService : public Echo::CallbackService {
 public:
  explicit EchoService(base::Executor* executor) : executor_(executor) {}

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const SayRequest* in,
                                SayReply* out) override {
    ++calls;
    out->set_caller(CallerOf(*context));
    out->set_trace(TraceOf(*context));
    return ServeUnary(context, executor_, DoSay(in, out));
  }
  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext* context, const SayRequest*,
                                 SayReply*) override {
    return ServeUnary(context, executor_, DoWait());
  }
  grpc::ServerUnaryReactor* Secret(grpc::CallbackServerContext* context, const SayRequest* in,
                                   SayReply* out) override {
    ++calls;
    return ServeUnary(context, executor_, DoSay(in, out));
  }
  grpc::ServerReadReactor<SayRequest>* Collect(grpc::CallbackServerContext* context,
                                               SayReply* out) override {
    return ServeStream<SayRequest>(
        context, executor_,
        [this, out](RequestReader<SayRequest>* reader) { return DoCollect(reader, out); });
  }

  std::atomic<int> calls = 0;
  std::atomic<int> fail_first = 0;
  std::atomic<bool> stream_ended = false;
  base::Completion<bool> release;

 private:
  base::Task<absl::Status> DoSay(const SayRequest* in, SayReply* out) {
    if (fail_first > 0) {
      --fail_first;
      co_return base::Unavailable("not yet");
    }
    if (in->fail_with() != 0) {
      co_return base::MakeStatus(static_cast<absl::StatusCode>(in->fail_with()), "as asked");
    }
    out->set_text(in->text());
    co_return absl::OkStatus();
  }
  base::Task<absl::Status> DoWait() {
    co_await release;
    co_return absl::OkStatus();
  }
  base::Task<absl::Status> DoCollect(RequestReader<SayRequest>* reader, SayReply* out) {
    while (true) {
      std::optional<SayRequest> request = co_await reader->Next();
      if (!request) break;
      if (request->fail_with() != 0) {
        co_return base::MakeStatus(static_cast<absl::StatusCode>(request->fail_with()), "enough");
      }
      out->set_text(out->text() + request->text());
    }
    stream_ended = true;
    co_return absl::OkStatus();
  }

  base::Executor* executor_;
};

// One authority, a server "echo" and certificates of callers.
class World {
 public:
  World() : authority_(testing::MakeScratchFolder()), service_(thread_.executor()) { Start(0); }
  ~World() {
    service_.release.Set(true);
    server_.reset();
  }

  void Start(uint16_t port, ServerOptions options = {}) {
    options.address = "127.0.0.1:" + std::to_string(port);
    options.tls = FilesOf("echo");
    options.callers = {{"/godwit.rpc.test.Echo/Say", {"alice"}},
                       {"/godwit.rpc.test.Echo/Wait", {"*"}},
                       {"/godwit.rpc.test.Echo/Secret", {}},
                       {"/godwit.rpc.test.Echo/Collect", {"bob", "alice"}}};
    auto server = Server::Start(options, {&service_});
    REQUIRE(server.ok());
    server_ = *std::move(server);
  }
  uint16_t Stop() {
    const uint16_t port = server_->port();
    server_.reset();
    return port;
  }
  TlsFiles FilesOf(const std::string& daemon) {
    const auto leaf = authority_.Issue({.names = {daemon}});
    return {authority_.ca_file(), leaf.chain_file, leaf.key_file, absl::Seconds(1)};
  }
  std::unique_ptr<Echo::Stub> StubWith(TlsFiles files, const std::string& expected = "echo") {
    ChannelOptions options;
    options.target = "127.0.0.1:" + std::to_string(server_->port());
    options.daemon = expected;
    options.tls = files;
    options.idempotent = {"godwit.rpc.test.Echo/Say"};
    auto channel = Connect(options);
    REQUIRE(channel.ok());
    channel_ = *channel;
    return Echo::NewStub(*channel);
  }
  std::unique_ptr<Echo::Stub> StubOf(const std::string& daemon) {
    return StubWith(FilesOf(daemon));
  }

  EchoService& service() { return service_; }
  Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }

 private:
  testing::CertificateAuthority authority_;
  ServiceThread thread_;
  EchoService service_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

absl::StatusOr<SayReply> Say(Echo::Stub* stub, SayRequest request, CallOptions options = {}) {
  return base::RunBlocking(Call(stub, &AsyncEcho::Say, request, options));
}
SayRequest Text(const std::string& text) {
  SayRequest request;
  request.set_text(text);
  return request;
}

TEST_CASE("The right caller is served, with its name and trace id", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("alice");
  const auto reply = Say(stub.get(), Text("hello"), {.trace = "trace-1"});
  REQUIRE(reply.ok());
  CHECK(reply->text() == "hello");
  CHECK(reply->caller() == "alice");
  CHECK(reply->trace() == "trace-1");
  // A trace id that could forge a log or a header is dropped.
  CHECK(Say(stub.get(), Text("x"), {.trace = "a b"})->trace() == "");
}

TEST_CASE("The trace id comes back in the metadata", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("alice");
  grpc::ClientContext context;
  Prepare(&context, {.trace = "t7"});
  SayReply reply;
  REQUIRE(stub->Say(&context, Text("x"), &reply).ok());
  const auto& metadata = context.GetServerInitialMetadata();
  REQUIRE(metadata.count(kTraceMetadata) == 1);
  CHECK(metadata.find(kTraceMetadata)->second == "t7");
}

TEST_CASE("A wrong caller is refused before the handler", "[rpc][net]") {
  World world;
  const auto mallory = world.StubOf("mallory");
  const auto reply = Say(mallory.get(), Text("hello"));
  CHECK(reply.status().code() == absl::StatusCode::kPermissionDenied);
  CHECK(base::Message(reply.status()).find("mallory") != std::string_view::npos);
  const auto alice = world.StubOf("alice");
  CHECK(base::RunBlocking(Call(alice.get(), &AsyncEcho::Secret, Text("x"), {})).status().code() ==
        absl::StatusCode::kPermissionDenied);
  CHECK(world.service().calls == 0);
}

TEST_CASE("No certificate, another authority's, and a server of another name do not connect",
          "[rpc][net]") {
  World world;
  testing::CertificateAuthority other(testing::MakeScratchFolder());
  const auto stranger = other.Issue({.names = {"alice"}});
  TlsFiles files = world.FilesOf("alice");
  const auto code = [](const absl::StatusOr<SayReply>& reply) { return reply.status().code(); };

  SECTION("another authority's certificate") {
    files.certificate_file = stranger.chain_file;
    files.key_file = stranger.key_file;
    const auto stub = world.StubWith(files);
    CHECK(code(Say(stub.get(), Text("x"))) == absl::StatusCode::kUnavailable);
  }
  SECTION("a server that another authority signed") {
    files.ca_file = other.ca_file();
    const auto stub = world.StubWith(files);
    CHECK(code(Say(stub.get(), Text("x"))) == absl::StatusCode::kUnavailable);
  }
  SECTION("a server of another name") {
    const auto stub = world.StubWith(files, "delivery-queue");
    CHECK(code(Say(stub.get(), Text("x"))) == absl::StatusCode::kUnavailable);
  }
  SECTION("no certificate") {
    std::ifstream in(files.ca_file);
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs.assign(std::istreambuf_iterator<char>(in), {});
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("echo");
    const auto stub = Echo::NewStub(
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(world.server().port()),
                                  grpc::SslCredentials(ssl), arguments));
    CHECK(code(Say(stub.get(), Text("x"))) == absl::StatusCode::kUnavailable);
  }
  SECTION("plain text") {
    const auto stub = Echo::NewStub(grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(world.server().port()), grpc::InsecureChannelCredentials()));
    CHECK(code(Say(stub.get(), Text("x"))) == absl::StatusCode::kUnavailable);
  }
  CHECK(world.service().calls == 0);
}

TEST_CASE("A status comes over with its code and text", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("alice");
  SayRequest request;
  request.set_fail_with(static_cast<int>(absl::StatusCode::kResourceExhausted));
  CHECK(Say(stub.get(), request).status() == base::ResourceExhausted("as asked"));
}

TEST_CASE("A call ends at its deadline", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("anybody");
  const auto reply = base::RunBlocking(
      Call(stub.get(), &AsyncEcho::Wait, Text("x"), {.deadline = absl::Milliseconds(100)}));
  CHECK(reply.status().code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("An idempotent call is tried again, another is not", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("alice");
  world.service().fail_first = 2;
  CHECK(Say(stub.get(), Text("x")).ok());
  CHECK(world.service().calls == 3);
  world.service().fail_first = 100;
  CHECK(Say(stub.get(), Text("x")).status().code() == absl::StatusCode::kUnavailable);
  CHECK(world.service().calls == 7);
}

TEST_CASE("A dead server is Unavailable at once, and found again when it is back", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("alice");
  REQUIRE(Say(stub.get(), Text("x")).ok());
  const uint16_t port = world.Stop();
  CHECK(Say(stub.get(), Text("x"), {.deadline = absl::Seconds(20)}).status().code() ==
        absl::StatusCode::kUnavailable);
  world.Start(port);
  const absl::Time end = absl::Now() + absl::Seconds(20);
  bool back = false;
  while (!back && absl::Now() < end) back = Say(stub.get(), Text("x")).ok();
  CHECK(back);
}

base::Task<absl::StatusOr<SayReply>> SendAll(Echo::Stub* stub, int count, int fail_at) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  for (int i = 0; i < count; ++i) {
    SayRequest request = Text("x");
    if (i == fail_at) request.set_fail_with(static_cast<int>(absl::StatusCode::kOutOfRange));
    absl::Status sent = co_await stream->Write(request);
    if (!sent.ok()) break;
  }
  co_return co_await stream->Finish();
}

TEST_CASE("A client stream carries many requests and one reply", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("bob");
  const int count = GENERATE(0, 1, 1000);
  const auto reply = base::RunBlocking(SendAll(stub.get(), count, -1));
  REQUIRE(reply.ok());
  CHECK(reply->text().size() == static_cast<size_t>(count));
}

base::Task<bool> SendUntilCut(Echo::Stub* stub, absl::Duration patience) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  const absl::Time end = absl::Now() + patience;
  absl::Status sent;
  while (sent.ok() && absl::Now() < end) {
    sent = co_await stream->Write(Text("x"));
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::StatusOr<SayReply> reply = co_await stream->Finish();
  CHECK((reply.ok() || absl::IsUnavailable(reply.status())));
  co_return !reply.ok();
}

// A message that took minutes to arrive was deferred at every attempt: the age of the connection to
// auth-verifier and its grace were up before the message had come.
TEST_CASE("A stream goes on beyond the age of its connection, for the grace", "[rpc][net]") {
  World world;
  ServerOptions options;
  options.max_connection_age = absl::Milliseconds(100);
  options.max_connection_grace = GENERATE(absl::Milliseconds(100), absl::Minutes(1));
  const bool is_long = options.max_connection_grace == absl::Minutes(1);
  world.Start(world.Stop(), options);
  const auto stub = world.StubOf("bob");
  const bool cut = base::RunBlocking(SendUntilCut(stub.get(), absl::Seconds(is_long ? 1 : 20)));
  CHECK(cut != is_long);
}

TEST_CASE("A server may end a client stream early; Finish has the reason", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("bob");
  CHECK(base::RunBlocking(SendAll(stub.get(), 100000, 3)).status() == base::OutOfRange("enough"));
}

TEST_CASE("A refused client stream ends with the refusal", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("mallory");
  CHECK(base::RunBlocking(SendAll(stub.get(), 1000, -1)).status().code() ==
        absl::StatusCode::kPermissionDenied);
}

base::Task<bool> WriteAndLeave(Echo::Stub* stub) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  absl::Status sent = co_await stream->Write(Text("x"));
  co_return sent.ok();
}

TEST_CASE("A client stream that is dropped is cancelled", "[rpc][net]") {
  World world;
  const auto stub = world.StubOf("bob");
  CHECK(base::RunBlocking(WriteAndLeave(stub.get())));
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (!world.service().stream_ended && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  CHECK(world.service().stream_ended);
}

TEST_CASE("Certificates are read again when they change", "[rpc][net]") {
  World world;
  TlsFiles files = world.FilesOf("mallory");
  const auto stub = world.StubWith(files);
  CHECK(Say(stub.get(), Text("x")).status().code() == absl::StatusCode::kPermissionDenied);
  const TlsFiles alice = world.FilesOf("alice");
  REQUIRE(rename(alice.key_file.c_str(), files.key_file.c_str()) == 0);
  REQUIRE(rename(alice.certificate_file.c_str(), files.certificate_file.c_str()) == 0);
  const uint16_t port = world.Stop();
  world.Start(port);  // connections that stand keep their certificate
  const absl::Time end = absl::Now() + absl::Seconds(20);
  bool served = false;
  while (!served && absl::Now() < end) {
    served = Say(stub.get(), Text("x")).ok();
    absl::SleepFor(absl::Milliseconds(20));
    if (!served) {
      world.Stop();
      world.Start(port);
    }
  }
  CHECK(served);
}

TEST_CASE("The callers' table must be whole", "[rpc][unit]") {
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

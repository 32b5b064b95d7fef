#include "libs/rpc/rpc_fixture.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/executor.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "libs/rpc/serve.h"
#include "libs/rpc/subscription.h"
#include "libs/rpc/test_service.grpc.pb.h"
#include "libs/rpc/trace.h"
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

absl::Status AsAsked(const SayRequest& request) {
  return base::MakeStatus(static_cast<absl::StatusCode>(request.fail_with()), "as asked");
}

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
  grpc::ServerUnaryReactor* Secret(grpc::CallbackServerContext* context, const SayRequest*,
                                   SayReply*) override {
    ++calls;
    return Answer(context, absl::OkStatus());
  }
  grpc::ServerReadReactor<SayRequest>* Collect(grpc::CallbackServerContext* context,
                                               SayReply* out) override {
    return ServeStream<SayRequest>(
        context, executor_,
        [this, out](RequestReader<SayRequest>* reader) { return DoCollect(reader, out); });
  }
  grpc::ServerWriteReactor<SayReply>* Count(grpc::CallbackServerContext* context,
                                            const SayRequest* in) override {
    return ServeResponses<SayReply>(context, executor_,
                                    [this, request = *in](ResponseWriter<SayReply>* writer) {
                                      return DoCount(request, writer);
                                    });
  }
  grpc::ServerWriteReactor<SayReply>* Hold(grpc::CallbackServerContext* context,
                                           const SayRequest*) override {
    return ServeResponses<SayReply>(
        context, executor_, [this](ResponseWriter<SayReply>* writer) { return DoHold(writer); });
  }

  std::atomic<int> calls = 0;
  std::atomic<int> fail_first = 0;
  std::atomic<bool> collect_ended = false;
  std::atomic<int> held = 0;
  std::atomic<int> counted = 0;
  base::Completion<bool> release;

 private:
  base::Task<absl::Status> DoSay(const SayRequest* in, SayReply* out) {
    if (fail_first > 0) {
      --fail_first;
      co_return base::Unavailable("not yet");
    }
    if (in->fail_with() != 0) co_return AsAsked(*in);
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
      if (request->fail_with() != 0) co_return AsAsked(*request);
      out->set_text(out->text() + request->text());
    }
    collect_ended = true;
    co_return absl::OkStatus();
  }
  base::Task<absl::Status> DoCount(SayRequest request, ResponseWriter<SayReply>* writer) {
    SayReply reply;
    for (int i = 0; i < std::stoi(request.text()); ++i) {
      reply.set_text(std::to_string(i) + std::string(1000, ' '));
      absl::Status sent = co_await writer->Write(reply);
      if (!sent.ok()) co_return sent;
      ++counted;
    }
    co_return AsAsked(request);
  }
  base::Task<absl::Status> DoHold(ResponseWriter<SayReply>* writer) {
    SayReply reply;
    reply.set_text("held");
    ++held;
    absl::Status sent = co_await writer->Write(reply);
    if (sent.ok()) {
      base::Completion<bool> gone;
      writer->OnGone([gone] { gone.Set(true); });
      co_await gone;
    }
    --held;
    co_return base::Cancelled("gone");
  }

  base::Executor* executor_;
};

SayRequest Text(const std::string& text, absl::StatusCode fail_with = absl::StatusCode::kOk) {
  SayRequest request;
  request.set_text(text);
  request.set_fail_with(static_cast<int>(fail_with));
  return request;
}

base::Task<absl::StatusOr<SayReply>> SendAll(Echo::Stub* stub, int count, int fail_at) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  std::optional<SayRequest> last;
  for (int i = 0; i < count; ++i) {
    if (last) {
      absl::Status sent = co_await stream->Write(*std::move(last));
      if (!sent.ok()) break;
    }
    last = Text("x", i == fail_at ? absl::StatusCode::kOutOfRange : absl::StatusCode::kOk);
  }
  co_return co_await stream->Finish(std::move(last));
}

base::Task<absl::Status> SendUntilCut(Echo::Stub* stub, absl::Duration patience) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  const absl::Time end = absl::Now() + patience;
  absl::Status sent;
  while (sent.ok() && absl::Now() < end) {
    sent = co_await stream->Write(Text("x"));
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::StatusOr<SayReply> reply = co_await stream->Finish();
  co_return reply.status();
}

base::Task<bool> SendAndLeave(Echo::Stub* stub) {
  auto stream = ClientStream<SayRequest, SayReply>::Open(stub, &AsyncEcho::Collect, {});
  absl::Status sent = co_await stream->Write(Text("x"));
  if (sent.ok()) sent = co_await stream->Write(Text("x"));  // the first is on its way
  co_return sent.ok();
}

base::Task<Received> ReceiveAll(std::unique_ptr<ResponseStream<SayReply>> stream) {
  Received received;
  while (true) {
    std::optional<SayReply> reply = co_await stream->Next();
    if (!reply) break;
    received.texts.push_back(reply->text());
  }
  received.end = co_await stream->Finish();
  co_return received;
}

base::Task<Received> ReceiveSome(std::unique_ptr<ResponseStream<SayReply>> stream, int take,
                                 bool finish) {
  Received received;
  for (int i = 0; i < take; ++i) {
    std::optional<SayReply> reply = co_await stream->Next();
    if (!reply) break;
    received.texts.push_back(reply->text());
  }
  if (finish) received.end = co_await stream->Finish();
  co_return received;
}

}  // namespace

struct Client::State {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Echo::Stub> stub;
  std::unique_ptr<ResponseStream<SayReply>> unread;
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->stub = Echo::NewStub(state_->channel);
}
Client::Client(Client&&) noexcept = default;
Client::~Client() = default;

absl::StatusOr<SayReplyText> Client::Say(const std::string& text, SayOptions options) {
  CallOptions call;
  call.deadline = options.deadline;
  call.trace = options.trace;
  const absl::StatusOr<SayReply> reply = base::RunBlocking(
      Call(state_->stub.get(), &AsyncEcho::Say, Text(text, options.fail_with), call));
  if (!reply.ok()) return reply.status();
  return SayReplyText{reply->text(), reply->caller(), reply->trace()};
}

absl::Status Client::Wait(absl::Duration deadline) {
  return base::RunBlocking(
             Call(state_->stub.get(), &AsyncEcho::Wait, Text("x"), {.deadline = deadline}))
      .status();
}

absl::Status Client::Secret() {
  return base::RunBlocking(Call(state_->stub.get(), &AsyncEcho::Secret, Text("x"), {})).status();
}

std::string Client::TraceInMetadata(const std::string& trace) {
  grpc::ClientContext context;
  Prepare(&context, {.trace = trace});
  SayReply reply;
  REQUIRE(state_->stub->Say(&context, Text("x"), &reply).ok());
  const auto found = context.GetServerInitialMetadata().find(kTraceMetadata);
  if (found == context.GetServerInitialMetadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

absl::StatusOr<std::string> Client::Collect(int count, int fail_at) {
  const auto reply = base::RunBlocking(SendAll(state_->stub.get(), count, fail_at));
  if (!reply.ok()) return reply.status();
  return reply->text();
}

absl::Status Client::CollectUntilCut(absl::Duration patience) {
  return base::RunBlocking(SendUntilCut(state_->stub.get(), patience));
}

bool Client::CollectAndLeave() { return base::RunBlocking(SendAndLeave(state_->stub.get())); }

Received Client::Count(int count, absl::StatusCode end) {
  return base::RunBlocking(ReceiveAll(ResponseStream<SayReply>::Open(
      state_->stub.get(), &AsyncEcho::Count, Text(std::to_string(count), end), {})));
}

Received Client::CountAndLeave(int take, Leave leave) {
  auto open = [this] {
    return ResponseStream<SayReply>::Open(state_->stub.get(), &AsyncEcho::Count, Text("1000000"),
                                          {});
  };
  if (leave == Leave::kNeverReadMore) {
    state_->unread = open();
    return {};
  }
  return base::RunBlocking(ReceiveSome(open(), take, leave == Leave::kFinish));
}

Received Client::Hold(absl::Duration deadline) {
  return base::RunBlocking(ReceiveAll(ResponseStream<SayReply>::Open(
      state_->stub.get(), &AsyncEcho::Hold, Text(""), {.deadline = deadline})));
}

std::function<void()> Client::Subscribe(net::Reactor* reactor, absl::Duration longest_pause,
                                        std::function<void(std::string)> received) {
  SubscriptionOptions options;
  options.name = "test";
  options.longest_pause = longest_pause;
  auto subscription = std::make_shared<std::unique_ptr<Subscription<SayReply>>>();
  *subscription = std::make_unique<Subscription<SayReply>>(
      reactor, options,
      [this] {
        return ResponseStream<SayReply>::Open(state_->stub.get(), &AsyncEcho::Hold, Text(""),
                                              {.deadline = absl::InfiniteDuration()});
      },
      [received = std::move(received)](SayReply reply) { received(reply.text()); });
  return [reactor, subscription] {
    reactor->RunUntilDone(Subscription<SayReply>::End(std::move(*subscription)));
  };
}

struct World::State {
  testing::CertificateAuthority authority{testing::MakeScratchFolder()};
  ServiceThread thread;
  EchoService service{thread.executor()};
  std::unique_ptr<Server> server;
};

World::World() : state_(std::make_unique<State>()) { Start(0); }

World::~World() {
  state_->service.release.Set(true);
  state_->server.reset();
}

void World::Start(uint16_t port, ServerOptions options) {
  options.address = "127.0.0.1:" + std::to_string(port);
  options.tls = FilesOf("echo");
  options.callers = {{"/godwit.rpc.test.Echo/Say", {"alice"}},
                     {"/godwit.rpc.test.Echo/Wait", {"*"}},
                     {"/godwit.rpc.test.Echo/Secret", {}},
                     {"/godwit.rpc.test.Echo/Collect", {"bob", "alice"}},
                     {"/godwit.rpc.test.Echo/Count", {"alice"}},
                     {"/godwit.rpc.test.Echo/Hold", {"alice"}}};
  auto server = Server::Start(options, {&state_->service});
  REQUIRE(server.ok());
  state_->server = *std::move(server);
}

uint16_t World::Stop() {
  const uint16_t port = state_->server->port();
  state_->server.reset();
  return port;
}

uint16_t World::port() const { return state_->server->port(); }

TlsFiles World::FilesOf(const std::string& daemon) {
  const auto leaf = state_->authority.Issue({.names = {daemon}});
  return {state_->authority.ca_file(), leaf.chain_file, leaf.key_file, absl::Seconds(1)};
}

Client World::CallerWith(TlsFiles files, const std::string& expected, uint16_t in_front) {
  ChannelOptions options;
  options.target = "127.0.0.1:" + std::to_string(in_front == 0 ? port() : in_front);
  options.daemon = expected;
  options.tls = std::move(files);
  options.idempotent = {"godwit.rpc.test.Echo/Say"};
  auto channel = Connect(options);
  REQUIRE(channel.ok());
  auto state = std::make_unique<Client::State>();
  state->channel = *std::move(channel);
  return Client(std::move(state));
}

Client World::CallerWithoutCertificate() {
  std::ifstream in(state_->authority.ca_file());
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs.assign(std::istreambuf_iterator<char>(in), {});
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("echo");
  auto state = std::make_unique<Client::State>();
  state->channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port()),
                                             grpc::SslCredentials(ssl), arguments);
  return Client(std::move(state));
}

Client World::PlainCaller() {
  auto state = std::make_unique<Client::State>();
  state->channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port()),
                                       grpc::InsecureChannelCredentials());
  return Client(std::move(state));
}

int World::calls() const { return state_->service.calls; }
bool World::collect_ended() const { return state_->service.collect_ended; }
int World::held() const { return state_->service.held; }
int World::counted() const { return state_->service.counted; }
void World::FailFirst(int count) { state_->service.fail_first = count; }

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace godwit::rpc

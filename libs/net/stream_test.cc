#include "libs/net/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libs/base/status.h"
#include "libs/net/connector.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"

namespace godwit::net {
namespace {

using StreamPtr = std::unique_ptr<Stream>;

Reactor::Options Quick() {
  Reactor::Options options;
  options.sweep_period = absl::Milliseconds(10);
  return options;
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 >> 3);
  return bytes;
}

base::Task<void> WriteAndShutdown(StreamPtr stream, std::string bytes) {
  absl::Status ignored = co_await stream->Write(bytes);
  co_await stream->Shutdown(absl::ZeroDuration());
}

base::Task<std::string> ReadSlowly(Reactor* reactor, size_t size) {
  auto [left, right] = Stream::Pair(reactor);
  base::Spawn(WriteAndShutdown(std::move(left), Pattern(size)));
  std::string all;
  while (true) {
    const Ready ready = co_await right->WaitReadable(absl::Seconds(5));
    if (ready != Ready::kReadable) break;
    char some[100];
    const auto got = right->ReadSome(some, sizeof some);
    if (!got.ok()) {
      CHECK(absl::IsOutOfRange(got.status()));
      break;
    }
    all.append(some, *got);
  }
  co_return all;
}

TEST_CASE("A writer waits for a slow reader and nothing is lost", "[net][stream]") {
  Reactor reactor;
  const std::string all = reactor.RunUntilDone(ReadSlowly(&reactor, 3'000'000));
  CHECK((all == Pattern(3'000'000)));
}

base::Task<void> WritePiecesTask(StreamPtr stream, std::vector<std::string> pieces) {
  std::vector<std::string_view> views(pieces.begin(), pieces.end());
  absl::Status ignored = co_await stream->WritePieces(std::move(views));
  co_await stream->Shutdown(absl::ZeroDuration());
}

base::Task<std::string> ReadAll(Reactor* reactor, std::vector<std::string> pieces) {
  auto [left, right] = Stream::Pair(reactor);
  base::Spawn(WritePiecesTask(std::move(left), std::move(pieces)));
  Reader reader(right.get());
  auto all = co_await reader.ReadToEnd();
  co_return all.ok() ? *all : "failed";
}

TEST_CASE("WritePieces writes all pieces in order, empty and large ones too", "[net][stream]") {
  Reactor reactor;
  const std::string big = Pattern(1'000'000);
  CHECK(reactor.RunUntilDone(ReadAll(&reactor, {"", "a", "", "bc", ""})) == "abc");
  CHECK(reactor.RunUntilDone(ReadAll(&reactor, {""})).empty());
  CHECK(
      (reactor.RunUntilDone(ReadAll(&reactor, {"x", big, "", big, "y"})) == "x" + big + big + "y"));
  std::string many_want;
  std::vector<std::string> many;
  for (int i = 0; i < 500; ++i) many_want += many.emplace_back(std::to_string(i));
  CHECK(reactor.RunUntilDone(ReadAll(&reactor, many)) == many_want);
}

base::Task<absl::Duration> TimeoutOf(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  const absl::Duration before = reactor->Now();
  const Input input = co_await right->Read(absl::Milliseconds(50));
  CHECK(input.event == Ready::kTimeout);
  // The stream is as good as before.
  absl::Status sent = co_await left->Write("late");
  CHECK(sent.ok());
  const Input late = co_await right->Read(absl::Seconds(5));
  CHECK(late.bytes() == "late");
  co_return reactor->Now() - before;
}

TEST_CASE("An idle peer gives kTimeout, not early, and the stream stays usable", "[net][stream]") {
  Reactor reactor(Quick());
  const absl::Duration took = reactor.RunUntilDone(TimeoutOf(&reactor));
  CHECK(took >= absl::Milliseconds(50));
  CHECK(took < absl::Seconds(2));
}

base::Task<absl::Status> WriteToNobody(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  left->set_write_timeout(absl::Milliseconds(50));
  const std::string much = Pattern(10'000'000);
  absl::Status status = co_await left->Write(much);
  co_return status;
}

TEST_CASE("A peer that takes nothing ends a write with DeadlineExceeded", "[net][stream]") {
  Reactor reactor(Quick());
  CHECK(absl::IsDeadlineExceeded(reactor.RunUntilDone(WriteToNobody(&reactor))));
}

base::Task<void> TakeALittle(Reactor* reactor, Stream* stream, const bool* done) {
  char octets[5000];
  while (!*done) {
    (void)stream->ReadSome(octets, sizeof octets);
    co_await reactor->Sleep(absl::Milliseconds(5));
  }
}

base::Task<absl::Status> WriteToDribbler(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  left->set_write_timeout(absl::Seconds(60));
  left->set_write_deadline(reactor->Now() + absl::Milliseconds(100));
  bool done = false;
  base::Spawn(TakeALittle(reactor, right.get(), &done));
  const std::string much = Pattern(10'000'000);
  absl::Status status = co_await left->Write(much);
  done = true;
  co_await reactor->Sleep(absl::Milliseconds(20));
  co_return status;
}

// A peer that takes a little now and then had a sender for as long as it liked.
TEST_CASE("Progress does not prolong a write beyond its deadline", "[net][stream]") {
  Reactor reactor(Quick());
  const absl::Duration begin = reactor.Now();
  CHECK(absl::IsDeadlineExceeded(reactor.RunUntilDone(WriteToDribbler(&reactor))));
  CHECK(reactor.Now() - begin < absl::Seconds(5));
}

base::Task<void> WakeSoon(Reactor* reactor, Stream* stream) {
  co_await reactor->Sleep(absl::Milliseconds(5));
  stream->Wake();
}

base::Task<bool> WakeTest(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  base::Spawn(WakeSoon(reactor, right.get()));
  Ready ready = co_await right->WaitReadable(absl::Seconds(5));
  CHECK(ready == Ready::kWoken);
  // With none pending the next one gets it; several count once.
  right->Wake();
  right->Wake();
  ready = co_await right->WaitReadable(absl::Seconds(5));
  CHECK(ready == Ready::kWoken);
  ready = co_await right->WaitReadable(absl::Milliseconds(20));
  CHECK(ready == Ready::kTimeout);
  // Neither a wake nor bytes that come at the same moment get lost.
  absl::Status sent = co_await left->Write("x");
  CHECK(sent.ok());
  right->Wake();
  ready = co_await right->WaitReadable(absl::Seconds(5));
  CHECK(ready == Ready::kWoken);
  const Input input = co_await right->Read(absl::Seconds(5));
  CHECK(input.bytes() == "x");
  co_return true;
}

TEST_CASE("Wake ends a wait, is remembered, and hides no bytes", "[net][stream]") {
  Reactor reactor(Quick());
  CHECK(reactor.RunUntilDone(WakeTest(&reactor)));
}

base::Task<bool> WakeDuringWrite(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  base::Spawn(WakeSoon(reactor, left.get()));
  left->set_write_timeout(absl::Milliseconds(60));
  const std::string much = Pattern(10'000'000);
  absl::Status status = co_await left->Write(much);
  CHECK(absl::IsDeadlineExceeded(status));
  const Ready ready = co_await left->WaitReadable(absl::Seconds(5));
  co_return ready == Ready::kWoken;
}

TEST_CASE("Wake does not disturb a write", "[net][stream]") {
  Reactor reactor(Quick());
  CHECK(reactor.RunUntilDone(WakeDuringWrite(&reactor)));
}

base::Task<bool> WakeAllTest(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  reactor->WakeAll();
  const Ready one = co_await left->WaitReadable(absl::Seconds(5));
  const Ready other = co_await right->WaitReadable(absl::Seconds(5));
  co_return one == Ready::kWoken&& other == Ready::kWoken && reactor->descriptor_count() == 2;
}

TEST_CASE("WakeAll reaches every stream", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(WakeAllTest(&reactor)));
}

base::Task<void> ReadInto(Stream* stream, Ready* got) {
  *got = co_await stream->WaitReadable(absl::Seconds(5));
}

base::Task<bool> BothDirections(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  Ready got = Ready::kTimeout;
  base::Spawn(ReadInto(left.get(), &got));
  // The write times out, which must leave the pending read alone.
  left->set_write_timeout(absl::Milliseconds(30));
  const std::string much = Pattern(10'000'000);
  absl::Status status = co_await left->Write(much);
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK(got == Ready::kTimeout);
  absl::Status sent = co_await right->Write("now");
  co_await reactor->Sleep(absl::Milliseconds(20));
  co_return got == Ready::kReadable;
}

TEST_CASE("A read and a write wait at the same time, each for itself", "[net][stream]") {
  Reactor reactor(Quick());
  CHECK(reactor.RunUntilDone(BothDirections(&reactor)));
}

base::Task<bool> CloseWhileWaiting(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  Ready got = Ready::kTimeout;
  base::Spawn(ReadInto(left.get(), &got));
  left->Close();
  left->Close();
  co_await reactor->Sleep(absl::Milliseconds(5));
  CHECK(got == Ready::kClosed);
  absl::Status write = co_await left->Write("x");
  CHECK(absl::IsUnavailable(write));
  char byte;
  CHECK(absl::IsUnavailable(left->ReadSome(&byte, 1).status()));
  const Ready ready = co_await left->WaitReadable(absl::Seconds(5));
  CHECK(ready == Ready::kClosed);
  // The other side sees an orderly end.
  const Input input = co_await right->Read(absl::Seconds(5));
  CHECK(input.event == Ready::kClosed);
  CHECK(absl::IsOutOfRange(input.status));
  co_return true;
}

TEST_CASE("Close ends what waits and everything after it", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(CloseWhileWaiting(&reactor)));
}

base::Task<bool> HalfClose(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  absl::Status sent = co_await left->Write("last words");
  ::shutdown(left->fd(), SHUT_WR);
  Reader reader(right.get());
  auto words = co_await reader.ReadToEnd();
  CHECK(*words == "last words");
  // The other direction still works.
  sent = co_await right->Write("answer");
  CHECK(sent.ok());
  const Input input = co_await left->Read(absl::Seconds(5));
  co_return input.bytes() == "answer";
}

TEST_CASE("A half-closed connection still carries the answer", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(HalfClose(&reactor)));
}

base::Task<void> Linger(StreamPtr stream, bool* done) {
  co_await stream->Shutdown(absl::Seconds(5));
  *done = true;
}

base::Task<bool> LingerTest(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  bool done = false;
  base::Spawn(Linger(std::move(left), &done));
  absl::Status sent = co_await right->Write("still talking");
  CHECK(sent.ok());
  const Input end = co_await right->Read(absl::Seconds(5));
  CHECK(absl::IsOutOfRange(end.status));
  CHECK_FALSE(done);
  right->Close();
  co_await reactor->Sleep(absl::Milliseconds(20));
  co_return done;
}

TEST_CASE("Shutdown lingers until the peer closes", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(LingerTest(&reactor)));
}

// --- Over TCP
// -------------------------------------------------------------------------------------

base::Task<StreamPtr> ConnectPair(Reactor* reactor, StreamPtr* server) {
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("127.0.0.1:0");
  auto listener = Listener::Start(reactor, options, [&](StreamPtr s) { *server = std::move(s); });
  CHECK(listener.ok());
  ConnectOptions to;
  to.to = (*listener)->endpoint();
  auto stream = co_await Connect(to);
  CHECK(stream.ok());
  while (!*server) co_await reactor->Sleep(absl::Milliseconds(1));
  co_return *std::move(stream);
}

base::Task<bool> Addresses(Reactor* reactor) {
  StreamPtr server;
  StreamPtr client = co_await ConnectPair(reactor, &server);
  CHECK(server->peer() == client->local());
  CHECK(server->local() == client->peer());
  CHECK(server->peer().address.ToString() == "127.0.0.1");
  co_return true;
}

TEST_CASE("A TCP connection knows both of its ends", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(Addresses(&reactor)));
}

base::Task<bool> PeerResets(Reactor* reactor) {
  StreamPtr server;
  StreamPtr client = co_await ConnectPair(reactor, &server);
  const linger abort{1, 0};
  setsockopt(client->fd(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  client->Close();
  const Input input = co_await server->Read(absl::Seconds(5));
  CHECK(input.event == Ready::kClosed);
  CHECK(absl::IsUnavailable(input.status));
  // Writing to it must not raise SIGPIPE.
  absl::Status status = co_await server->Write("anyone?");
  CHECK(absl::IsUnavailable(status));
  co_return true;
}

TEST_CASE("A reset is Unavailable, and no signal", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(PeerResets(&reactor)));
}

base::Task<absl::Status> ConnectTo(Endpoint to, absl::Duration timeout,
                                   std::optional<base::IpAddress> from) {
  ConnectOptions options;
  options.to = to;
  options.timeout = timeout;
  options.from = from;
  auto stream = co_await Connect(options);
  co_return stream.status();
}

TEST_CASE("A refused connection is Unavailable and names the address", "[net][stream]") {
  Reactor reactor;
  const auto nobody = *Endpoint::Parse("127.0.0.1:1");
  const absl::Status status =
      reactor.RunUntilDone(ConnectTo(nobody, absl::Seconds(5), std::nullopt));
  CHECK(absl::IsUnavailable(status));
  CHECK(base::ToString(status).find("127.0.0.1:1") != std::string::npos);
}

TEST_CASE("A local address that is not ours is Unavailable", "[net][stream]") {
  Reactor reactor;
  CHECK(absl::IsUnavailable(reactor.RunUntilDone(ConnectTo(
      *Endpoint::Parse("127.0.0.1:1"), absl::Seconds(5), base::IpAddress::Parse("192.0.2.7")))));
}

TEST_CASE("A full backlog ends in DeadlineExceeded", "[net][stream]") {
  // A listening socket that nobody accepts from: what is beyond its backlog gets no answer.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage name;
  socklen_t size = Endpoint::Parse("127.0.0.1:0")->ToSockaddr(&name);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&name), size) == 0);
  REQUIRE(listen(fd, 0) == 0);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  const Endpoint to = Endpoint::FromSockaddr(name);
  Reactor reactor(Quick());
  std::vector<int> fillers;
  for (int i = 0; i < 8; ++i) {
    fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    connect(fillers.back(), reinterpret_cast<sockaddr*>(&name), size);
  }
  const absl::Status status =
      reactor.RunUntilDone(ConnectTo(to, absl::Milliseconds(50), std::nullopt));
  CHECK(absl::IsDeadlineExceeded(status));
  for (int each : fillers) close(each);
  close(fd);
}

// --- Reader
// ---------------------------------------------------------------------------------------

base::Task<bool> ReaderTest(Reactor* reactor) {
  auto [left, right] = Stream::Pair(reactor);
  Reader::Limits limits;
  limits.line = 10;
  Reader reader(right.get(), limits);
  absl::Status sent = co_await left->Write("one\r\ntwo\n\r\n12345678\r\nABCDErest\r\n");
  right->Wake();  // ignored
  for (const std::string_view want : {"one", "two", "", "12345678"}) {
    auto line = co_await reader.ReadLine();
    CHECK(line.value() == want);
  }
  auto five = co_await reader.ReadExactly(5);
  CHECK(*five == "ABCDE");
  CHECK(reader.buffered() == "rest\r\n");
  auto rest = co_await reader.ReadLine();
  CHECK(*rest == "rest");
  sent = co_await left->Write("123456789\r\n");
  auto long_line = co_await reader.ReadLine();
  CHECK(absl::IsResourceExhausted(long_line.status()));
  left->Close();
  co_return true;
}

TEST_CASE("Reader gives lines and counts within its limits", "[net][stream]") {
  Reactor reactor;
  CHECK(reactor.RunUntilDone(ReaderTest(&reactor)));
}

}  // namespace
}  // namespace godwit::net

#include "libs/net/listener.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "libs/base/status.h"
#include "libs/net/connector.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"

namespace godwit::net {
namespace {

using StreamPtr = std::unique_ptr<Stream>;
using ListenerPtr = std::unique_ptr<Listener>;

constexpr absl::Duration kPatience = absl::Seconds(10);

Reactor::Options Quick() {
  Reactor::Options options;
  options.sweep_period = absl::Milliseconds(10);
  return options;
}

ListenOptions Loopback() {
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("127.0.0.1:0");
  options.exhausted_pause = absl::Milliseconds(10);
  return options;
}

// Greets with the peer's address, then echoes.
base::Task<void> Echo(StreamPtr stream) {
  const std::string greeting = stream->peer().ToString() + "\n";
  absl::Status sent = co_await stream->Write(greeting);
  while (sent.ok()) {
    const Input input = co_await stream->Read(absl::InfiniteDuration());
    if (input.event != Ready::kReadable) break;
    sent = co_await stream->Write(input.bytes());
  }
}

void StartEcho(StreamPtr stream) { base::Spawn(Echo(std::move(stream))); }

base::Task<absl::StatusOr<StreamPtr>> ConnectTo(Endpoint to) {
  ConnectOptions options;
  options.to = to;
  options.timeout = kPatience;
  auto stream = co_await Connect(options);
  co_return stream;
}

// Sends `head`, and gives the greeting, or why there was none within `patience`.
base::Task<absl::StatusOr<std::string>> Greeting(Endpoint to, std::string head,
                                                 absl::Duration patience) {
  auto stream = co_await ConnectTo(to);
  if (!stream.ok()) co_return stream.status();
  absl::Status sent = co_await (*stream)->Write(head);
  if (!sent.ok()) co_return sent;
  Reader::Limits limits;
  limits.timeout = patience;
  Reader reader(stream->get(), limits);
  auto line = co_await reader.ReadLine();
  co_return line;
}

TEST_CASE("Connections spread over the reactors and stay on them", "[net][listener]") {
  ReactorPool::Options pool_options;
  pool_options.threads = 2;
  ReactorPool pool(pool_options);
  std::atomic<int> on_first{0}, on_second{0}, wrong_thread{0};
  auto listener = Listener::Start(&pool, Loopback(), [&](StreamPtr stream) {
    ++(stream->reactor() == pool.at(0) ? on_first : on_second);
    if (Reactor::Current() != stream->reactor()) ++wrong_thread;
    base::Spawn(Echo(std::move(stream)));
  });
  REQUIRE(listener.ok());
  Reactor client;
  for (int i = 0; i < 64; ++i) {
    CHECK(client.RunUntilDone(Greeting((*listener)->endpoint(), "", kPatience)).ok());
  }
  CHECK(on_first > 0);
  CHECK(on_second > 0);
  CHECK(wrong_thread == 0);
  CHECK((*listener)->stats().accepted == 64);
  pool.Stop();
}

base::Task<bool> ManyAtOnce(Endpoint to, int count) {
  std::vector<StreamPtr> streams;
  for (int i = 0; i < count; ++i) {
    auto stream = co_await ConnectTo(to);
    if (!stream.ok()) co_return false;
    streams.push_back(*std::move(stream));
  }
  for (const StreamPtr& each : streams) {
    absl::Status sent = co_await each->Write("hello\n");
    if (!sent.ok()) co_return false;
  }
  for (const StreamPtr& each : streams) {
    Reader reader(each.get());
    auto greeting = co_await reader.ReadLine();
    auto echo = co_await reader.ReadLine();
    if (!echo.ok() || *echo != "hello") co_return false;
  }
  co_return true;
}

TEST_CASE("Two thousand connections at the same time", "[net][listener]") {
  ReactorPool::Options pool_options;
  pool_options.threads = 2;
  ReactorPool pool(pool_options);
  auto listener = Listener::Start(&pool, Loopback(), StartEcho);
  REQUIRE(listener.ok());
  Reactor client;
  CHECK(client.RunUntilDone(ManyAtOnce((*listener)->endpoint(), 2000)));
  pool.Stop();
}

TEST_CASE("A taken port is AlreadyExists, although sockets of ours share it", "[net][listener]") {
  Reactor reactor;
  auto first = Listener::Start(&reactor, Loopback(), StartEcho);
  REQUIRE(first.ok());
  ListenOptions same = Loopback();
  same.endpoint = (*first)->endpoint();
  const auto second = Listener::Start(&reactor, same, StartEcho);
  CHECK(absl::IsAlreadyExists(second.status()));
  CHECK(base::ToString(second.status()).find(same.endpoint.ToString()) != std::string::npos);
}

TEST_CASE("Addresses that are not ours are Unavailable", "[net][listener]") {
  Reactor reactor;
  ListenOptions options = Loopback();
  options.endpoint = *Endpoint::Parse("192.0.2.77:0");
  CHECK(absl::IsUnavailable(Listener::Start(&reactor, options, StartEcho).status()));
}

TEST_CASE("Every address takes IPv4, and shows it as IPv4", "[net][listener]") {
  Reactor reactor;
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("*:0");
  auto listener = Listener::Start(&reactor, options, StartEcho);
  REQUIRE(listener.ok());
  const Endpoint v4{*base::IpAddress::Parse("127.0.0.1"), (*listener)->endpoint().port};
  const auto greeting = reactor.RunUntilDone(Greeting(v4, "", kPatience));
  REQUIRE(greeting.ok());
  CHECK(greeting->starts_with("127.0.0.1:"));
}

base::Task<bool> CloseTest(Reactor* reactor, Listener* listener) {
  auto stream = co_await ConnectTo(listener->endpoint());
  Reader reader(stream->get());
  auto greeting = co_await reader.ReadLine();
  listener->Close();
  co_await reactor->Sleep(absl::Milliseconds(5));
  auto refused = co_await ConnectTo(listener->endpoint());
  CHECK(absl::IsUnavailable(refused.status()));
  // What is open lives on.
  absl::Status sent = co_await (*stream)->Write("still here\n");
  auto echo = co_await reader.ReadLine();
  co_return sent.ok() && echo.value() == "still here";
}

TEST_CASE("Close refuses new connections and keeps open ones", "[net][listener]") {
  Reactor reactor;
  auto listener = Listener::Start(&reactor, Loopback(), StartEcho);
  CHECK(reactor.RunUntilDone(CloseTest(&reactor, listener->get())));
}

TEST_CASE("Pause leaves connections waiting until Resume", "[net][listener]") {
  Reactor reactor(Quick());
  auto listener = Listener::Start(&reactor, Loopback(), StartEcho);
  REQUIRE(listener.ok());
  const Endpoint to = (*listener)->endpoint();
  CHECK(reactor.RunUntilDone(Greeting(to, "", kPatience)).ok());
  (*listener)->Pause();
  CHECK(absl::IsDeadlineExceeded(
      reactor.RunUntilDone(Greeting(to, "", absl::Milliseconds(30))).status()));
  (*listener)->Resume();
  CHECK(reactor.RunUntilDone(Greeting(to, "", kPatience)).ok());
}

base::Task<bool> BoundTest(Listener* listener) {
  auto first = co_await ConnectTo(listener->endpoint());
  Reader first_reader(first->get());
  auto greeting = co_await first_reader.ReadLine();
  // The second waits in the backlog until the first has gone.
  auto second = co_await ConnectTo(listener->endpoint());
  const Ready early = co_await (*second)->WaitReadable(absl::Milliseconds(30));
  CHECK(early == Ready::kTimeout);
  CHECK(listener->stats().open == 1);
  CHECK(listener->stats().at_bound == 1);
  (*first)->Close();
  Reader second_reader(second->get());
  greeting = co_await second_reader.ReadLine();
  co_return greeting.ok() && listener->stats().accepted == 2;
}

TEST_CASE("At the bound of connections the next one waits", "[net][listener]") {
  Reactor reactor(Quick());
  ListenOptions options = Loopback();
  options.max_connections = 1;
  auto listener = Listener::Start(&reactor, options, StartEcho);
  CHECK(reactor.RunUntilDone(BoundTest(listener->get())));
}

base::Task<bool> ExhaustionTest(Reactor* reactor, Listener* listener) {
  listener->Pause();
  co_await reactor->Sleep(absl::Milliseconds(5));
  auto stream = co_await ConnectTo(listener->endpoint());
  listener->Resume();
  // With the limit below what is open the next accept() fails with EMFILE.
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{3, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  co_await reactor->Sleep(absl::Milliseconds(100));
  const uint64_t failures = listener->stats().exhausted;
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(failures >= 1);
  CHECK(failures <= 12);  // one each 10 ms, not a spinning loop
  Reader reader(stream->get());
  auto greeting = co_await reader.ReadLine();
  co_return greeting.ok();
}

TEST_CASE("Without descriptors the listener rests and then goes on", "[net][listener]") {
  Reactor reactor(Quick());
  ListenerPtr listener = Listener::Start(&reactor, Loopback(), StartEcho).value();
  CHECK(reactor.RunUntilDone(ExhaustionTest(&reactor, listener.get())));
}

// --- PROXY protocol
// -------------------------------------------------------------------------------

ListenOptions Proxied(std::string_view source) {
  ListenOptions options = Loopback();
  options.proxy_protocol = true;
  options.proxy_sources = {*Network::Parse(source)};
  options.proxy_timeout = absl::Milliseconds(60);
  return options;
}

// proxy_sources: ["0.0.0.0/0"] was taken without a word: anybody could say to be anybody.
TEST_CASE("A PROXY listener that would believe everybody does not start", "[net][listener]") {
  Reactor reactor;
  const auto start = [&](std::string_view source) {
    return Listener::Start(&reactor, Proxied(source), StartEcho).status();
  };
  for (const std::string_view wide :
       {"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "fc00::/6"}) {
    CAPTURE(wide);
    const absl::Status status = start(wide);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(base::Message(status).find(wide) != std::string_view::npos);
  }
  for (const std::string_view narrow : {"10.0.0.0/8", "192.0.2.1", "fc00::/7", "2001:db8::1"}) {
    CAPTURE(narrow);
    CHECK(start(narrow).ok());
  }
}

TEST_CASE("Behind a proxy the peer is the real client", "[net][listener]") {
  Reactor reactor;
  auto listener = Listener::Start(&reactor, Proxied("127.0.0.0/8"), StartEcho);
  REQUIRE(listener.ok());
  const Endpoint to = (*listener)->endpoint();
  const auto v1 = reactor.RunUntilDone(
      Greeting(to, "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\nEHLO\r\n", kPatience));
  CHECK(v1.value() == "192.0.2.1:12345");
  const std::string v2(
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\x01\x01\x01\x01\x00\x09\x00\x19", 28);
  CHECK(reactor.RunUntilDone(Greeting(to, v2, kPatience)).value() == "192.0.2.9:9");
  const auto local = reactor.RunUntilDone(
      Greeting(to, std::string("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 16), kPatience));
  CHECK(local.value().starts_with("127.0.0.1:"));
}

base::Task<std::string> ByteByByte(Reactor* reactor, Endpoint to) {
  auto stream = co_await ConnectTo(to);
  for (const char byte : std::string("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\nrest\r\n")) {
    absl::Status sent = co_await (*stream)->Write(std::string_view(&byte, 1));
    co_await reactor->Sleep(absl::Microseconds(200));
  }
  Reader reader(stream->get());
  auto greeting = co_await reader.ReadLine();
  auto echo = co_await reader.ReadLine();
  co_return greeting.value() + " " + echo.value();
}

TEST_CASE("The header takes no byte of the client's", "[net][listener]") {
  Reactor reactor;
  ListenOptions options = Proxied("127.0.0.1");
  options.proxy_timeout = kPatience;
  auto listener = Listener::Start(&reactor, options, StartEcho);
  CHECK(reactor.RunUntilDone(ByteByByte(&reactor, (*listener)->endpoint())) ==
        "192.0.2.1:12345 rest");
}

TEST_CASE("No header, a slow one, or a source that is not listed: cut", "[net][listener]") {
  Reactor reactor(Quick());
  auto listener = Listener::Start(&reactor, Proxied("127.0.0.1"), StartEcho);
  auto closed = Listener::Start(&reactor, Proxied("192.0.2.0/24"), StartEcho);
  REQUIRE(listener.ok());
  REQUIRE(closed.ok());
  const Endpoint to = (*listener)->endpoint();
  CHECK_FALSE(reactor.RunUntilDone(Greeting(to, "EHLO a.example\r\n", kPatience)).ok());
  CHECK_FALSE(reactor.RunUntilDone(Greeting(to, "PROXY TCP4 ", kPatience)).ok());
  CHECK_FALSE(reactor.RunUntilDone(Greeting(to, "", kPatience)).ok());
  CHECK((*listener)->stats().proxy_malformed == 3);
  CHECK_FALSE(reactor
                  .RunUntilDone(Greeting((*closed)->endpoint(),
                                         "PROXY TCP4 192.0.2.1 198.51.100.2 1 25\r\n", kPatience))
                  .ok());
  CHECK((*closed)->stats().proxy_refused == 1);
  CHECK((*closed)->stats().open == 0);
}

TEST_CASE("A proxy listener without sources does not start", "[net][listener]") {
  Reactor reactor;
  ListenOptions options = Loopback();
  options.proxy_protocol = true;
  CHECK(absl::IsInvalidArgument(Listener::Start(&reactor, options, StartEcho).status()));
}

}  // namespace
}  // namespace godwit::net

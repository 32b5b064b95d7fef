#include "libs/net/http.h"

#include <catch2/catch.hpp>

#include "libs/base/status.h"
#include "libs/net/connector.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/reader.h"
#include "libs/testing/certificates.h"

namespace godwit::net {
namespace {

using StreamPtr = std::unique_ptr<Stream>;

constexpr absl::Duration kPatience = absl::Seconds(10);

Reactor::Options Quick() {
  Reactor::Options options;
  options.sweep_period = absl::Milliseconds(10);
  return options;
}

base::Task<HttpResponse> Handle(const HttpRequest& request) {
  if (request.path() == "/big") {
    HttpResponse big;
    big.body = std::string(300'000, 'x');
    co_return big;
  }
  if (request.path() == "/inject") {
    HttpResponse response = HttpResponse::Text(200, "");
    response.fields.push_back({"X-From-Peer", "a\r\nSet-Cookie: b"});
    co_return response;
  }
  if (request.path() == "/nothing") {
    HttpResponse response;
    response.status = 204;
    co_return response;
  }
  co_return HttpResponse::Text(200, request.method + " " + request.target + " " +
                                        std::string(request.field("x-test")) + " " + request.body +
                                        (request.tls ? " tls" : ""));
}

base::Task<void> ServeTls(StreamPtr stream, const HttpHandler* handler, HttpLimits limits,
                          std::shared_ptr<TlsContext> context) {
  if (context) {
    absl::Status status = co_await stream->StartTlsServer(std::move(context), kPatience);
    if (!status.ok()) co_return;
  }
  co_await ServeHttp(std::move(stream), handler, limits);
}

// A server on the reactor of the test.
class Server {
 public:
  explicit Server(Reactor* reactor, HttpLimits limits = HttpLimits(),
                  std::shared_ptr<TlsContext> context = nullptr)
      : handler_(Handle) {
    ListenOptions options;
    options.endpoint = *Endpoint::Parse("127.0.0.1:0");
    listener_ = Listener::Start(reactor, options, [this, limits, context](StreamPtr stream) {
                  last_ = stream.get();
                  base::Spawn(ServeTls(std::move(stream), &handler_, limits, context));
                }).value();
  }
  const Endpoint& endpoint() const { return listener_->endpoint(); }
  Stream* last() const { return last_; }

 private:
  HttpHandler handler_;
  Stream* last_ = nullptr;
  std::unique_ptr<Listener> listener_;
};

FetchOptions Get(const Server& server, std::string_view path) {
  FetchOptions options;
  options.url = "http://localhost" + std::string(path);
  options.to = server.endpoint();
  options.timeout = kPatience;
  return options;
}

// Sends `wire` and returns all that comes back.
base::Task<std::string> Raw(Endpoint to, std::string wire) {
  ConnectOptions options;
  options.to = to;
  auto stream = co_await Connect(options);
  absl::Status sent = co_await (*stream)->Write(wire);
  Reader::Limits limits;
  limits.timeout = kPatience;
  Reader reader(stream->get(), limits);
  auto all = co_await reader.ReadToEnd();
  co_return all.ok() ? *all : base::ToString(all.status());
}

TEST_CASE("Fetch gets what the handler gives", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  FetchOptions options = Get(server, "/a/b?c=d#fragment");
  options.fields.push_back({"X-Test", "yes"});
  const auto got = reactor.RunUntilDone(Fetch(options));
  REQUIRE(got.ok());
  CHECK(got->status == 200);
  CHECK(got->body == "GET /a/b?c=d yes ");
  CHECK(got->field("content-type") == "text/plain; charset=utf-8");

  options = Get(server, "");
  options.method = "POST";
  options.body = std::string(100'000, 'b');
  CHECK(reactor.RunUntilDone(Fetch(options))->body == "POST /  " + options.body);
  CHECK(reactor.RunUntilDone(Fetch(Get(server, "/big")))->body.size() == 300'000);
  CHECK(reactor.RunUntilDone(Fetch(Get(server, "/nothing")))->status == 204);
  options = Get(server, "/big");
  options.method = "HEAD";
  const auto head = reactor.RunUntilDone(Fetch(options));
  CHECK(head->body.empty());
  CHECK(head->field("Content-Length") == "300000");
}

TEST_CASE("https verifies the host of the URL", "[net][http]") {
  testing::CertificateAuthority authority(testing::MakeScratchFolder());
  const auto leaf = authority.Issue({.names = {"www.example.org"}});
  TlsServerOptions server_options;
  server_options.certificates.resize(1);
  server_options.certificates[0].chain_file = leaf.chain_file;
  server_options.certificates[0].key_file = leaf.key_file;
  TlsClientOptions client_options;
  client_options.ca_file = authority.ca_file();
  Reactor reactor;
  Server server(&reactor, HttpLimits(), TlsContext::NewServer(server_options).value());
  FetchOptions options = Get(server, "");
  options.tls = TlsContext::NewClient(client_options).value();
  options.url = "https://www.example.org:8443/x";
  CHECK(reactor.RunUntilDone(Fetch(options))->body == "GET /x   tls");
  options.url = "https://www.example.net/x";
  CHECK(absl::IsFailedPrecondition(reactor.RunUntilDone(Fetch(options)).status()));
  options.tls = nullptr;
  CHECK(absl::IsInvalidArgument(reactor.RunUntilDone(Fetch(options)).status()));
}

TEST_CASE("Fetch refuses what is no URL", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  FetchOptions options = Get(server, "");
  options.url = GENERATE(as<std::string>(), "", "/x", "ftp://h/x", "http://", "http:///x",
                         "http://u@h/x", "http://h/a b", "http://h/\r\nX: y");
  CAPTURE(options.url);
  CHECK(absl::IsInvalidArgument(reactor.RunUntilDone(Fetch(options)).status()));
}

TEST_CASE("Requests may be pipelined on one connection", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  const std::string answer = reactor.RunUntilDone(
      Raw(server.endpoint(),
          "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
          "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
          "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
          "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK_THAT(answer, Catch::Contains("POST /1  abc"));
  CHECK_THAT(answer, Catch::Contains("GET /2"));
  CHECK_THAT(answer, Catch::Contains("GET /3") && Catch::Contains("Connection: close"));
  CHECK_THAT(answer, !Catch::Contains("GET /4"));
}

struct BadRow {
  std::string wire;
  std::string want;
};

TEST_CASE("Bad requests get their status and the connection ends", "[net][http]") {
  HttpLimits limits;
  limits.header_bytes = 500;
  limits.body_bytes = 100;
  limits.message_timeout = absl::Milliseconds(50);
  Reactor reactor(Quick());
  Server server(&reactor, limits);
  const auto row = GENERATE(values<BadRow>(
      {{"nonsense\r\n\r\n", "HTTP/1.1 400 "},
       {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
       {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 "},
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 400 "},
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 400 "},
       {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(600, 'x') + "\r\n\r\n", "HTTP/1.1 431 "},
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "HTTP/1.1 413 "},
       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
            std::string(101, 'x') + "\r\n0\r\n\r\n",
        "HTTP/1.1 413 "},
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nslow", "HTTP/1.1 408 "}}));
  CAPTURE(row.wire);
  const std::string answer = reactor.RunUntilDone(Raw(server.endpoint(), row.wire));
  CHECK(answer.substr(0, row.want.size()) == row.want);
}

TEST_CASE("A field's value can not become another field", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  const auto got = reactor.RunUntilDone(Fetch(Get(server, "/inject")));
  REQUIRE(got.ok());
  CHECK(got->field("Set-Cookie").empty());
  CHECK(got->field("X-From-Peer") == "a  Set-Cookie: b");
}

TEST_CASE("A client that waits for 100 Continue gets it", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  FetchOptions options = Get(server, "/x");
  options.method = "POST";
  options.body = "body";
  options.fields.push_back({"Expect", "100-continue"});
  CHECK(reactor.RunUntilDone(Fetch(options))->body == "POST /x  body");
}

// A server that says exactly `wire` and closes.
base::Task<void> Say(StreamPtr stream, std::string wire) {
  const Input request = co_await stream->Read(kPatience);
  absl::Status sent = co_await stream->Write(wire);
  co_await stream->Shutdown(absl::ZeroDuration());
}

absl::StatusOr<HttpResponse> FetchFrom(const std::string& wire) {
  Reactor reactor(Quick());
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("127.0.0.1:0");
  auto listener = Listener::Start(
      &reactor, options, [&](StreamPtr stream) { base::Spawn(Say(std::move(stream), wire)); });
  FetchOptions fetch;
  fetch.url = "http://localhost/";
  fetch.to = (*listener)->endpoint();
  fetch.limits.body_bytes = 1000;
  fetch.timeout = kPatience;
  return reactor.RunUntilDone(Fetch(fetch));
}

TEST_CASE("Fetch understands lengths, chunks, ends and interim answers", "[net][http]") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  CHECK(FetchFrom(ok + "Content-Length: 3\r\n\r\nabc")->body == "abc");
  CHECK(FetchFrom(ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")->body ==
        "abc");
  CHECK(FetchFrom(ok + "\r\nuntil the end")->body == "until the end");
  CHECK(FetchFrom("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx")
            ->body == "x");
  CHECK(FetchFrom("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")->status == 404);
}

TEST_CASE("Fetch fails on what is cut short, too large, or no HTTP", "[net][http]") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  CHECK(absl::IsDataLoss(FetchFrom(ok + "Content-Length: 5\r\n\r\nabc").status()));
  CHECK(absl::IsDataLoss(FetchFrom(ok + "Content-Le").status()));
  CHECK(absl::IsDataLoss(FetchFrom("").status()));
  CHECK(absl::IsDataLoss(FetchFrom("220 mail.example ESMTP\r\n\r\n").status()));
  CHECK(absl::IsResourceExhausted(FetchFrom(ok + "Content-Length: 1001\r\n\r\n").status()));
  CHECK(absl::IsResourceExhausted(FetchFrom(ok + "\r\n" + std::string(1001, 'x')).status()));
}

// Beast waits for the end of a chunk's line, and of the trailer, however much it is given: all of
// it was kept, without a bound. Who answers is whoever has a domain that mail is sent to.
TEST_CASE("RFC 9112 §7.1: Fetch bounds the line of a chunk and the trailer", "[net][http]") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const size_t over = HttpLimits().header_bytes + 1;
  CHECK(absl::IsResourceExhausted(FetchFrom(head + "1;" + std::string(over, 'a')).status()));
  CHECK(absl::IsResourceExhausted(FetchFrom(head + std::string(over, '0')).status()));
  std::string trailer;
  while (trailer.size() < over) trailer += "X-Trailer: value\r\n";
  CHECK(absl::IsResourceExhausted(FetchFrom(head + "0\r\n" + trailer).status()));
  CHECK(FetchFrom(head + "1;a=b\r\nx\r\n0\r\nX-Trailer: value\r\n\r\n")->body == "x");
}

base::Task<std::string> DrainTest(Reactor* reactor, const Server* server) {
  ConnectOptions options;
  options.to = server->endpoint();
  auto stream = co_await Connect(options);
  Reader reader(stream->get());
  absl::Status sent = co_await (*stream)->Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto line = co_await reader.ReadLine();
  reactor->WakeAll();
  auto rest = co_await reader.ReadToEnd();
  co_return *line;
}

TEST_CASE("A wake ends an idle keep-alive connection", "[net][http]") {
  Reactor reactor;
  Server server(&reactor);
  CHECK(reactor.RunUntilDone(DrainTest(&reactor, &server)) == "HTTP/1.1 200 OK");
}

TEST_CASE("A server that does not answer ends in DeadlineExceeded", "[net][http]") {
  Reactor reactor(Quick());
  ListenOptions options;
  options.endpoint = *Endpoint::Parse("127.0.0.1:0");
  std::vector<StreamPtr> kept;
  auto listener = Listener::Start(&reactor, options,
                                  [&](StreamPtr stream) { kept.push_back(std::move(stream)); });
  FetchOptions fetch;
  fetch.url = "http://localhost/";
  fetch.to = (*listener)->endpoint();
  fetch.timeout = absl::Milliseconds(50);
  CHECK(absl::IsDeadlineExceeded(reactor.RunUntilDone(Fetch(fetch)).status()));
}

// --- HttpService: bodies that are never whole.

// Pieces of text, then the end or an error.
class Pieces : public BodySource {
 public:
  explicit Pieces(std::vector<std::string> pieces, absl::Status end = absl::OkStatus())
      : pieces_(std::move(pieces)), end_(std::move(end)) {}
  base::Task<absl::StatusOr<std::string>> Next() override {
    if (at_ < pieces_.size()) co_return pieces_[at_++];
    if (!end_.ok()) co_return end_;
    co_return std::string();
  }

 private:
  std::vector<std::string> pieces_;
  absl::Status end_;
  size_t at_ = 0;
};

// Says nothing until its reader is gone.
class Silence : public BodySource {
 public:
  explicit Silence(bool* gone) : gone_(gone) {}
  base::Task<absl::StatusOr<std::string>> Next() override {
    if (!std::exchange(begun_, true)) co_return std::string("begun");
    bool ended = co_await ended_;
    static_cast<void>(ended);
    co_return std::string();
  }
  void OnPeerGone() override {
    *gone_ = true;
    ended_.Set(true);
  }

 private:
  bool* gone_;
  bool begun_ = false;
  base::Completion<bool> ended_;
};

class TestService : public HttpService {
 public:
  uint64_t BodyLimit(const HttpRequest& head) override {
    return head.path() == "/small" ? 10 : 1 << 30;
  }
  base::Task<HttpResponse> Handle(const HttpRequest& request, HttpBody* body) override {
    HttpResponse response;
    if (request.path() == "/unread") co_return HttpResponse::Text(403, "no");
    if (request.path() == "/sized") {
      response.source = std::make_shared<Pieces>(std::vector<std::string>{"abc", "def"});
      response.source_size = 6;
      co_return response;
    }
    if (request.path() == "/chunks" || request.path() == "/cut") {
      response.source = std::make_shared<Pieces>(
          std::vector<std::string>{"abc", std::string(20, 'x')},
          request.path() == "/cut" ? base::DataLoss("cut") : absl::OkStatus());
      co_return response;
    }
    if (request.path() == "/silence") {
      response.source = std::make_shared<Silence>(&gone);
      co_return response;
    }
    size_t size = 0;
    size_t largest = 0;
    while (true) {
      auto piece = co_await body->Next();
      if (!piece.ok()) co_return BadBody(piece.status());
      if (piece->empty()) break;
      size += piece->size();
      largest = std::max(largest, piece->size());
    }
    co_return HttpResponse::Text(200, std::to_string(size) + (largest < 100'000 ? " small" : ""));
  }

  bool gone = false;
};

// A TestService on the reactor of the test.
struct Streaming {
  explicit Streaming(Reactor* reactor) {
    ListenOptions options;
    options.endpoint = *Endpoint::Parse("127.0.0.1:0");
    listener = Listener::Start(reactor, options, [this](StreamPtr stream) {
                 base::Spawn(ServeHttp(std::move(stream), &service, HttpLimits()));
               }).value();
  }
  std::string Ask(Reactor* reactor, std::string wire) {
    return reactor->RunUntilDone(Raw(listener->endpoint(), std::move(wire)));
  }

  TestService service;
  std::unique_ptr<Listener> listener;
};

TEST_CASE("A long body is read in pieces, in either form", "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  FetchOptions options;
  options.url = "http://localhost/";
  options.to = server.listener->endpoint();
  options.method = "POST";
  options.body = std::string(3'000'000, 'b');
  const auto got = reactor.RunUntilDone(Fetch(options));
  REQUIRE(got.ok());
  CHECK(got->body == "3000000 small");
  const std::string chunked = server.Ask(
      &reactor,
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  CHECK(chunked.find("\r\n\r\n5 small") != std::string::npos);
}

TEST_CASE("A body over its limit is refused: announced unread, in chunks where it goes over",
          "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  CHECK(server.Ask(&reactor, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
            .starts_with("HTTP/1.1 413"));
  CHECK(server
            .Ask(&reactor,
                 "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
            .starts_with("HTTP/1.1 413"));
}

TEST_CASE("RFC 9112 §7.1.1: a server bounds the line of a chunk and the trailer", "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const size_t over = HttpLimits().header_bytes + 1;
  CHECK(server.Ask(&reactor, head + "1;" + std::string(over, 'a')).starts_with("HTTP/1.1 413"));
  std::string trailer = "0\r\n";
  while (trailer.size() < over) trailer += "X-Trailer: value\r\n";
  CHECK(server.Ask(&reactor, head + trailer).starts_with("HTTP/1.1 413"));
  // An octet a chunk with a long line each is slow, not large.
  std::string wasteful =
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) wasteful += "1;" + std::string(10'000, 'a') + "\r\nx\r\n";
  CHECK(server.Ask(&reactor, wasteful + "0\r\n\r\n").find("\r\n\r\n20 small") != std::string::npos);
}

// What was not read would be taken for the next request.
TEST_CASE("A body that nobody reads ends the connection", "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  const std::string answer = server.Ask(
      &reactor, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nGET / HTTP/1.1");
  CHECK(answer.starts_with("HTTP/1.1 403"));
  CHECK(answer.find("Connection: close") != std::string::npos);
  CHECK(answer.find("HTTP/1.1 200") == std::string::npos);
  // One that is here already goes with its request, and the connection stays.
  const std::string both =
      server.Ask(&reactor,
                 "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                 "GET /sized HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(both.find("abcdef") != std::string::npos);
}

TEST_CASE("A client that waits is told to go on when the body is wanted, not before",
          "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  const std::string head = "Host: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n";
  CHECK(server.Ask(&reactor, "POST /unread HTTP/1.1\r\n" + head).starts_with("HTTP/1.1 403"));
  CHECK(
      server
          .Ask(&reactor, "POST / HTTP/1.1\r\nConnection: close\r\n" + head + std::string(100, 'x'))
          .find("100 small") != std::string::npos);
}

TEST_CASE("Answers that are made while they are sent", "[net][http]") {
  Reactor reactor;
  Streaming server(&reactor);
  const std::string close = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string sized = server.Ask(&reactor, "GET /sized" + close);
  CHECK(sized.find("Content-Length: 6\r\n") != std::string::npos);
  CHECK(sized.ends_with("\r\n\r\nabcdef"));
  const std::string head = server.Ask(&reactor, "HEAD /sized" + close);
  CHECK(head.find("Content-Length: 6\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  const std::string chunks = server.Ask(&reactor, "GET /chunks" + close);
  CHECK(chunks.find("Transfer-Encoding: chunked") != std::string::npos);
  CHECK(chunks.ends_with("3\r\nabc\r\n14\r\n" + std::string(20, 'x') + "\r\n0\r\n\r\n"));
  // A body that breaks off must not look whole.
  CHECK_FALSE(server.Ask(&reactor, "GET /cut" + close).ends_with("0\r\n\r\n"));
}

TEST_CASE("Whoever waits for something to say learns that nobody listens", "[net][http]") {
  Reactor reactor(Quick());
  Streaming server(&reactor);
  reactor.RunUntilDone([](Endpoint to) -> base::Task<bool> {
    ConnectOptions options;
    options.to = to;
    auto stream = co_await Connect(options);
    absl::Status sent = co_await (*stream)->Write("GET /silence HTTP/1.1\r\nHost: x\r\n\r\n");
    const Input input = co_await (*stream)->Read(kPatience);
    (*stream)->Close();
    co_return sent.ok() && input.event == Ready::kReadable;
  }(server.listener->endpoint()));
  for (int i = 0; i < 500 && !server.service.gone; ++i) {
    reactor.RunUntilDone(reactor.Sleep(absl::Milliseconds(10)));
  }
  CHECK(server.service.gone);
}

}  // namespace
}  // namespace godwit::net

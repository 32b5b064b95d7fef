#include "libs/net/http.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdio>
#include <optional>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/net/connector.h"

// Beast parses; waiting, limits in time and writing are ours. It is compiled here and nowhere else.

namespace godwit::net {
namespace {

namespace http = boost::beast::http;

// A body as a string that is taken away while it grows: Beast's own sets the announced length aside
// at once.
struct PieceBody {
  using value_type = std::string;
  class reader {
   public:
    template <bool kRequest, typename Fields>
    reader(http::header<kRequest, Fields>& /*head*/, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>& /*size*/, boost::system::error_code& error) {
      error = {};
    }
    template <typename Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      const std::size_t before = body_.size();
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer piece(*it);
        body_.append(static_cast<const char*>(piece.data()), piece.size());
      }
      return body_.size() - before;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using RequestParser = http::request_parser<PieceBody>;
using ResponseParser = http::response_parser<http::string_body>;

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

// Nothing of a field may end its line: a value may come from a peer.
std::string OneLine(std::string_view text) {
  std::string clean;
  for (const char c : text) clean.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  return clean;
}

void AppendField(std::string_view name, std::string_view value, std::string* head) {
  *head += OneLine(name);
  *head += ": ";
  *head += OneLine(value);
  *head += "\r\n";
}

template <typename Message>
std::vector<HttpField> Fields(const Message& message) {
  std::vector<HttpField> fields;
  for (const auto& each : message) {
    fields.push_back({std::string(View(each.name_string())), std::string(View(each.value()))});
  }
  return fields;
}

absl::Status ParseError(const boost::system::error_code& error) {
  const std::string text = "HTTP: " + error.message();
  if (error == http::error::body_limit || error == http::error::header_limit ||
      error == http::error::buffer_overflow) {
    return base::ResourceExhausted(text);
  }
  return base::DataLoss(text);
}

// Reads one message into `parser`, from `*held` first; what is behind the message stays there.
template <typename Parser>
class MessageReader {
 public:
  MessageReader(Stream* stream, std::string* held, const HttpLimits& limits)
      : stream_(stream), held_(held), header_bytes_(limits.header_bytes) {
    parser_.header_limit(static_cast<uint32_t>(limits.header_bytes));
    parser_.body_limit(limits.body_bytes);
    parser_.eager(true);
  }

  // Stops behind the head, until TakeBody().
  void HeadFirst() {
    parser_.body_limit(boost::none);
    parser_.eager(false);
  }
  void TakeBody(uint64_t limit) {
    parser_.body_limit(limit);
    parser_.eager(true);
  }
  // Gives the parser what is held. True: the head is complete.
  absl::StatusOr<bool> FeedHead() {
    GODWIT_RETURN_IF_ERROR(Put([this] { return parser_.is_header_done(); }));
    return parser_.is_header_done();
  }

  Parser& parser() { return parser_; }
  // Wake() was called meanwhile.
  bool woken() const { return woken_; }

  // Gives the parser what is held. True: the message is complete.
  absl::StatusOr<bool> Feed() {
    GODWIT_RETURN_IF_ERROR(Put([this] { return parser_.is_done(); }));
    return parser_.is_done();
  }

  // The stream has ended. DataLoss when the message has not.
  absl::Status FeedEnd() {
    boost::system::error_code error;
    // Beast asserts that there was a first byte.
    if (parser_.got_some()) parser_.put_eof(error);
    if (!error && parser_.is_done()) return absl::OkStatus();
    return base::DataLoss("HTTP: the message was cut short");
  }

  // Reads more, until `deadline`. OutOfRange at the end of the stream.
  base::Task<absl::Status> ReadMore(absl::Duration deadline) {
    while (true) {
      const absl::Duration left = deadline - stream_->reactor()->Now();
      if (left <= absl::ZeroDuration()) break;
      const Input input = co_await stream_->Read(left);
      if (input.event == Ready::kTimeout) break;
      if (input.event == Ready::kClosed) co_return input.status;
      if (input.event == Ready::kWoken) {
        woken_ = true;
        continue;
      }
      *held_ += input.bytes();
      co_return absl::OkStatus();
    }
    co_return base::DeadlineExceeded("HTTP message too slow");
  }

 private:
  // Until `done`, or the parser wants more than is held.
  template <typename Done>
  absl::Status Put(Done done) {
    boost::system::error_code error;
    while (!held_->empty() && !done() && !error) {
      const size_t used = parser_.put(boost::asio::buffer(*held_), error);
      held_->erase(0, used);
      if (used == 0 && !error) break;
    }
    if (error && error != http::error::need_more) return ParseError(error);
    // RFC 9112 §7.1.1: a server ought to limit chunk extensions. Beast bounds the head only: it
    // waits for the end of a chunk's line, and for that of the trailer, as long as it takes.
    if (!done() && held_->size() > header_bytes_) {
      return base::ResourceExhausted("HTTP: chunk line or trailer too large");
    }
    return absl::OkStatus();
  }

  Stream* stream_;
  std::string* held_;
  const size_t header_bytes_;
  Parser parser_;
  bool woken_ = false;
};

// --- Server
// ---------------------------------------------------------------------------------------

using RequestReader = MessageReader<RequestParser>;

// Whole requests for an HttpHandler.
class WholeRequests : public HttpService {
 public:
  WholeRequests(const HttpHandler* handler, uint64_t limit) : handler_(handler), limit_(limit) {}

  uint64_t BodyLimit(const HttpRequest& /*head*/) override { return limit_; }
  base::Task<HttpResponse> Handle(const HttpRequest& request, HttpBody* body) override {
    auto text = co_await ReadBody(body);
    if (!text.ok()) co_return BadBody(text.status());
    HttpRequest whole = request;
    whole.body = *std::move(text);
    HttpResponse response = co_await (*handler_)(whole);
    co_return response;
  }

 private:
  const HttpHandler* handler_;
  const uint64_t limit_;
};

class ServerConnection {
 public:
  ServerConnection(std::unique_ptr<Stream> stream, HttpService* service, const HttpLimits& limits)
      : stream_(std::move(stream)), service_(service), limits_(limits) {}

  base::Task<void> Run();

 private:
  class Body;
  struct PeerWatch {
    bool stop = false;
    base::Completion<bool> ended;
  };

  base::Task<bool> WaitForRequest();
  // False when the connection is to end.
  base::Task<bool> ServeOne();
  base::Task<absl::Status> ReadHead(RequestReader* reader, absl::Duration deadline);
  base::Task<absl::Status> Answer(HttpResponse response, bool keep_alive, bool head);
  base::Task<absl::Status> SendSized(const HttpResponse* response, uint64_t size);
  base::Task<absl::Status> SendChunks(const HttpResponse* response);
  base::Task<void> WatchPeer(BodySource* source, PeerWatch* watch);
  base::Task<void> Refuse(absl::Status why);

  std::unique_ptr<Stream> stream_;
  HttpService* service_;
  const HttpLimits limits_;
  std::string held_;
};

// Reads on as the service asks.
class ServerConnection::Body : public HttpBody {
 public:
  Body(ServerConnection* connection, RequestReader* reader, absl::Duration begin)
      : connection_(connection), reader_(reader), begin_(begin) {}

  base::Task<absl::StatusOr<std::string>> Next() override {
    while (status_.ok()) {
      const auto done = reader_->Feed();
      if (!done.ok()) status_ = done.status();
      std::string piece = std::exchange(reader_->parser().get().body(), {});
      received_ += piece.size();
      if (!piece.empty()) co_return piece;
      if (!status_.ok() || *done) break;
      absl::Status more = co_await ReadMore();
      status_.Update(more);
    }
    if (!status_.ok()) co_return status_;
    co_return std::string();
  }

  // All of it has been taken from the connection, reading no more than what is there already.
  bool Finished() {
    if (!status_.ok()) return false;
    const auto done = reader_->Feed();
    return done.ok() && *done;
  }

 private:
  base::Task<absl::Status> ReadMore() {
    if (!std::exchange(continued_, true)) {
      absl::Status sent = co_await Continue();
      if (!sent.ok()) co_return sent;
    }
    const HttpLimits& limits = connection_->limits_;
    const absl::Duration deadline =
        begin_ + limits.message_timeout +
        absl::Seconds(static_cast<double>(received_) / limits.body_rate);
    absl::Status more = co_await reader_->ReadMore(deadline);
    co_return more;
  }

  // RFC 9110 §10.1.1: the client may wait for this before it sends the body.
  base::Task<absl::Status> Continue() {
    const auto expect = View(reader_->parser().get()[http::field::expect]);
    if (!base::EqualsIgnoreCase(expect, "100-continue")) co_return absl::OkStatus();
    absl::Status sent = co_await connection_->stream_->Write("HTTP/1.1 100 Continue\r\n\r\n");
    co_return sent;
  }

  ServerConnection* connection_;
  RequestReader* reader_;
  const absl::Duration begin_;
  uint64_t received_ = 0;
  bool continued_ = false;
  absl::Status status_;
};

base::Task<void> ServerConnection::Run() {
  while (true) {
    const bool more = co_await WaitForRequest();
    if (!more) break;
    const bool keep = co_await ServeOne();
    if (!keep) break;
  }
  co_await stream_->Shutdown(absl::Seconds(1));
}

base::Task<bool> ServerConnection::WaitForRequest() {
  if (!held_.empty()) co_return true;
  const Input input = co_await stream_->Read(limits_.idle_timeout);
  if (input.event != Ready::kReadable) co_return false;
  held_ += input.bytes();
  co_return true;
}

base::Task<absl::Status> ServerConnection::ReadHead(RequestReader* reader,
                                                    absl::Duration deadline) {
  while (true) {
    const auto done = reader->FeedHead();
    if (!done.ok()) co_return done.status();
    if (*done) co_return absl::OkStatus();
    absl::Status more = co_await reader->ReadMore(deadline);
    if (!more.ok()) co_return more;
  }
}

HttpRequest RequestOf(const http::request<PieceBody>& message, const Stream& stream) {
  HttpRequest request;
  request.method = View(message.method_string());
  request.target = View(message.target());
  request.fields = Fields(message);
  request.peer = stream.peer();
  request.tls = stream.is_tls();
  return request;
}

base::Task<bool> ServerConnection::ServeOne() {
  RequestReader reader(stream_.get(), &held_, limits_);
  reader.HeadFirst();
  const absl::Duration begin = stream_->reactor()->Now();
  absl::Status read = co_await ReadHead(&reader, begin + limits_.message_timeout);
  if (!read.ok()) {
    co_await Refuse(read);
    co_return false;
  }
  const auto& message = reader.parser().get();
  // RFC 9112 §3.2: an HTTP/1.1 request without exactly one Host is refused.
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    co_await Refuse(base::DataLoss("no Host, or several"));
    co_return false;
  }
  const HttpRequest request = RequestOf(message, *stream_);
  const uint64_t limit = service_->BodyLimit(request);
  if (reader.parser().content_length().value_or(0) > limit) {
    co_await Refuse(base::ResourceExhausted("HTTP: body too large"));
    co_return false;
  }
  reader.TakeBody(limit);
  Body body(this, &reader, begin);
  HttpResponse response = co_await service_->Handle(request, &body);
  const bool endless = response.source != nullptr && !response.source_size;
  const bool keep_alive = !endless && body.Finished() && message.keep_alive() && !reader.woken();
  absl::Status sent = co_await Answer(std::move(response), keep_alive, request.method == "HEAD");
  co_return sent.ok() && keep_alive;
}

base::Task<absl::Status> ServerConnection::Answer(HttpResponse response, bool keep_alive,
                                                  bool head) {
  const auto reason = View(http::obsolete_reason(static_cast<http::status>(response.status)));
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
  text += reason;
  text += "\r\n";
  for (const HttpField& each : response.fields) AppendField(each.name, each.value, &text);
  // RFC 9110 §8.6: none with 1xx and 204, and with 304 it would have to be that of a 200.
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  const bool chunked = response.source != nullptr && !response.source_size;
  const uint64_t size =
      response.source != nullptr ? response.source_size.value_or(0) : response.body.size();
  if (has_body && chunked) AppendField("Transfer-Encoding", "chunked", &text);
  if (has_body && !chunked) AppendField("Content-Length", std::to_string(size), &text);
  if (!keep_alive) AppendField("Connection", "close", &text);
  text += "\r\n";
  std::vector<std::string_view> pieces = {text};
  if (has_body && !head && response.source == nullptr) pieces.push_back(response.body);
  absl::Status sent = co_await stream_->WritePieces(std::move(pieces));
  if (!sent.ok() || !has_body || head || response.source == nullptr) co_return sent;
  if (chunked) {
    sent = co_await SendChunks(&response);
  } else {
    sent = co_await SendSized(&response, size);
  }
  co_return sent;
}

base::Task<absl::Status> ServerConnection::SendSized(const HttpResponse* response, uint64_t size) {
  while (size > 0) {
    auto piece = co_await response->source->Next();
    if (!piece.ok()) co_return piece.status();
    if (piece->empty() || piece->size() > size) {
      co_return base::Internal("HTTP: a body has another size than was said");
    }
    size -= piece->size();
    absl::Status sent = co_await stream_->Write(*piece);
    if (!sent.ok()) co_return sent;
  }
  co_return absl::OkStatus();
}

// RFC 9112 §7.1. Whoever waits for events learns only from the watch that nobody listens any more.
base::Task<absl::Status> ServerConnection::SendChunks(const HttpResponse* response) {
  PeerWatch watch;
  base::Spawn(WatchPeer(response->source.get(), &watch));
  absl::Status status;
  while (status.ok()) {
    auto piece = co_await response->source->Next();
    status = piece.status();
    if (!status.ok()) break;
    char size[24];
    const int length = snprintf(size, sizeof size, "%zx\r\n", piece->size());
    const std::string chunk = std::string(size, static_cast<size_t>(length)) + *piece + "\r\n";
    status = co_await stream_->Write(chunk);
    if (piece->empty()) break;
  }
  watch.stop = true;
  stream_->Wake();
  co_await watch.ended;
  co_return status;
}

base::Task<void> ServerConnection::WatchPeer(BodySource* source, PeerWatch* watch) {
  while (!watch->stop) {
    const Input input = co_await stream_->Read(absl::InfiniteDuration());
    if (input.event == Ready::kTimeout) continue;
    // What a client sends now is not read again: the connection ends with this answer.
    if (input.event == Ready::kReadable) continue;
    break;
  }
  if (!watch->stop) source->OnPeerGone();
  watch->ended.Set(true);
}

base::Task<void> ServerConnection::Refuse(absl::Status why) {
  int status = 0;
  if (absl::IsDataLoss(why)) status = 400;
  if (absl::IsDeadlineExceeded(why)) status = 408;
  if (absl::IsResourceExhausted(why)) {
    status = base::Message(why).find("body") != std::string_view::npos ? 413 : 431;
  }
  if (status == 0) co_return;  // the connection is gone
  absl::Status ignored = co_await Answer(HttpResponse::Text(status, "refused\n"), false, false);
}

// --- Client
// ---------------------------------------------------------------------------------------

struct Url {
  bool tls = false;
  std::string authority;  // for Host
  std::string host;       // without port and brackets
  std::string target;
};

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  Url url;
  const size_t scheme = text.find("://");
  if (scheme == text.npos) return base::InvalidArgument("not a URL");
  url.tls = text.substr(0, scheme) == "https";
  if (!url.tls && text.substr(0, scheme) != "http") {
    return base::InvalidArgument("only http and https are known");
  }
  text.remove_prefix(scheme + 3);
  text = text.substr(0, text.find('#'));
  const size_t path = std::min(text.find_first_of("/?"), text.size());
  url.authority = text.substr(0, path);
  url.target = text.substr(path);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const bool clean =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 32 && c < 127; });
  if (!clean || url.authority.empty() || url.authority.find('@') != std::string::npos) {
    return base::InvalidArgument("bad URL");
  }
  const size_t bracket = url.authority.rfind(']');
  const size_t colon = url.authority.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  url.host = url.authority.substr(0, has_port ? colon : std::string::npos);
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  return url;
}

std::string RequestHead(const FetchOptions& options, const Url& url) {
  std::string head = OneLine(options.method) + " " + url.target + " HTTP/1.1\r\n";
  AppendField("Host", url.authority, &head);
  for (const HttpField& each : options.fields) AppendField(each.name, each.value, &head);
  // RFC 9110 §8.6: a method that usually has a body tells its length even when it is zero.
  if (!options.body.empty() || options.method == "POST" || options.method == "PUT") {
    AppendField("Content-Length", std::to_string(options.body.size()), &head);
  }
  AppendField("Connection", "close", &head);
  return head + "\r\n";
}

// One message up to `deadline`; interim (1xx) answers are for the caller to skip.
base::Task<absl::Status> ReadResponse(MessageReader<ResponseParser>* reader,
                                      absl::Duration deadline) {
  while (true) {
    const auto done = reader->Feed();
    if (!done.ok()) co_return done.status();
    if (*done) co_return absl::OkStatus();
    absl::Status more = co_await reader->ReadMore(deadline);
    if (more.ok()) continue;
    if (!absl::IsOutOfRange(more)) co_return more;
    // RFC 9112 §8: without a length the end of the connection ends the body; with one it cuts it.
    co_return reader->FeedEnd();
  }
}

base::Task<absl::StatusOr<HttpResponse>> ReadFinalResponse(Stream* stream,
                                                           const FetchOptions* options,
                                                           absl::Duration deadline) {
  std::string held;
  while (true) {
    MessageReader<ResponseParser> reader(stream, &held, options->limits);
    if (options->method == "HEAD") reader.parser().skip(true);
    absl::Status read = co_await ReadResponse(&reader, deadline);
    if (!read.ok()) co_return read;
    auto message = reader.parser().release();
    // RFC 9110 §15.2: any number of interim answers may come first.
    if (message.result_int() / 100 == 1) continue;
    HttpResponse response;
    response.status = static_cast<int>(message.result_int());
    response.fields = Fields(message);
    response.body = std::move(message.body());
    co_return response;
  }
}

}  // namespace

std::string_view FindField(const std::vector<HttpField>& fields, std::string_view name) {
  for (const HttpField& each : fields) {
    if (base::EqualsIgnoreCase(each.name, name)) return each.value;
  }
  return {};
}

std::string_view HttpRequest::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

HttpResponse HttpResponse::Text(int status, std::string_view body) {
  HttpResponse response;
  response.status = status;
  response.fields.push_back({"Content-Type", "text/plain; charset=utf-8"});
  response.body = body;
  return response;
}

base::Task<void> ServeHttp(std::unique_ptr<Stream> stream, const HttpHandler* handler,
                           HttpLimits limits) {
  WholeRequests service(handler, limits.body_bytes);
  ServerConnection connection(std::move(stream), &service, limits);
  co_await connection.Run();
}

base::Task<void> ServeHttp(std::unique_ptr<Stream> stream, HttpService* service,
                           HttpLimits limits) {
  ServerConnection connection(std::move(stream), service, limits);
  co_await connection.Run();
}

base::Task<absl::StatusOr<std::string>> ReadBody(HttpBody* body) {
  std::string all;
  while (true) {
    auto piece = co_await body->Next();
    if (!piece.ok()) co_return piece.status();
    if (piece->empty()) co_return all;
    all += *piece;
  }
}

HttpResponse BadBody(const absl::Status& why) {
  if (absl::IsDataLoss(why)) return HttpResponse::Text(400, "refused\n");
  if (absl::IsDeadlineExceeded(why)) return HttpResponse::Text(408, "refused\n");
  if (absl::IsResourceExhausted(why)) return HttpResponse::Text(413, "refused\n");
  return HttpResponse::Text(500, "refused\n");
}

base::Task<absl::StatusOr<HttpResponse>> Fetch(FetchOptions options) {
  const auto url = ParseUrl(options.url);
  if (!url.ok()) co_return url.status();
  if (url->tls && !options.tls) co_return base::InvalidArgument("https wants a TLS context");
  const absl::Duration deadline = Reactor::Current()->Now() + options.timeout;
  ConnectOptions to;
  to.to = options.to;
  to.timeout = options.timeout;
  auto connected = co_await Connect(to);
  if (!connected.ok()) co_return connected.status();
  Stream* stream = connected->get();
  stream->set_write_timeout(options.timeout);
  if (url->tls) {
    absl::Status secured = co_await stream->StartTlsClient(options.tls, url->host,
                                                           deadline - stream->reactor()->Now());
    if (!secured.ok()) co_return secured;
  }
  const std::string head = RequestHead(options, *url);
  std::vector<std::string_view> pieces = {head, options.body};
  absl::Status sent = co_await stream->WritePieces(std::move(pieces));
  // A server may answer (413, 401) and close before it has read all: its answer counts.
  if (!sent.ok() && !absl::IsUnavailable(sent)) co_return sent;
  auto response = co_await ReadFinalResponse(stream, &options, deadline);
  co_return response;
}

}  // namespace godwit::net

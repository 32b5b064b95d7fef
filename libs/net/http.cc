#include "libs/net/http.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/net/connector.h"

// Beast parses; waiting, limits in time and writing are ours. It is compiled here and nowhere else.

namespace godwit::net {
namespace {

namespace http = boost::beast::http;
using RequestParser = http::request_parser<http::string_body>;
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
      : stream_(stream), held_(held) {
    parser_.header_limit(static_cast<uint32_t>(limits.header_bytes));
    parser_.body_limit(limits.body_bytes);
    parser_.eager(true);
  }

  Parser& parser() { return parser_; }
  // Wake() was called meanwhile.
  bool woken() const { return woken_; }

  // Gives the parser what is held. True: the message is complete.
  absl::StatusOr<bool> Feed() {
    boost::system::error_code error;
    while (!held_->empty() && !parser_.is_done() && !error) {
      const size_t used = parser_.put(boost::asio::buffer(*held_), error);
      held_->erase(0, used);
      if (used == 0 && !error) break;
    }
    if (error && error != http::error::need_more) return ParseError(error);
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
  Stream* stream_;
  std::string* held_;
  Parser parser_;
  bool woken_ = false;
};

// --- Server
// ---------------------------------------------------------------------------------------

class ServerConnection {
 public:
  ServerConnection(std::unique_ptr<Stream> stream, const HttpHandler* handler,
                   const HttpLimits& limits)
      : stream_(std::move(stream)), handler_(handler), limits_(limits) {}

  base::Task<void> Run();

 private:
  base::Task<bool> WaitForRequest();
  // False when the connection is to end.
  base::Task<bool> ServeOne();
  base::Task<absl::Status> ReadRequest(MessageReader<RequestParser>* reader);
  base::Task<absl::Status> Continue(const RequestParser& parser);
  base::Task<absl::Status> Answer(HttpResponse response, bool keep_alive, bool head);
  base::Task<void> Refuse(absl::Status why);

  std::unique_ptr<Stream> stream_;
  const HttpHandler* handler_;
  const HttpLimits limits_;
  std::string held_;
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

base::Task<absl::Status> ServerConnection::ReadRequest(MessageReader<RequestParser>* reader) {
  const absl::Duration deadline = stream_->reactor()->Now() + limits_.message_timeout;
  bool continued = false;
  while (true) {
    const auto done = reader->Feed();
    if (!done.ok()) co_return done.status();
    if (*done) co_return absl::OkStatus();
    if (!continued && reader->parser().is_header_done()) {
      continued = true;
      absl::Status sent = co_await Continue(reader->parser());
      if (!sent.ok()) co_return sent;
    }
    absl::Status more = co_await reader->ReadMore(deadline);
    if (!more.ok()) co_return more;
  }
}

// RFC 9110 §10.1.1: the client may wait for this before it sends the body.
base::Task<absl::Status> ServerConnection::Continue(const RequestParser& parser) {
  const auto expect = View(parser.get()[http::field::expect]);
  if (!base::EqualsIgnoreCase(expect, "100-continue")) co_return absl::OkStatus();
  absl::Status sent = co_await stream_->Write("HTTP/1.1 100 Continue\r\n\r\n");
  co_return sent;
}

base::Task<bool> ServerConnection::ServeOne() {
  MessageReader<RequestParser> reader(stream_.get(), &held_, limits_);
  absl::Status read = co_await ReadRequest(&reader);
  if (!read.ok()) {
    co_await Refuse(read);
    co_return false;
  }
  auto message = reader.parser().release();
  // RFC 9112 §3.2: an HTTP/1.1 request without exactly one Host is refused.
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    co_await Refuse(base::DataLoss("no Host, or several"));
    co_return false;
  }
  HttpRequest request;
  request.method = View(message.method_string());
  request.target = View(message.target());
  request.fields = Fields(message);
  request.body = std::move(message.body());
  request.peer = stream_->peer();
  request.tls = stream_->is_tls();
  HttpResponse response = co_await (*handler_)(request);
  const bool keep_alive = message.keep_alive() && !reader.woken();
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
  if (has_body) AppendField("Content-Length", std::to_string(response.body.size()), &text);
  if (!keep_alive) AppendField("Connection", "close", &text);
  text += "\r\n";
  std::vector<std::string_view> pieces = {text};
  if (has_body && !head) pieces.push_back(response.body);
  absl::Status sent = co_await stream_->WritePieces(std::move(pieces));
  co_return sent;
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
  ServerConnection connection(std::move(stream), handler, limits);
  co_await connection.Run();
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

#pragma once

// HTTP/1.1, small: a server for one connection and a client for one request, on our Stream.
// RFC 9110 and 9112 through Boost.Beast's parser; this is the only user of Beast.
//
// Two ways to serve: HttpHandler gets whole requests within a limit (metrics, small pages);
// HttpService decides per request how much body it takes, reads it piece by piece, and may answer
// with a BodySource, so that neither an upload nor a download nor an endless stream of events is
// ever whole in memory. A HEAD answer has no body.
//
//   auto server = net::Listener::Start(&pool, options, [&](std::unique_ptr<net::Stream> stream) {
//     base::Spawn(net::ServeHttp(std::move(stream), &handler, limits));
//   });
//   auto page = co_await net::Fetch({.url = "https://mta-sts.example.org/.well-known/mta-sts.txt",
//                                    .to = address, .tls = context});

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/endpoint.h"
#include "libs/net/stream.h"
#include "libs/net/tls_context.h"

namespace godwit::net {

struct HttpField {
  std::string name;
  std::string value;
};

// The first field of that name, ignoring case; empty when there is none.
std::string_view FindField(const std::vector<HttpField>& fields, std::string_view name);

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // as sent: "/path?query"
  std::vector<HttpField> fields;
  std::string body;
  // Set by the server.
  Endpoint peer;
  bool tls = false;

  std::string_view field(std::string_view name) const { return FindField(fields, name); }
  // The target up to '?'.
  std::string_view path() const;
};

// The body of an answer that is made while it is sent.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // The next octets; "" at the end. The next is asked for when the one before is on its way: that
  // is the backpressure. An error cuts the connection, so that the client sees that the body is not
  // whole.
  virtual base::Task<absl::StatusOr<std::string>> Next() = 0;
  // The client is gone or the stream was woken (drain): a Next() that waits should end soon. Only
  // called for answers without `source_size`.
  virtual void OnPeerGone() {}
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpField> fields;  // Content-Length, Transfer-Encoding and Connection are ours
  std::string body;
  // Instead of `body`. With a size it has exactly that many octets (Content-Length); without one it
  // is sent in chunks, and the connection ends with it.
  std::shared_ptr<BodySource> source;
  std::optional<uint64_t> source_size;

  std::string_view field(std::string_view name) const { return FindField(fields, name); }
  // With Content-Type: text/plain; charset=utf-8.
  static HttpResponse Text(int status, std::string_view body);
};

struct HttpLimits {
  // Start line and fields; also the line of a chunk, and the trailer behind the last one.
  size_t header_bytes = 16 * 1024;
  size_t body_bytes = 1 << 20;
  absl::Duration idle_timeout = absl::Seconds(60);  // between requests
  // From the first byte of a message to its last; the server gives a body this much more for every
  // body_rate * message_timeout octets: a long one may take long, a slow one may not.
  absl::Duration message_timeout = absl::Seconds(30);
  double body_rate = 16 * 1024;  // octets a second
};

// Called on the stream's reactor; the request lives until the task ends.
using HttpHandler = std::function<base::Task<HttpResponse>(const HttpRequest&)>;

// Serves requests until the client closes, is idle too long, asks to close, or breaks a limit (400,
// 408, 413 or 431 and close). Wake() of the stream (drain) ends it after the request in progress.
// `handler` outlives the task.
base::Task<void> ServeHttp(std::unique_ptr<Stream> stream, const HttpHandler* handler,
                           HttpLimits limits);

// The body of a request while it arrives; on the stream's reactor.
class HttpBody {
 public:
  virtual ~HttpBody() = default;
  // What came, at most some 16 KiB; "" at the end, also for a request without body. Errors:
  // ResourceExhausted beyond HttpService::BodyLimit, DeadlineExceeded, DataLoss for a broken
  // message, and those of Stream. After an error, or when not all was read, the connection ends
  // with the answer.
  virtual base::Task<absl::StatusOr<std::string>> Next() = 0;
};

class HttpService {
 public:
  virtual ~HttpService() = default;
  // How much body is taken, when the head has come (`head.body` is empty). Announced to have more,
  // the request is answered with 413 without reading it.
  virtual uint64_t BodyLimit(const HttpRequest& head) = 0;
  // Request and body live until the task ends; HttpRequest::body stays empty.
  virtual base::Task<HttpResponse> Handle(const HttpRequest& request, HttpBody* body) = 0;
};

// As above. `service` outlives the task.
base::Task<void> ServeHttp(std::unique_ptr<Stream> stream, HttpService* service, HttpLimits limits);

// All of a body. Errors as HttpBody's.
base::Task<absl::StatusOr<std::string>> ReadBody(HttpBody* body);
// The answer for a body that could not be read: 400, 408 or 413, else 500.
HttpResponse BadBody(const absl::Status& why);

struct FetchOptions {
  // "http://host[:port]/path" or "https://...". The host is what is asked for (Host, SNI,
  // verification); it is not resolved.
  std::string url;
  // Where to connect: address and port.
  Endpoint to;
  std::string method = "GET";
  std::vector<HttpField> fields;
  std::string body;
  // For https: required.
  std::shared_ptr<TlsContext> tls;
  absl::Duration timeout = absl::Seconds(30);  // for the whole of it
  HttpLimits limits;
};

// One request on a connection of its own; redirects are not followed. Errors: those of Connect()
// and Stream, DeadlineExceeded, ResourceExhausted beyond a limit, InvalidArgument for the URL, and
// DataLoss for an answer that is not HTTP or is cut short. A status of 4xx or 5xx is not an error.
base::Task<absl::StatusOr<HttpResponse>> Fetch(FetchOptions options);

}  // namespace godwit::net

#pragma once

// HTTP/1.1, small: a server for one connection and a client for one request, on our Stream.
// RFC 9110 and 9112 through Boost.Beast's parser and serializer; this is the only user of Beast.
// Bodies are whole strings within a limit; a HEAD answer has none.
//
//   auto server = net::Listener::Start(&pool, options, [&](std::unique_ptr<net::Stream> stream) {
//     base::Spawn(net::ServeHttp(std::move(stream), &handler, limits));
//   });
//   auto page = co_await net::Fetch({.url = "https://mta-sts.example.org/.well-known/mta-sts.txt",
//                                    .to = address, .tls = context});

#include <functional>
#include <memory>
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

struct HttpResponse {
  int status = 200;
  std::vector<HttpField> fields;  // Content-Length and Connection are ours
  std::string body;

  std::string_view field(std::string_view name) const { return FindField(fields, name); }
  // With Content-Type: text/plain; charset=utf-8.
  static HttpResponse Text(int status, std::string_view body);
};

struct HttpLimits {
  size_t header_bytes = 16 * 1024;  // start line and fields
  size_t body_bytes = 1 << 20;
  absl::Duration idle_timeout = absl::Seconds(60);  // between requests
  absl::Duration message_timeout =
      absl::Seconds(30);  // from the first byte of a message to its last
};

// Called on the stream's reactor; the request lives until the task ends.
using HttpHandler = std::function<base::Task<HttpResponse>(const HttpRequest&)>;

// Serves requests until the client closes, is idle too long, asks to close, or breaks a limit (400,
// 408, 413 or 431 and close). Wake() of the stream (drain) ends it after the request in progress.
// `handler` outlives the task.
base::Task<void> ServeHttp(std::unique_ptr<Stream> stream, const HttpHandler* handler,
                           HttpLimits limits);

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

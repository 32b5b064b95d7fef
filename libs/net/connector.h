#pragma once

// Connect: an outgoing TCP connection.
//
//   auto stream = co_await net::Connect({.to = endpoint, .timeout = absl::Seconds(30)});

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/endpoint.h"
#include "libs/net/stream.h"

namespace godwit::net {

struct ConnectOptions {
  Endpoint to;
  absl::Duration timeout = absl::Seconds(30);
  // The address to send from (egress pool); the kernel's choice when empty.
  std::optional<base::IpAddress> from;
};

// On the thread of a reactor, which the stream then belongs to. Unavailable (refused, unreachable,
// reset, no such local address), DeadlineExceeded, ResourceExhausted (no descriptors or ports
// left).
base::Task<absl::StatusOr<std::unique_ptr<Stream>>> Connect(ConnectOptions options);

}  // namespace godwit::net

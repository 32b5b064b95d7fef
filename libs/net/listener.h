#pragma once

// Listener: a TCP port, accepted on every reactor of a pool.
//
// One socket a reactor with SO_REUSEPORT; the kernel spreads connections over them, and a
// connection stays where it was accepted. The handler is called on that reactor's thread.
//
//   net::ListenOptions options;
//   options.endpoint = *net::Endpoint::Parse("*:25");
//   auto listener = net::Listener::Start(&pool, options, [&](std::unique_ptr<net::Stream> stream) {
//     base::Spawn(RunSession(std::move(stream), &server));
//   });
//
// With the PROXY protocol (proxy.h) only the sources listed may connect; anyone else is cut without
// a byte. The handler then sees the real client's address.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/net/endpoint.h"
#include "libs/net/reactor.h"
#include "libs/net/stream.h"

namespace godwit::net {

struct ListenOptions {
  Endpoint endpoint;  // port 0: the kernel chooses, see Listener::endpoint()
  int backlog = 1024;
  // Connections alive at the same time, over all reactors (shared out evenly, at least one each).
  // At the bound we stop accepting; what comes then waits in the kernel's backlog.
  size_t max_connections = 10000;

  // Every connection begins with a PROXY header, v1 or v2, from one of `proxy_sources`.
  bool proxy_protocol = false;
  std::vector<Network> proxy_sources;
  absl::Duration proxy_timeout = absl::Seconds(10);

  // How long accepting rests when the process has no descriptors left.
  absl::Duration exhausted_pause = absl::Seconds(1);
};

// Counters since the start, for the service's metrics; any thread.
struct ListenerStats {
  uint64_t accepted = 0;
  uint64_t open = 0;             // alive now
  uint64_t proxy_refused = 0;    // source not listed
  uint64_t proxy_malformed = 0;  // no or bad header, or too slow
  uint64_t exhausted = 0;        // accept() failed for want of descriptors or memory
  uint64_t at_bound = 0;         // times that max_connections stopped accepting
};

class Listener {
 public:
  // Called on the thread of stream->reactor(); from several threads at the same time.
  using Handler = std::function<void(std::unique_ptr<Stream>)>;

  // AlreadyExists when the port is taken (by this or another process), PermissionDenied for a
  // privileged port, Unavailable for an address that is not ours, InvalidArgument for
  // proxy_protocol without sources. Not from a reactor's thread. Handler and everything it uses
  // must live until Close() has returned.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(ReactorPool* pool, ListenOptions options,
                                                         Handler handler);
  // The same on one reactor, running on another thread or not yet running.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(Reactor* reactor, ListenOptions options,
                                                         Handler handler);
  ~Listener();  // Close()

  // With the port that was chosen.
  const Endpoint& endpoint() const { return endpoint_; }

  // Stops accepting but keeps the port; any thread; takes effect soon.
  void Pause();
  void Resume();
  // Closes the port (drain); open connections live on. Any thread; takes effect soon. No handler
  // begins after the reactors have seen it.
  void Close();

  ListenerStats stats() const;

 private:
  class Acceptor;
  Listener() = default;
  static absl::StatusOr<std::unique_ptr<Listener>> StartOn(const std::vector<Reactor*>& reactors,
                                                           ListenOptions options, Handler handler);
  Endpoint endpoint_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
};

}  // namespace godwit::net

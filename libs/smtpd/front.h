#pragma once

// Front: everything of a daemon that speaks SMTP to clients: its listeners, all connections, and
// their end. The daemon gives Handlers (transaction.h); the protocol is smtp::ServerSession.
//
//   smtpd::Front front(reactors, options);
//   front.Listen(listen_options, {.smtp = ..., .tls = context, .new_handler = ...});
//   ...
//   front.Drain(grace);                        // then stop the reactors
//
// Timeouts: for a command, for the next octets of data, for all of a message's data, for logging
// in, for the session (RFC 5321 §4.5.3.2). When the daemon drains, a session ends with 421 as soon
// as it is idle, and at the end of the grace period with 421 wherever a reply may stand; only in
// the midst of data the connection just ends.
//
// Where a Profile has limits for clients (libs/limit), who comes too often is told 421 at once, or,
// where TLS would have to come first, cut without a word; and replies to those who were refused
// much wait, by a timer.
//
// It outlives its connections: destroy it after the reactors have stopped.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/limit/clients.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/net/tls_context.h"
#include "libs/obs/metrics.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/transaction.h"

namespace godwit::smtpd {

struct FrontOptions {
  // One more is told 421.
  int64_t max_sessions = 5000;
  // A session that has not authenticated by then ends with 421: for daemons that want a login.
  absl::Duration before_login = absl::InfiniteDuration();
  // For a whole command, however slowly its octets come.
  absl::Duration command_timeout = absl::Minutes(5);
  absl::Duration data_block_timeout = absl::Minutes(3);
  absl::Duration data_total = absl::Minutes(30);
  absl::Duration session_total = absl::Hours(2);
  absl::Duration handshake_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Minutes(2);
  const base::Clock* clock = base::Clock::System();
  base::RandomSource* random = base::RandomSource::System();
  // The daemon's metrics: open now; by result, "accepted" and "refused"; "ok" and "failed".
  obs::Gauge* sessions = nullptr;
  obs::CounterFamily* connections = nullptr;
  obs::CounterFamily* handshakes = nullptr;
  // By reason: smtp::ServerSession::cut() but "refused" and "drain", and "command-time",
  // "data-silence", "data-time", "session-time"; "login-time" where before_login is set.
  obs::CounterFamily* cuts = nullptr;
  // Only where a Profile has `clients`: connections turned away, by limit::Admission::refused_by;
  // replies that had to wait.
  obs::CounterFamily* limited = nullptr;
  obs::Counter* slowed = nullptr;
};

// What the clients of one listener meet.
struct Profile {
  // Called for each connection. STARTTLS, `tls` and `id` follow from what stands below.
  std::function<smtp::ServerOptions()> smtp;
  std::shared_ptr<net::TlsContext> tls;    // null: none
  bool implicit_tls = false;               // TLS from the first octet
  limit::ClientLimits* clients = nullptr;  // null: none
  std::function<std::unique_ptr<Handler>()> new_handler;
};

class Front {
 public:
  // All that `options` point to outlives it.
  Front(net::ReactorPool* reactors, FrontOptions options);
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Errors: net::Listener's.
  absl::Status Listen(net::ListenOptions listen, Profile profile);
  // Where it listens, in the order of Listen(): for tests with port 0.
  std::vector<net::Endpoint> endpoints() const;
  int64_t sessions() const { return sessions_; }

  // Closes the listeners and waits for the sessions to end. Blocks, at most for `grace`.
  void Drain(absl::Duration grace);

  // For connections.
  const FrontOptions& options() const { return options_; }
  bool draining() const { return draining_; }  // end when idle
  bool cutting() const { return cutting_; }    // and now wherever a command may stand
  // One more, or one less; false: too many, and yet one more until it leaves.
  bool Enter();
  void Leave();

 private:
  void AwaitSessions(absl::Duration patience) const;

  const FrontOptions options_;
  net::ReactorPool* const reactors_;
  std::atomic<bool> draining_{false};
  std::atomic<bool> cutting_{false};
  std::atomic<int64_t> sessions_{0};
  std::vector<std::unique_ptr<const Profile>> profiles_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
};

// Beyond Front's max_sessions connections are accepted to be told 421; beyond these, too, the
// kernel's backlog waits.
inline constexpr size_t kRefusable = 200;

}  // namespace godwit::smtpd

#pragma once

// HintSender: tells gateways that accounts have changed (proto/godwit/hint/v1), for every daemon
// that changes accounts.
//
//   hint::HintSender hints(options, reactor);
//   hints.Send(account, change.modseq, change.watchers);   // after the commit
//
// Lossy by design: it never blocks and never fails. A hint goes out at once; what comes while a
// call to that gateway is under way, and 20 ms after it, gathers (one entry an account, the highest
// modseq) and is the next call: a call costs as much as a tenth of a message that comes in, and
// nobody sees his mail sooner for fifty more of them a second. A gateway that is gone costs one
// failed call; what waited for it is dropped, and the slow poll of the gateway heals. The log gets
// one line a gateway and minute, with the numbers.
//
// Send() from any thread. Everything else happens on `reactor`, which runs until Finish() has
// ended.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/tls.h"

namespace godwit::hint {

struct HintSenderOptions {
  rpc::TlsFiles tls;
  // Whose certificate a gateway must show when its address does not say ("daemon@host:port").
  std::string daemon = "imap-gateway";
  absl::Duration deadline = absl::Seconds(2);
  // Accounts that may wait for one gateway; further ones are dropped.
  size_t max_waiting = 10000;
  // In one call; the receiver takes 1000.
  size_t max_batch = 1000;
  // The daemon's metrics; absent: counted in Stats() only.
  std::optional<obs::Counter> sent;
  std::optional<obs::Counter> dropped;
  const base::Clock* clock = base::Clock::System();
};

struct HintStats {
  int64_t sent = 0;
  int64_t dropped = 0;   // the gateway was gone or slow
  int64_t gateways = 0;  // known now
};

class HintSender {
 public:
  HintSender(HintSenderOptions options, net::Reactor* reactor);
  ~HintSender();
  HintSender(const HintSender&) = delete;
  HintSender& operator=(const HintSender&) = delete;

  // `watchers`: addresses of gateways, as the functions of the store return them.
  void Send(int64_t account, int64_t modseq, const std::vector<std::string>& watchers);

  // What was sent before goes out or is given up, within the deadline of a call; further hints are
  // dropped. Call it once, on `reactor`, before that stops.
  base::Task<void> Finish();

  HintStats Stats() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
  net::Reactor* const reactor_;
};

}  // namespace godwit::hint

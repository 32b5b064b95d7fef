#pragma once

// EvaluationSender: tells auth-verifier what became of messages that it has verified, for DMARC
// reports (RPC Record). RPC messages end here.
//
// In batches, each second: a message costs no call of its own. What waits is bounded, kept while
// auth-verifier is away, and sent at the drain; a process that is killed loses its last second.
// Nothing ever waits for it.
//
// Add() from any thread. Run() and Flush() on one reactor.

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/rpc/client.h"
#include "services/smtp-ingress/decision.h"
#include "services/smtp-ingress/metrics.h"

namespace godwit::smtp_ingress {

struct JudgedMessage {
  std::string evaluation;  // as auth-verifier gave it (Verdict)
  DmarcPolicy disposition = DmarcPolicy::kNone;
  // It is not what the domain asks for, because we decided so; the comment says why.
  bool overridden = false;
  bool trusted_forwarder = false;  // that is why: auth-verifier said so (RFC 8617 §7.2)
  std::string comment = {};
  std::string envelope_to = {};  // domain; "" for several
  bool to_report_address = false;
};

// What DMARC did to a message, and whether by our own rules.
JudgedMessage MakeJudged(const Evidence& evidence, const Decision& decision);

class EvaluationSender {
 public:
  struct Options {
    rpc::ChannelOptions channel;
    size_t max_waiting = 10'000;
    absl::Duration interval = absl::Seconds(1);
    absl::Duration deadline = absl::Seconds(10);
  };
  virtual ~EvaluationSender() = default;

  // Dropped, and counted as such, when too many wait.
  virtual void Add(JudgedMessage message) = 0;
  // Until the reactor stops.
  virtual base::Task<void> Run(net::Reactor* reactor) = 0;
  // All that waits. Unavailable: what is left waits on.
  virtual base::Task<absl::Status> Flush() = 0;

  // InvalidArgument when the certificate files can't be read. The metrics outlive it.
  static absl::StatusOr<std::unique_ptr<EvaluationSender>> Create(Options options,
                                                                  Metrics* metrics);
};

}  // namespace godwit::smtp_ingress

#pragma once

// VerifyClient: asks auth-verifier about a message
// (proto/godwit/auth_verifier/v1). RPC messages end here; the session sees plain structs.
//
//   absl::StatusOr<Verdict> verdict = co_await client->Verify(envelope, message, trace);
//
// or, of one that is large and still comes:
//
//   auto call = co_await client->Begin(envelope, trace);  // SPF's DNS begins
//   co_await call->Send(piece); ...                       // backpressure
//   absl::StatusOr<Verdict> verdict = co_await call->Finish(last_bytes);
//
// A call that is destroyed before Finish() is cancelled: the client of ours is gone.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/net/reactor.h"
#include "libs/rpc/client.h"
#include "services/smtp-ingress/decision.h"

namespace godwit::smtp_ingress {

struct VerifyEnvelope {
  base::IpAddress client;
  std::string helo;
  std::string mail_from;  // "" for <>
  // A hop between our own daemons: SPF and iprev say nothing.
  bool internal_hop = false;
  // A recipient takes reports: auth-verifier keeps one that is attached.
  bool report_address = false;
};

struct Verdict {
  Evidence evidence;
  std::string authentication_results;
  std::string received_spf;
  std::string reverse_name;  // of the client, confirmed; "" when there is none
  // SPF says that the client may send for the reverse-path's domain.
  bool sender_confirmed = false;
  // Domains that answer for the message: of signatures that pass, and of SPF that does.
  std::vector<std::string> authenticated;
  // What reports tell of the message, for EvaluationSender: nobody else's business. "" for nothing.
  std::string evaluation;
  // What was found of ARC, for outgoing::SealFacts: auth-verifier's own octets.
  std::string arc;
  // With report_address: "stored", or why not.
  std::string report;
};

class VerifyCall {
 public:
  virtual ~VerifyCall() = default;
  // The next octets of the message. An error says only that the call is broken; Finish() has why.
  virtual base::Task<absl::Status> Send(std::string bytes) = 0;
  // The last octets, if any, once. Not longer than the deadline of the configuration from here.
  virtual base::Task<absl::StatusOr<Verdict>> Finish(std::string bytes) = 0;
};

struct VerifyOptions {
  rpc::ChannelOptions channel;
  std::string authserv_id;
  // From the last octet to the verdict, and for taking a piece before that. More than auth-verifier
  // may need.
  absl::Duration deadline = absl::Seconds(30);
  // From the first to the last.
  absl::Duration receiving = absl::Minutes(30);
};

class VerifyClient {
 public:
  virtual ~VerifyClient() = default;
  // A message that is there: at most 256 KiB. Not longer than the deadline.
  virtual base::Task<absl::StatusOr<Verdict>> Verify(VerifyEnvelope envelope, std::string message,
                                                     std::string trace) = 0;
  // Sends the envelope; Finish() has what went wrong. On a reactor's thread; the call belongs to
  // it.
  virtual base::Task<std::unique_ptr<VerifyCall>> Begin(VerifyEnvelope envelope,
                                                        std::string trace) = 0;

  // InvalidArgument when the certificate files can't be read.
  static absl::StatusOr<std::unique_ptr<VerifyClient>> Create(VerifyOptions options);
  // Asks nobody: each verdict says that nothing was looked at.
  static std::unique_ptr<VerifyClient> Off(const std::string& authserv_id);
};

}  // namespace godwit::smtp_ingress

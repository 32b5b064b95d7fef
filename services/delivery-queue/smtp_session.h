#pragma once

// SmtpSession: the driver of one smtp::ClientSession over a net::Stream: connecting, TLS, and one
// transaction at a time. What it is not: it makes no second attempt and chooses no host.
//
//   SmtpSession session(parts, &host, kind);
//   auto problem = co_await session.Open({address, port}, /*in_clear=*/false, deadline);
//   if (!problem) JobResult result = co_await session.Deliver(job);
//   co_await session.Quit();
//
// Every wait has an end that the server can not move: of a reply (RFC 5321 §4.5.3.2; it begins with
// the command, not with each octet), of the opening, of a transaction.

#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "libs/base/task.h"
#include "libs/net/endpoint.h"
#include "libs/net/stream.h"
#include "libs/smtp/client.h"
#include "services/delivery-queue/connection.h"

namespace godwit::delivery_queue {

class SmtpSession {
 public:
  // `host` and `parts` outlive the session.
  SmtpSession(const ConnectionParts* parts, const RouteHost* host, RouteKind kind);

  // Why there is no session.
  struct Problem {
    smtp::Reply reply;       // for recipients that have no other chance
    const char* at = "";     // of metrics.h
    bool handshake = false;  // of TLS, which was opportunistic: once more in the clear
  };
  // Connects and comes to the point where mail can be sent; nothing when that is so. `deadline` is
  // of the reactor's clock.
  base::Task<std::optional<Problem>> Open(net::Endpoint to, bool in_clear, absl::Duration deadline);

  // One transaction. Afterwards usable() says whether there may be another.
  base::Task<JobResult> Deliver(Job* job);
  bool usable() const { return usable_; }
  // There has been a transaction.
  bool carried() const { return delivered_jobs_ > 0; }
  // The last transaction found the connection dead, and nothing of it can have been delivered.
  bool found_dead() const { return found_dead_; }
  base::Task<void> Quit();

  // What became of TLS, for the reports of other domains whose mail goes over this session, each
  // once.
  void ReportFor(const Route& route);
  // What became of TLS here was told of `before`, whose handshake failed: this session is in the
  // clear for that reason.
  void TakeReport(SmtpSession* before) {
    outcome_ = std::move(before->outcome_);
    reported_ = std::move(before->reported_);
  }

 private:
  // What Run() stops at.
  enum class Stop { kReady, kData, kDone, kFailed };

  base::Task<Stop> Run();
  base::Task<void> Read();
  base::Task<void> Farewell();
  base::Task<void> StartTls();
  base::Task<std::optional<Problem>> Connect(net::Endpoint to);
  absl::Duration Now() const { return stream_->reactor()->Now(); }
  void SetDeadline(absl::Duration deadline);
  bool Disturbed();
  Problem ProblemOf(const smtp::ClientFailure& failure) const;
  void Report(const std::optional<Problem>& problem, base::IpAddress to);
  std::shared_ptr<net::TlsContext> Context() const;
  smtp::ClientMessage MessageOf(const Job& job, std::string_view header) const;
  base::Task<JobResult> Transact(Job* job, smtp::ClientMessage message, std::string header);
  // The body, piece by piece; then the end, if the lease holds. False: the message is given up.
  base::Task<bool> GiveBody(Attempt* attempt);
  JobResult Collect(const Job& job) const;
  const char* LabelOf(smtp::ClientStage stage) const;

  const ConnectionParts* const parts_;
  const RouteHost* const host_;
  const RouteKind kind_;
  std::unique_ptr<net::Stream> stream_;
  std::optional<smtp::ClientSession> smtp_;
  net::Input input_;
  std::string_view in_;
  std::optional<smtp::ClientFailure> failure_;
  std::string handshake_error_;
  net::PeerVerdict verdict_ = net::PeerVerdict::kNotChecked;
  bool verified_ = false;  // what RFC 8689 asks of a session
  bool usable_ = false;
  bool found_dead_ = false;
  int delivered_jobs_ = 0;
  // Why a message was given up before its dot; "" it was not.
  std::string given_up_;

  absl::Duration deadline_;               // of the opening, or of the transaction
  absl::Duration reply_deadline_;         // of the reply that is awaited
  bool asked_ = true;                     // something was sent since then
  uint64_t replies_ = 0;                  // taken by then
  bool late_ = false;                     // a deadline ended the session
  std::optional<TlsOutcome> outcome_;     // of Report(), without what it is for
  absl::flat_hash_set<size_t> reported_;  // hashes of those that were told
};

}  // namespace godwit::delivery_queue

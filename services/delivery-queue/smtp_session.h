#pragma once

// SmtpSession: the driver of one smtp::ClientSession over a net::Stream: connecting, TLS, and one
// transaction at a time. What it is not: it makes no second attempt and chooses no host.
//
//   SmtpSession session(parts, &host, kind);
//   Opened opened = co_await session.Open(address, port, TlsAttempt::kAsNeeded);
//   if (opened.ok) JobResult result = co_await session.Deliver(job);
//   co_await session.Quit();

#include <memory>
#include <optional>
#include <string>

#include "libs/base/task.h"
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
  // Connects and comes to the point where mail can be sent; nothing when that is so.
  base::Task<std::optional<Problem>> Open(base::IpAddress address, uint16_t port, bool in_clear);

  // One transaction. Afterwards usable() says whether there may be another.
  base::Task<JobResult> Deliver(Job* job);
  bool usable() const { return usable_; }
  // The last transaction found the connection dead, and nothing of it can have been delivered.
  bool found_dead() const { return found_dead_; }
  base::Task<void> Quit();

 private:
  // What Run() stops at.
  enum class Stop { kReady, kData, kDone, kFailed };

  base::Task<Stop> Run();
  base::Task<void> Read();
  base::Task<void> StartTls();
  base::Task<std::optional<Problem>> Connect(base::IpAddress address, uint16_t port);
  Problem ProblemOf(const smtp::ClientFailure& failure) const;
  void Report(const std::optional<Problem>& problem, base::IpAddress to) const;
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
};

}  // namespace godwit::delivery_queue

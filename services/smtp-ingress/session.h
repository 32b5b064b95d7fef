#pragma once

// Session: one SMTP connection. It only carries out what smtp::ServerSession says: reads, writes,
// starts TLS, and hands mail to Transaction.
//
//   base::Spawn(Session::Serve(std::move(stream), services, ListenerKind::kPublic));
//
// Timeouts: for a command, for the next octets of data, for all of a message's data, for the
// session (RFC 5321 §4.5.3.2). When the daemon drains, a session ends with 421 as soon as it is
// idle, and at the end of the grace period with 421 wherever a reply may stand; only in the midst
// of data the connection just ends.

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/net/stream.h"
#include "libs/smtp/server.h"
#include "services/smtp-ingress/services.h"
#include "services/smtp-ingress/transaction.h"

namespace godwit::smtp_ingress {

enum class ListenerKind {
  kPublic,    // other servers
  kInternal,  // our own daemons, mutual TLS
};

class Session {
 public:
  // The whole life of a connection.
  static base::Task<void> Serve(std::unique_ptr<net::Stream> stream, Services* services,
                                ListenerKind kind);

  Session(std::unique_ptr<net::Stream> stream, Services* services, ListenerKind kind);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  base::Task<void> Run();
  base::Task<absl::Status> AcceptInternal();
  // False: the connection has ended.
  base::Task<bool> Carry(smtp::Action action);
  base::Task<bool> ReadMore();
  base::Task<bool> Write(std::string_view bytes);
  base::Task<bool> StartTls();
  base::Task<void> BeginTransaction(smtp::CheckMailFrom mail);
  base::Task<void> TakeChunk(std::string_view bytes);
  base::Task<void> EndTransaction();
  absl::Duration NextTimeout() const;
  ClientFacts Facts() const;

  std::unique_ptr<net::Stream> stream_;
  Services* const services_;
  const ListenerKind kind_;
  const std::string id_;
  smtp::ServerSession smtp_;
  net::Input input_;
  std::string_view in_;  // of input_, not used yet
  std::unique_ptr<Transaction> transaction_;
  int transactions_ = 0;
  absl::Duration session_end_;  // on the monotonic clock
  absl::Duration data_end_;
};

}  // namespace godwit::smtp_ingress

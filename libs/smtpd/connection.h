#pragma once

// Connection: one SMTP connection. It only carries out what smtp::ServerSession says: reads,
// writes, starts TLS, and hands the rest to the daemon's Handler and Transaction. Private to
// libs/smtpd; the rules of its life stand in front.h.

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/limit/clients.h"
#include "libs/net/stream.h"
#include "libs/smtp/server.h"
#include "libs/smtpd/front.h"
#include "libs/smtpd/transaction.h"

namespace godwit::smtpd {

class Connection {
 public:
  // The whole life of a connection.
  static base::Task<void> Serve(std::unique_ptr<net::Stream> stream, Front* front,
                                const Profile* profile);

  Connection(std::unique_ptr<net::Stream> stream, Front* front, const Profile* profile);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

 private:
  base::Task<void> Run();
  // False: it comes too often, and has been told so.
  base::Task<bool> AdmitClient();
  base::Task<absl::Status> Admit();
  // False: the connection has ended.
  base::Task<bool> Carry(smtp::Action action);
  base::Task<void> CarryMail(smtp::Action action);
  base::Task<bool> ReadMore();
  // Waits, when the client was refused much.
  base::Task<void> Pace();
  void ReleaseInput();
  base::Task<bool> Write(std::string_view bytes);
  base::Task<absl::Status> Handshake();
  base::Task<bool> StartTls();
  base::Task<void> BeginTransaction(smtp::CheckMailFrom mail);
  base::Task<void> BeginData();
  base::Task<void> TakeChunk(std::string_view bytes);
  base::Task<void> EndTransaction();
  absl::Duration NextTimeout() const;
  absl::Duration SessionEnd() const;
  // Which of the timeouts has passed.
  std::string_view TimedOut() const;
  void NoteEnd();
  ClientFacts Facts() const;

  std::unique_ptr<net::Stream> stream_;
  Front* const front_;
  const FrontOptions& options_;
  const Profile* const profile_;
  const std::string id_;
  const base::IpAddress client_;
  const bool room_;  // one of not too many
  smtp::ServerSession smtp_;
  std::unique_ptr<Handler> handler_;
  limit::Admission admission_;
  net::Input input_;
  std::string rest_;
  std::string_view in_;  // of input_ or rest_, not used yet
  std::unique_ptr<Transaction> transaction_;
  int transactions_ = 0;
  int faults_answered_ = 0;
  absl::Duration session_end_;  // on the monotonic clock, as the others
  absl::Duration login_end_;
  absl::Duration command_end_;
  bool between_commands_ = true;  // the next octet begins one
  absl::Duration data_end_;
};

}  // namespace godwit::smtpd

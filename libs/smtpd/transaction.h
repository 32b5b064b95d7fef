#pragma once

// What a daemon that takes mail by SMTP does with the commands, behind the connection
// (connection.h): a Handler a connection, and a Transaction a message.
//
// Every function that answers the client gives a complete smtp::Reply. All run on the connection's
// reactor, one at a time; an object is not destroyed while one of its tasks runs.

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/net/stream.h"
#include "libs/smtp/server.h"
#include "libs/smtp/trace.h"

namespace godwit::smtpd {

// What is known of the client now.
struct ClientFacts {
  std::string session;  // the connection's id, in logs
  base::IpAddress address;
  std::string greeting_name;
  smtp::WithProtocol with;
  std::string tls;  // version, cipher, group; "" without TLS
};

// One mail transaction. Made at MAIL; destroyed after EndData, after a reply that ends it, or, when
// the client gives it up, after Abandon.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // The answer to MAIL; anything but 2xx ends it.
  virtual base::Task<smtp::Reply> Begin() = 0;
  virtual base::Task<smtp::Reply> AddRecipient(smtp::CheckRcpt rcpt) = 0;
  // 354, or why not: that ends it, too.
  virtual base::Task<smtp::Reply> BeginData() = 0;
  // Octets of the message, collected; Flush() hands them on. Flush comes when pending() is large.
  virtual void Append(std::string_view bytes) = 0;
  virtual size_t pending() const = 0;
  virtual base::Task<void> Flush() = 0;
  // The message is complete: 250 only when it is durable.
  virtual base::Task<smtp::Reply> EndData(smtp::EndData end) = 0;
  virtual base::Task<void> Abandon() = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;
  // Before the greeting; with implicit TLS behind the handshake. An error ends the connection
  // without a word.
  virtual absl::Status Admit(const net::Stream& stream);
  // A refusal that no Transaction gave has been said: the connection was turned away, or it ends
  // and this was the last of its errors. `why`: a limit, a reason of smtp::ServerSession::cut(), or
  // "" for errors that did not end it.
  virtual void NoteRefusal(const ClientFacts& client, const smtp::Reply& reply,
                           std::string_view why);
  // AUTH. Only where it is offered.
  virtual base::Task<smtp::AuthAnswer> Authenticate(ClientFacts client, smtp::CheckAuth check);
  virtual base::Task<smtp::AuthAnswer> Continue(ClientFacts client, smtp::AuthResponse response);
  // `id` names the message in replies, logs, Received and traces.
  virtual std::unique_ptr<Transaction> NewTransaction(ClientFacts client, smtp::CheckMailFrom mail,
                                                      std::string id) = 0;
};

// The reply with the id in brackets at its end, so that a refusal can be quoted to the operator.
smtp::Reply WithId(smtp::Reply reply, const std::string& id);

// "accepted", "deferred" or "rejected", for metrics and logs.
std::string_view ResultOf(const smtp::Reply& reply);

}  // namespace godwit::smtpd

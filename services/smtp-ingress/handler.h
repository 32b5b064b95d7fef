#pragma once

// IngressHandler: what smtp-ingress does with one connection: says who may come to the internal
// listener, and makes Transactions.

#include <memory>
#include <string>
#include <string_view>

#include "libs/smtpd/transaction.h"
#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

enum class ListenerKind {
  kPublic,    // other servers
  kInternal,  // our own daemons, mutual TLS
};

class IngressHandler : public smtpd::Handler {
 public:
  IngressHandler(Services* services, ListenerKind kind) : services_(services), kind_(kind) {}

  // The name in the certificate says which daemon it is.
  absl::Status Admit(const net::Stream& stream) override;
  void NoteRefusal(const smtpd::ClientFacts& client, const smtp::Reply& reply,
                   std::string_view why) override;
  std::unique_ptr<smtpd::Transaction> NewTransaction(smtpd::ClientFacts client,
                                                     smtp::CheckMailFrom mail,
                                                     std::string id) override;

 private:
  Services* const services_;
  const ListenerKind kind_;
};

// What EHLO offers on such a listener.
smtp::ServerOptions OptionsFor(const Settings& settings, ListenerKind kind);

}  // namespace godwit::smtp_ingress

#include "services/smtp-ingress/handler.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "services/smtp-ingress/refusals.h"
#include "services/smtp-ingress/transaction.h"

namespace godwit::smtp_ingress {

absl::Status IngressHandler::Admit(const net::Stream& stream) {
  if (kind_ == ListenerKind::kPublic) return absl::OkStatus();
  const net::TlsInfo info = stream.tls_info();
  const auto& allowed = services_->settings.internal_clients;
  const bool known =
      info.peer_verified &&
      std::any_of(info.peer_dns_names.begin(), info.peer_dns_names.end(),
                  [&](const std::string& name) {
                    return std::find(allowed.begin(), allowed.end(), name) != allowed.end();
                  });
  if (known) return absl::OkStatus();
  return base::PermissionDenied("certificate of " + info.peer_subject);
}

void IngressHandler::NoteRefusal(const smtpd::ClientFacts& client, const smtp::Reply& reply,
                                 std::string_view why) {
  services_->session_log->Add(MakeRefused(client, reply, why.empty() ? "command" : why));
}

std::unique_ptr<smtpd::Transaction> IngressHandler::NewTransaction(smtpd::ClientFacts client,
                                                                   smtp::CheckMailFrom mail,
                                                                   std::string id) {
  const bool internal = kind_ == ListenerKind::kInternal;
  return std::make_unique<Transaction>(services_, std::move(client), internal, std::move(mail),
                                       std::move(id));
}

smtp::ServerOptions OptionsFor(const Settings& settings, ListenerKind kind) {
  smtp::ServerOptions options = settings.smtp;
  options.extensions.Add(smtp::Extension::kRequireTls);
  if (kind == ListenerKind::kInternal) {
    options.extensions.Add(smtp::Extension::kOrigin);
  } else {
    options.no_mail = settings.no_mail;
  }
  // On the internal listener, too: who puts a message into a mailbox, or sends it on to others,
  // knows what to tell of it.
  if (settings.dsn) options.extensions.Add(smtp::Extension::kDsn);
  return options;
}

}  // namespace godwit::smtp_ingress

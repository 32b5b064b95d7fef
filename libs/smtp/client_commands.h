#pragma once

// The envelope of a message as the client gives it: MAIL and RCPT with the parameters that the
// server understands (RFC 5321 §3.3, RFC 1870, 3461, 6152, 6531, 8689). Pure functions.
//
// What can't be said to this server is an objection: a Reply of our own, with the code that the RFC
// of the extension wants, as if the server had given it. Nothing with a control character in it is
// ever written, whatever the caller hands over.

#include <optional>
#include <string>
#include <vector>

#include "libs/smtp/client_features.h"
#include "libs/smtp/parameter.h"
#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp {

struct ClientRecipient {
  Address address;
  RcptParameters parameters;
};

struct ClientMessage {
  Address reverse_path;
  // `body` and `smtputf8` say what the message needs; `ret` and `envid` go where DSN is offered;
  // `auth` is not sent.
  MailParameters parameters;
  bool require_tls = false;  // RFC 8689 §4.2.1
  std::vector<ClientRecipient> recipients;
};

// Why the message can't be given to this server at all; nullopt: it can. `tls`: the session is
// encrypted and as good as its policy wants.
std::optional<Reply> Objection(const ClientMessage& message, const ServerFeatures& features,
                               bool tls);
std::optional<Reply> Objection(const ClientRecipient& recipient, const ClientMessage& message);

// With CRLF. There must be no objection.
std::string MailCommand(const ClientMessage& message, const ServerFeatures& features);
std::string RcptCommand(const ClientRecipient& recipient, const ServerFeatures& features);

}  // namespace godwit::smtp

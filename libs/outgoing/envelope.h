#pragma once

// From the parameters of an SMTP transaction to what the queue is told, so that the next server
// hears what the client said (RFC 3461 §5.2).

#include <optional>

#include "libs/outgoing/sender.h"
#include "libs/smtp/parameter.h"
#include "libs/smtp/path.h"

namespace godwit::outgoing {

Recipient MakeRecipient(const smtp::Address& address, const smtp::RcptParameters& parameters);

Return MakeReturn(std::optional<smtp::DsnReturn> ret);

}  // namespace godwit::outgoing

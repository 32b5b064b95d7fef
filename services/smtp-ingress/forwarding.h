#pragma once

// Forwarding: which messages an address of ours does not forward, though they may come in. What is
// forwarded leaves from our address, with a sender of ours: the next server believes our SPF, and
// whoever gets it holds it against us.
//
// Pure.

#include <optional>
#include <set>
#include <string>

#include "libs/smtp/reply.h"
#include "services/smtp-ingress/decision.h"
#include "services/smtp-ingress/verify_client.h"

namespace godwit::smtp_ingress {

struct ForwardFacts {
  // The message is of a daemon of ours that knows its author (a user, a notification, a report).
  bool own = false;
  Outcome outcome = Outcome::kAccept;
  // Domains that the next server sees us send for: of the addresses that forward, and our name.
  std::set<std::string> domains = {};
};

// Why the message is not forwarded; nullopt when it is.
//
// Not junk: 550 5.7.1. Not what would be aligned with an author's domain of our own by nothing but
// our forwarding it, RFC 7489 §3.1.2: 550 5.7.26 when DMARC fails, or nothing that is authenticated
// is of the author's organisation; 451 4.7.0 when that can not be said now; 550 5.7.1 when nobody
// can tell who the author is.
std::optional<smtp::Reply> JudgeForward(const Verdict& verdict, const ForwardFacts& facts);

}  // namespace godwit::smtp_ingress

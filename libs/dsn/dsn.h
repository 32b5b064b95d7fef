#pragma once

// Delivery status notifications: the report that tells a sender what became of a message, as plain
// structs, and its wire forms (RFC 3464; RFC 3461 §6 for what SMTP puts into it; RFC 6533 for
// addresses in UTF-8). write.h makes a message of a Report, parse.h makes a Report of a message.
//
// Who is to be told, and with how much of the message, is decided here too: Wanted() and
// WhatToReturn(). Everything is pure: times, names and random text are arguments.
//
//   if (dsn::Wanted(dsn::Action::kFailed, reverse_path, notify)) ...
//
// A notification is sent from <> (RFC 3461 §6.1, RFC 5321 §4.5.5) to the reverse-path of the
// message it is about, with NOTIFY=NEVER where the next server offers DSN, and without RET.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/smtp/parameter.h"

namespace godwit::dsn {

// RFC 3464 §2.3.3.
enum class Action : uint8_t {
  kFailed,
  kDelayed,
  kDelivered,
  kRelayed,   // handed to a server that does not know DSN
  kExpanded,  // delivered to a list or alias; what becomes of its copies is not told
};
std::string_view ActionName(Action action);               // "failed"
std::optional<Action> FindAction(std::string_view name);  // any case

// RFC 3464 §2.1.2: an address and how it is written. Types are compared without case and kept in
// lower case: "rfc822", "utf-8" (RFC 6533 §3); the address is the decoded one, good UTF-8.
struct TypedAddress {
  std::string type = "rfc822";
  std::string address;
  friend bool operator==(const TypedAddress&, const TypedAddress&) = default;
};

// What happened to one recipient.
struct Recipient {
  Action action = Action::kFailed;
  // Where it was sent in the end: "bob@example.org".
  TypedAddress final_recipient{};
  // ORCPT, exactly as the sender gave it (decoded); nullopt when he gave none.
  std::optional<TypedAddress> original_recipient{};
  // RFC 3463: "5.1.1".
  std::string status{};
  // The server that answered, as a DNS name; "" when nobody did.
  std::string remote_mta{};
  // What it answered, with codes, as one line: "550 5.1.1 No such user"; line ends become spaces.
  // "" when the failure is ours (then say it in `explanation`).
  std::string diagnostic{};
  // Plain words for the text part, one line; not part of the machine-readable report. "" is fine.
  std::string explanation{};
  std::optional<absl::Time> last_attempt{};      // whole seconds, as all times here
  std::optional<absl::Time> will_retry_until{};  // kDelayed only
  friend bool operator==(const Recipient&, const Recipient&) = default;
};

// The machine-readable part (RFC 3464 §2.1).
struct Report {
  std::string reporting_mta{};      // our name in the DNS: "mail.example.org"
  std::string envelope_id{};        // ENVID, decoded; "" when the sender gave none
  std::string received_from_mta{};  // the name of the client that brought the message; "" for none
  std::optional<absl::Time> arrival{};
  std::vector<Recipient> recipients{};  // at least one
  friend bool operator==(const Report&, const Report&) = default;
};

// The original recipient from the value of an ORCPT parameter, "rfc822;bob+2Bx@example.org"
// (RFC 3461 §4.2, RFC 6533 §3); nullopt when it is none, or "".
std::optional<TypedAddress> ParseOrcpt(std::string_view value);
// The value of the ORCPT parameter that gives it on, in ASCII.
std::string FormatOrcpt(const TypedAddress& address);
// An address of the envelope: of type "utf-8" when it is not ASCII.
TypedAddress MakeAddress(std::string_view address);

// Whether the sender `reverse_path` ("" for <>) is to be told of this for a recipient with
// `notify`. Never about a message from <>: that would be the start of a loop (RFC 5321 §6.1).
// Without NOTIFY he is told of failures and delays (RFC 3461 §4.1).
bool Wanted(Action action, std::string_view reverse_path, const smtp::DsnNotify& notify);

// How much of the message a notification brings back (RFC 3461 §4.3): all of it only for a failure,
// when RET says so, or says nothing and the message is not larger than `small`; never more than
// `limit` octets.
enum class Returned : uint8_t { kHeader, kMessage };
struct ReturnRule {
  uint64_t small = 50 * 1024;
  uint64_t limit = 50 * 1024 * 1024;
};
Returned WhatToReturn(const Report& report, std::optional<smtp::DsnReturn> ret, uint64_t size,
                      const ReturnRule& rule = {});

}  // namespace godwit::dsn

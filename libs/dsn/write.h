#pragma once

// Writes a delivery status notification: multipart/report (RFC 6522) of a text for people, the
// machine-readable report (RFC 3464), and the header of the message or all of it.
//
//   dsn::Notification n;
//   n.date = clock->Now(); n.message_id = token + "@mail.example.org"; n.boundary = other_token;
//   n.from = "postmaster@example.org"; n.to = reverse_path; n.report = ...;
//   n.original_header = header;
//   auto written = dsn::Write(n);          // InvalidArgument: see below
//   send(written->head); [send(the original message) when n.returned is kMessage;]
//   send(written->tail);
//
// A returned message is not copied: its bytes, header and body with CRLF line ends, go between head
// and tail as they are. Signing (DKIM) runs over head, original and tail.

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/dsn/dsn.h"

namespace godwit::dsn {

struct Notification {
  absl::Time date{};
  std::string message_id{};  // without angle brackets
  // Random, at least 20 characters of [0-9A-Za-z]: nobody can put it into the original message.
  std::string boundary{};
  std::string from{};  // the author's address: "postmaster@example.org"
  std::string from_name = "Mail Delivery System";
  std::string to{};  // the reverse-path of the original message
  Report report{};
  // The header of the original message with its CRLFs, with or without the empty line after it.
  std::string original_header{};
  Returned returned = Returned::kHeader;
  // kMessage: its body has octets above 127.
  bool original_body_8bit = false;
  // The original message came with SMTPUTF8: its sender's way back is one for UTF-8 (RFC 6533 §4).
  // Without it addresses are written in ASCII, as RFC 6533 §3 shows.
  bool smtputf8 = false;
};

struct Written {
  std::string head{};
  std::string tail{};
  bool needs_8bit = false;      // send with BODY=8BITMIME
  bool needs_smtputf8 = false;  // send with SMTPUTF8
};

// InvalidArgument for what is the caller's own: no recipient, no reporting MTA, a boundary or
// message id that is too short or no token, `from` or `to` that is no address. What came from
// elsewhere (replies, ORCPT, ENVID, the header) never keeps a notification from being written: what
// can not stand in its field is replaced by "?", a status that is none by "5.0.0", "4.0.0" or
// "2.0.0", as the action is.
absl::StatusOr<Written> Write(const Notification& notification);

}  // namespace godwit::dsn

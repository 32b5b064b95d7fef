#pragma once

// Writers of the trace fields that a server puts in front of a message: Received and Return-Path
// (RFC 5321 §4.4), Delivered-To (RFC 9228). Each gives complete header fields with folding and
// CRLF. What they are given comes from the session and is clean: a parsed Address, an EHLO name
// that passed IsGreetingName.

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/smtp/path.h"

namespace godwit::smtp {

// What the protocol name of "with" is made from (RFC 3848, RFC 6531 §4.3).
struct WithProtocol {
  bool esmtp = false;
  bool tls = false;
  bool auth = false;
  bool utf8 = false;  // the transaction used SMTPUTF8
};
// "SMTP", "ESMTP", "ESMTPS", "ESMTPSA", "UTF8SMTPS", ...
std::string WithProtocolName(const WithProtocol& with);

struct ReceivedField {
  std::string greeting_name;  // of EHLO or HELO; "" when none: the client's literal is written
  std::string reverse_name;   // of the client, confirmed; "" unknown; left out if no host name
  base::IpAddress client;
  bool hide_client = false;  // nobody shall learn where a user of ours was: no "from" clause
  std::string by;            // our host name
  WithProtocol with;
  // The sender asked for TLS on every hop (RFC 8689): written as a comment, there is no clause.
  bool require_tls = false;
  std::string id;   // an atom: letters, digits, "-", "."
  std::string tls;  // "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519"; "" without TLS
  // The "for" clause: given only when the transaction has exactly one recipient, so that nobody
  // learns of blind copies (RFC 5321 §7.2). Left out when it needs UTF-8 the protocol has not.
  std::optional<Address> recipient;
  absl::Time time;
};
std::string WriteReceived(const ReceivedField& field);

std::string WriteReturnPath(const Address& reverse_path);
// `recipient` as it was accepted at RCPT, before aliases (RFC 9228 §3).
std::string WriteDeliveredTo(const Address& recipient);

// RFC 5322 §3.3, in UTC: "Mon, 02 Jan 2006 15:04:05 +0000".
std::string WriteDate(absl::Time time);

}  // namespace godwit::smtp

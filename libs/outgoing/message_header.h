#pragma once

// The header of a message that a user of ours sends, by SMTP or JMAP: whether it may leave as it
// is, and what is missing in it (RFC 6409 §8). Pure.
//
//   auto read = ReadHeader(header, smtputf8);
//   if (auto* refused = std::get_if<smtp::Reply>(&read)) ...
//   ... may the user send as each of read.authors? ...
//   std::string complete = CompleteHeader(header, facts, ...);
//
// Stricter than what comes in from other servers: our own users' programs can be mended, and what
// readers may take in different ways must not leave with our signature.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/smtp/reply.h"

namespace godwit::outgoing {

struct HeaderFacts {
  // Addresses of From, and of Sender where there is one, "local@domain" with the domain as
  // A-labels: the user must have a right to each.
  std::vector<std::string> authors;
  // The first of From, as auth-verifier wants it.
  std::string from;
  bool has_date = false;
  bool has_message_id = false;
  size_t received = 0;  // Received fields
  bool ascii = true;
};

// `header` with or without the empty line. A Reply for a header with NUL, with lines that are no
// fields, with a field twice that may stand once (RFC 5322 §3.6, and those of MIME and of lists),
// without From, with a From or
// Sender that can be read in several ways, names nobody or is of several domains, and for UTF-8
// without `smtputf8`.
std::variant<HeaderFacts, smtp::Reply> ReadHeader(std::string_view header, bool smtputf8);

// What leaves: the header without Bcc and Return-Path, with Date and Message-ID where they are
// missing, and the empty line. `token`: what makes the message id unique; its domain is the
// author's.
std::string CompleteHeader(std::string_view header, const HeaderFacts& facts, absl::Time now,
                           std::string_view token);

}  // namespace godwit::outgoing

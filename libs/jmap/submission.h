#pragma once

// Identities and submissions (RFC 8621 §6, §7), without sending: what a client asks for, and what
// becomes of the header on its way out.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"
#include "libs/mime/structure.h"

namespace godwit::jmap {

struct Identity {
  std::string id;
  std::string address;
};
// From the address alone, so that it stays the same.
std::string IdentityId(std::string_view address);
std::string IdentityState(const std::vector<Identity>& identities);
json::object IdentityToJson(const Identity& identity);

// §7: one creation of EmailSubmission/set.
struct SubmissionRequest {
  std::string identity_id;
  std::string email_id;  // "#k1", too
  // Of the envelope; absent: from the email.
  std::optional<std::string> mail_from;
  std::optional<std::vector<std::string>> rcpt_to;
};
std::variant<SubmissionRequest, SetError> ReadSubmission(const json::value& value);

// Addresses in From.
std::vector<std::string> AuthorsOf(const mime::Envelope& envelope);
// §7: of To, Cc and Bcc, each once.
std::vector<std::string> RecipientsOf(const mime::Envelope& envelope);
// An address that SMTP can take: local@domain, no control character or space, at most 254 octets.
bool IsSendable(std::string_view address);

struct OutgoingFields {
  std::string hostname;
  std::string trace;
  absl::Time now;
  std::string message_id;  // for a message without one
};
// The header as it leaves: a Received field in front, Message-ID and Date when they are missing,
// and without Bcc and Return-Path (RFC 5321 §4.4, RFC 5322 §3.6.3). With the empty line.
std::string OutgoingHeader(std::string_view header, const OutgoingFields& fields);

}  // namespace godwit::jmap

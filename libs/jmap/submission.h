#pragma once

// Identities and submissions (RFC 8621 §6, §7), without sending: what a client asks for.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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

// §7: of To, Cc and Bcc, each once.
std::vector<std::string> RecipientsOf(const mime::Envelope& envelope);
// An address that SMTP can take: local@domain, no control character or space, at most 254 octets.
bool IsSendable(std::string_view address);

}  // namespace godwit::jmap

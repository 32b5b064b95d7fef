#pragma once

// From the Email object of a client to a message (RFC 8621 §4.6): header fields, text parts and
// attachments become MIME. No octet of a blob is needed here: the message comes out as a list of
// pieces, some of them blobs, so that nobody holds 50 MB of attachments.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

struct Piece {
  std::string text{};     // as it stands, CRLF line ends
  std::string blob_id{};  // or these octets, in base64 with lines of 76 characters
  bool as_it_is = false;  // and not in base64: a message
};

struct ComposedEmail {
  std::vector<Piece> pieces;
  std::vector<std::string> mailbox_ids;  // as given, "#k1" too
  std::vector<std::string> keywords;     // lower case
  std::optional<absl::Time> received;
};

// What the server adds: RFC 8621 §4.6 wants Message-ID, Date and MIME-Version on every message.
struct ComposeDefaults {
  std::string message_id;  // without brackets
  absl::Time now;
  std::string boundary;  // random; a number is put behind it
};

// invalidProperties with the names of all that is wrong.
std::variant<ComposedEmail, SetError> ComposeEmail(const json::object& email,
                                                   const ComposeDefaults& defaults);

// {"id": true, ...} as a list; nullopt for anything else.
std::optional<std::vector<std::string>> ReadIdSet(const json::value& value);
// The same for keywords, in lower case.
std::optional<std::vector<std::string>> ReadKeywords(const json::value& value);

}  // namespace godwit::jmap

#pragma once

// The Email object (RFC 8621 §4): which properties are asked for, and what they are.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/jmap/email_body.h"
#include "libs/jmap/header_forms.h"
#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"
#include "libs/mime/structure.h"

namespace godwit::jmap {

// §4.2: what Email/get has beside the standard arguments, checked.
struct EmailGet {
  std::vector<std::string> properties;  // without header properties
  std::vector<HeaderProperty> headers;
  BodyProperties body;
  bool fetch_text_values = false;
  bool fetch_html_values = false;
  bool fetch_all_values = false;
  uint64_t max_body_value_bytes = 0;

  bool Wants(std::string_view property) const;
  // More than the row of the email: its structure, its header, the octets of its parts.
  bool needs_summary() const;
  bool needs_header() const;
  bool needs_part_headers() const;
  bool fetches_values() const { return fetch_text_values || fetch_html_values || fetch_all_values; }
};
// Takes the arguments of Email/get that are its own, and judges the properties.
std::variant<EmailGet, MethodError> TakeEmailGet(
    const std::optional<std::vector<std::string>>& properties, Arguments* arguments);

// What is known of one email; what a property does not need may be missing.
struct EmailSource {
  int64_t id = 0;
  int64_t thread = 0;
  std::vector<int64_t> mailboxes;
  std::vector<std::string> keywords;  // as JMAP spells them: KeywordOf()
  int64_t size = 0;
  absl::Time received;
  bool has_attachment = false;
  std::string preview;
  const mime::Summary* summary = nullptr;
  std::string_view header;  // with the empty line
  // Octets of the header blocks of parts (from `body_begin` on), for header properties of parts.
  HeaderOf part_header = nullptr;
  const void* part_context = nullptr;
  json::object body_values;
};

json::object EmailToJson(const EmailSource& source, const EmailGet& get);

// The parts whose text is wanted, without repetition.
std::vector<const BodyPart*> ValuesWanted(const BodyPart& tree, const EmailGet& get);

// §4.1.1: flags and keywords of IMAP under their names here. A keyword is lower case.
inline constexpr std::string_view kKeywordSeen = "$seen";
inline constexpr std::string_view kKeywordFlagged = "$flagged";
inline constexpr std::string_view kKeywordAnswered = "$answered";
inline constexpr std::string_view kKeywordDraft = "$draft";
bool IsKeyword(std::string_view text);

}  // namespace godwit::jmap

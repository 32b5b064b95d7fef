#pragma once

// The body of an email: bodyStructure, textBody, htmlBody and attachments (RFC 8621 §4.1.4), and
// the text of parts (bodyValues).
//
// Part ids are those of IMAP ("1", "1.2"). An attached message is one part, as §4.1.4 has it. The
// `size` of a part in base64 is reckoned from its length: exact but for white space that does not
// belong; one in quoted-printable is told with its encoded size.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/jmap/header_forms.h"
#include "libs/jmap/json.h"
#include "libs/mime/structure.h"

namespace godwit::jmap {

// A part with its id. Views of the Summary, which outlives it.
struct BodyPart {
  const mime::Part* part = nullptr;
  std::string id;  // "" for multipart
  std::vector<BodyPart> children;

  std::string type() const;  // "text/plain"
  // The file name, by Content-Disposition or the type's name; "" for none.
  std::string name() const;
  bool is_attachment() const;
};

BodyPart MakeBodyTree(const mime::Part& root);
// nullptr when there is none.
const BodyPart* FindBodyPart(const BodyPart& tree, std::string_view id);

struct BodyLists {
  std::vector<const BodyPart*> text;
  std::vector<const BodyPart*> html;
  std::vector<const BodyPart*> attachments;
};
// The algorithm of §4.1.4.
BodyLists ListBodies(const BodyPart& tree);

// What EmailBodyPart shows (§4.2).
struct BodyProperties {
  std::vector<std::string> names;
  std::vector<HeaderProperty> headers;
};
// nullopt for one that is not known.
std::optional<BodyProperties> ParseBodyProperties(
    const std::optional<std::vector<std::string>>& names);

// `email` is the number of the email, for blob ids. `header_of` gives the header block of a part,
// for header properties; it may give "".
using HeaderOf = std::string (*)(const void* context, const mime::Part& part);
struct BodyContext {
  int64_t email = 0;
  const BodyProperties* properties = nullptr;
  HeaderOf header_of = nullptr;
  const void* context = nullptr;
};
json::object BodyPartToJson(const BodyPart& part, const BodyContext& context, bool with_children);
json::array BodyListToJson(const std::vector<const BodyPart*>& list, const BodyContext& context);

// The decoded text of a part as EmailBodyValue. `octets` is its content as it is stored, or its
// beginning when `cut`. At most `max_bytes` of text when that is not 0, cut between characters and
// not within a tag.
json::object BodyValueToJson(const mime::Part& part, std::string_view octets, bool cut,
                             uint64_t max_bytes);

}  // namespace godwit::jmap

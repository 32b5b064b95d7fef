#include "libs/dkim/key_record.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dkim/signature.h"
#include "libs/dkim/tag_list.h"

namespace godwit::dkim {
namespace {

bool ListHas(std::string_view list, std::string_view wanted) {
  for (const std::string_view piece : base::Split(list, ':')) {
    if (base::EqualsIgnoreCase(base::Trim(piece), wanted)) return true;
  }
  return false;
}

absl::Status ReadType(const TagList& tags, KeyRecord* record) {
  const Tag* tag = tags.Find("k");
  // RFC 6376 §3.6.1: the default is "rsa"; RFC 8463 §4.1 adds "ed25519".
  if (tag == nullptr || base::EqualsIgnoreCase(tag->value, "rsa")) return absl::OkStatus();
  if (!base::EqualsIgnoreCase(tag->value, "ed25519")) {
    return base::InvalidArgument("unknown key type");
  }
  record->type = KeyType::kEd25519;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<KeyRecord> ParseKeyRecord(std::string_view text) {
  GODWIT_ASSIGN_OR_RETURN(const TagList tags, TagList::Parse(text));
  KeyRecord record;
  const Tag* version = tags.Find("v");
  // RFC 6376 §3.6.1: v= is first if it is there, and DKIM1 exactly.
  if (version != nullptr && (version->value != "DKIM1" || &tags.tags().front() != version)) {
    return base::InvalidArgument("not a DKIM1 record");
  }
  const Tag* key = tags.Find("p");
  if (key == nullptr) return base::InvalidArgument("no p= tag");
  GODWIT_RETURN_IF_ERROR(ReadType(tags, &record));
  auto decoded = DecodeBase64String(key->value);
  if (!decoded.ok()) return base::InvalidArgument("p= is not base64");
  record.key = *std::move(decoded);
  if (const Tag* tag = tags.Find("h")) record.allows_sha256 = ListHas(tag->value, "sha256");
  if (const Tag* tag = tags.Find("s")) {
    const bool any = ListHas(tag->value, "*");
    record.for_email = any || ListHas(tag->value, "email");
    record.for_tls_reports = any || ListHas(tag->value, "tlsrpt");
  }
  record.testing = ListHas(tags.Value("t"), "y");
  record.same_domain_only = ListHas(tags.Value("t"), "s");
  return record;
}

}  // namespace godwit::dkim

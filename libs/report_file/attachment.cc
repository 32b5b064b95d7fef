#include "libs/report_file/attachment.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/mime/parameter.h"
#include "libs/mime/parser.h"
#include "libs/mime/transfer.h"

namespace godwit::report_file {
namespace {

bool HasType(const mime::Part& part, const Wanted& wanted) {
  const std::string type = part.type + "/" + part.subtype;
  return std::find(wanted.types.begin(), wanted.types.end(), type) != wanted.types.end();
}

bool HasName(const mime::Part& part, const Wanted& wanted) {
  std::string name = mime::FindParameter(part.params, "name").value_or("");
  if (part.disposition) {
    name = mime::FindParameter(part.disposition->params, "filename").value_or(name);
  }
  return std::any_of(wanted.suffixes.begin(), wanted.suffixes.end(), [&](std::string_view suffix) {
    return base::EndsWithIgnoreCase(name, suffix);
  });
}

const mime::Part* Find(const mime::Part& part, const Wanted& wanted,
                       bool (*matches)(const mime::Part&, const Wanted&)) {
  if (part.kind == mime::Part::Kind::kLeaf) return matches(part, wanted) ? &part : nullptr;
  // A report that somebody forwards within a message is not sent to us.
  if (part.kind == mime::Part::Kind::kMessage) return nullptr;
  for (const mime::Part& child : part.children) {
    if (const mime::Part* found = Find(child, wanted, matches)) return found;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::string> AttachedFile(std::string_view message, const Wanted& wanted) {
  mime::Limits limits;
  limits.max_depth = 10;
  limits.max_parts = 50;
  const mime::Summary summary = mime::ParseMessage(message, limits);
  const mime::Part* part = Find(summary.root, wanted, HasType);
  if (part == nullptr) part = Find(summary.root, wanted, HasName);
  if (part == nullptr) return base::NotFound("no report is attached");
  const std::string_view body = message.substr(summary.header_size);
  mime::TransferDecoder decoder(mime::ParseTransferEncoding(part->encoding));
  std::string octets;
  decoder.Decode(body.substr(part->body_offset, part->body_size), &octets);
  decoder.Finish(&octets);
  return octets;
}

}  // namespace godwit::report_file

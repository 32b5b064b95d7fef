#include "libs/dmarc_report/attachment.h"

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/mime/parameter.h"
#include "libs/mime/parser.h"
#include "libs/mime/transfer.h"

namespace godwit::dmarc_report {
namespace {

bool HasReportType(const mime::Part& part) {
  const std::string type = part.type + "/" + part.subtype;
  for (const std::string_view known :
       {"application/gzip", "application/x-gzip", "application/zip", "application/x-zip",
        "application/x-zip-compressed", "text/xml", "application/xml"}) {
    if (type == known) return true;
  }
  return false;
}

bool HasReportName(const mime::Part& part) {
  std::string name = mime::FindParameter(part.params, "name").value_or("");
  if (part.disposition) {
    name = mime::FindParameter(part.disposition->params, "filename").value_or(name);
  }
  return base::EndsWithIgnoreCase(name, ".xml") || base::EndsWithIgnoreCase(name, ".gz") ||
         base::EndsWithIgnoreCase(name, ".zip");
}

const mime::Part* Find(const mime::Part& part, bool (*matches)(const mime::Part&)) {
  if (part.kind == mime::Part::Kind::kLeaf) return matches(part) ? &part : nullptr;
  // A report that somebody forwards within a message is not sent to us.
  if (part.kind == mime::Part::Kind::kMessage) return nullptr;
  for (const mime::Part& child : part.children) {
    if (const mime::Part* found = Find(child, matches)) return found;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::string> AttachedReport(std::string_view message) {
  mime::Limits limits;
  limits.max_depth = 10;
  limits.max_parts = 50;
  const mime::Summary summary = mime::ParseMessage(message, limits);
  const mime::Part* part = Find(summary.root, HasReportType);
  if (part == nullptr) part = Find(summary.root, HasReportName);
  if (part == nullptr) return base::NotFound("no report is attached");
  const std::string_view body = message.substr(summary.header_size);
  mime::TransferDecoder decoder(mime::ParseTransferEncoding(part->encoding));
  std::string octets;
  decoder.Decode(body.substr(part->body_offset, part->body_size), &octets);
  decoder.Finish(&octets);
  return octets;
}

}  // namespace godwit::dmarc_report

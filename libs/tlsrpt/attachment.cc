#include "libs/tlsrpt/attachment.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/mime/header.h"
#include "libs/report_file/attachment.h"

namespace godwit::tlsrpt {
namespace {

constexpr size_t kMostSubmitter = 255;

}  // namespace

absl::StatusOr<Attached> AttachedReport(std::string_view message) {
  // RFC 8460 §6.4 and §6.5.
  static const report_file::Wanted kWanted = {
      {"application/tlsrpt+json", "application/tlsrpt+gzip"}, {}};
  Attached attached;
  GODWIT_ASSIGN_OR_RETURN(attached.file, report_file::AttachedFile(message, kWanted));
  const mime::HeaderBlock header = mime::SplitHeader(message);
  if (const mime::HeaderField* field = header.Find("TLS-Report-Submitter")) {
    std::string submitter = mime::Unfold(field->value);
    if (submitter.size() <= kMostSubmitter && base::IsUtf8(submitter)) {
      attached.submitter = std::move(submitter);
    }
  }
  return attached;
}

}  // namespace godwit::tlsrpt

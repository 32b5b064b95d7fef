#include "libs/tlsrpt/attachment.h"

#include "libs/base/status.h"
#include "libs/mime/header.h"
#include "libs/report_file/attachment.h"

namespace godwit::tlsrpt {

absl::StatusOr<Attached> AttachedReport(std::string_view message) {
  // RFC 8460 §6.4 and §6.5.
  static const report_file::Wanted kWanted = {
      {"application/tlsrpt+json", "application/tlsrpt+gzip"}, {}};
  Attached attached;
  GODWIT_ASSIGN_OR_RETURN(attached.file, report_file::AttachedFile(message, kWanted));
  const mime::HeaderBlock header = mime::SplitHeader(message);
  if (const mime::HeaderField* field = header.Find("TLS-Report-Submitter")) {
    attached.submitter = mime::Unfold(field->value);
  }
  return attached;
}

}  // namespace godwit::tlsrpt

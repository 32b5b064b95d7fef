#include "libs/dmarc_report/attachment.h"

#include "libs/report_file/attachment.h"

namespace godwit::dmarc_report {

absl::StatusOr<std::string> AttachedReport(std::string_view message) {
  static const report_file::Wanted kWanted = {
      {"application/gzip", "application/x-gzip", "application/zip", "application/x-zip",
       "application/x-zip-compressed", "text/xml", "application/xml"},
      {".xml", ".gz", ".zip"}};
  return report_file::AttachedFile(message, kWanted);
}

}  // namespace godwit::dmarc_report

// A file as it is attached. Properties: what is unpacked stays within its bounds; what was read can
// be written in either schema and read again, and then stays the same; texts have no control
// characters.

#include <cstdint>
#include <string>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/dmarc_report/attachment.h"
#include "libs/dmarc_report/parse.h"
#include "libs/dmarc_report/write.h"
#include "libs/report_file/pack.h"
#include "libs/report_file/unpack.h"

namespace godwit::dmarc_report {

void CheckText(const std::string& text) {
  GODWIT_CHECK(base::IsUtf8(text) && text.size() <= ParseLimits{}.text_bytes);
  for (const char c : text) GODWIT_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

void Run(std::string_view file) {
  const report_file::UnpackLimits limits{.bytes = 1 << 20, .ratio = 400};
  const absl::StatusOr<std::string> attached = AttachedReport(file);
  GODWIT_CHECK(!attached.ok() || attached->size() <= file.size());
  const absl::StatusOr<std::string> xml = report_file::Unpack(file, limits);
  if (!xml.ok()) return;
  GODWIT_CHECK(xml->size() <= limits.bytes);
  absl::StatusOr<Report> report = ParseXml(*xml);
  if (!report.ok()) return;
  CheckText(report->org_name);
  CheckText(report->policy.domain);
  for (const Schema schema : {Schema::kRfc9990, Schema::kRfc7489}) {
    Report once = *report;
    once.schema = schema;
    const absl::StatusOr<Report> twice = ParseXml(WriteXml(once));
    GODWIT_CHECK(twice.ok());
    GODWIT_CHECK(twice->schema == schema && twice->records.size() == once.records.size());
    const absl::StatusOr<Report> thrice = ParseXml(WriteXml(*twice));
    GODWIT_CHECK(thrice.ok() && *thrice == *twice);
    GODWIT_CHECK(report_file::Unpack(report_file::Gzip(*xml)).value() == *xml);
  }
}

}  // namespace godwit::dmarc_report

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::dmarc_report::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

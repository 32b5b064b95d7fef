// A report as it is attached. Properties: what is found and unpacked stays within its bounds; what
// was read is within the limits, its texts are UTF-8 without control characters, its counts can be
// added up; the limits decide at the size of what was read, neither earlier nor later.

#include <cstdint>
#include <string>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/report_file/unpack.h"
#include "libs/tlsrpt/attachment.h"
#include "libs/tlsrpt/parse.h"

namespace godwit::tlsrpt {

void CheckText(const std::string& text) {
  GODWIT_CHECK(base::IsUtf8(text) && text.size() <= ParseLimits{}.text_bytes);
  for (const char c : text) GODWIT_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

void CheckCount(int64_t count) { GODWIT_CHECK(count >= 0 && count < (int64_t{1} << 53)); }

size_t CheckPolicy(const Policy& policy) {
  GODWIT_CHECK(!policy.domain.empty());
  CheckText(policy.type);
  CheckText(policy.domain);
  for (const std::string& line : policy.text) CheckText(line);
  for (const std::string& host : policy.mx_hosts) CheckText(host);
  CheckCount(policy.successful);
  CheckCount(policy.failed);
  for (const Failure& failure : policy.failures) {
    CheckText(failure.result_type);
    CheckText(failure.mx_host);
    CheckText(failure.mx_helo);
    CheckText(failure.reason_code);
    CheckText(failure.additional_info);
    CheckCount(failure.sessions);
  }
  return policy.failures.size();
}

void Run(std::string_view file) {
  const absl::StatusOr<Attached> attached = AttachedReport(file);
  GODWIT_CHECK(!attached.ok() || attached->file.size() <= file.size());
  const report_file::UnpackLimits unpacking{.bytes = 1 << 20, .ratio = 400};
  const auto json = report_file::Unpack(attached.ok() ? attached->file : file, unpacking);
  if (!json.ok()) return;
  GODWIT_CHECK(json->size() <= unpacking.bytes);
  const absl::StatusOr<Report> report = ParseReport(*json);
  if (!report.ok()) return;
  for (const std::string* text : {&report->organization, &report->contact, &report->report_id}) {
    CheckText(*text);
  }
  GODWIT_CHECK(report->begin <= report->end && !report->policies.empty());
  size_t failures = 0;
  for (const Policy& policy : report->policies) failures += CheckPolicy(policy);
  ParseLimits exact;
  exact.policies = report->policies.size();
  exact.failures = failures;
  const absl::StatusOr<Report> again = ParseReport(*json, exact);
  GODWIT_CHECK(again.ok() && *again == *report);
  --exact.policies;
  GODWIT_CHECK(!ParseReport(*json, exact).ok());
}

}  // namespace godwit::tlsrpt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::tlsrpt::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

// The input is a message; behind its first line with "===" alone, the text of a report. Properties:
// limits hold; every text that comes out is one line of good UTF-8; what was read can be written,
// and reads back the same.

#include <cstdint>
#include <string>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/dsn/parse.h"
#include "libs/dsn/write.h"

namespace godwit::dsn {
namespace {

const ParseLimits kLimits = {
    .message_bytes = 64 * 1024, .report_bytes = 16 * 1024, .recipients = 20, .field_bytes = 140};

void CheckText(std::string_view text) {
  GODWIT_CHECK(text.size() <= kLimits.field_bytes);
  GODWIT_CHECK(base::IsUtf8(text));
  for (const char c : text) GODWIT_CHECK(static_cast<unsigned char>(c) >= 32 && c != 127);
}

void CheckReport(const Report& report) {
  GODWIT_CHECK(!report.recipients.empty() && report.recipients.size() <= kLimits.recipients);
  for (const auto* text : {&report.reporting_mta, &report.envelope_id, &report.received_from_mta}) {
    CheckText(*text);
  }
  for (const Recipient& r : report.recipients) {
    GODWIT_CHECK(!r.final_recipient.address.empty());
    for (const auto* text : {&r.final_recipient.type, &r.final_recipient.address, &r.status,
                             &r.remote_mta, &r.diagnostic}) {
      CheckText(*text);
    }
  }
}

Report Rewritten(const Report& report) {
  Notification n;
  n.message_id = "a@b";
  n.boundary = "0123456789abcdefghjk";
  n.from = "a@b";
  n.to = "a@b";
  n.report = report;
  n.report.reporting_mta = "mx";
  n.smtputf8 = true;
  const auto written = Write(n);
  GODWIT_CHECK(written.ok());
  const auto parsed = Parse(written->head + written->tail);
  GODWIT_CHECK(parsed.has_value());
  return parsed->report;
}

void Run(std::string_view input) {
  const size_t cut = input.find("\n===\n");
  if (const auto parsed = Parse(input.substr(0, cut), kLimits)) {
    CheckReport(parsed->report);
    GODWIT_CHECK(parsed->original_header.empty() || parsed->original_header.ends_with("\r\n"));
  }
  if (cut == input.npos) return;
  const auto parsed = ParseReport(input.substr(cut + 5), kLimits);
  if (!parsed) return;
  CheckReport(parsed->report);
  // Once more through both is as it was: the first time made it fit.
  const Report once = Rewritten(parsed->report);
  GODWIT_CHECK(once.recipients.size() == parsed->report.recipients.size());
  GODWIT_CHECK(Rewritten(once) == once);
}

}  // namespace
}  // namespace godwit::dsn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::dsn::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

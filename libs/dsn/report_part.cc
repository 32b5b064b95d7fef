#include "libs/dsn/report_part.h"

#include <algorithm>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/dsn/clean.h"
#include "libs/dsn/utf8_address.h"
#include "libs/mime/date.h"
#include "libs/mime/header.h"

namespace godwit::dsn {
namespace {

// "rfc822; bob@example.org". RFC 6533 §3 and §4: in an ASCII report the type utf-8 is escaped, in a
// global one it stands as it is, unless its own backslashes could be taken for escapes.
std::string AddressValue(const TypedAddress& address, bool utf8) {
  const bool is_utf8 = address.type == "utf-8" || !base::IsAscii(address.address);
  if (!is_utf8) {
    const std::string type = CleanLine(address.type, false);
    return (type.empty() ? "rfc822" : type) + "; " + CleanLine(address.address, false);
  }
  const std::string clean = CleanLine(address.address, true);
  const bool as_it_is = utf8 && clean.find('\\') == std::string::npos;
  return "utf-8; " + (as_it_is ? clean : EncodeUtf8Address(clean));
}

// RFC 3463 §2: class "." subject "." detail.
bool IsStatus(std::string_view text) {
  const auto parts = base::Split(text, '.');
  if (parts.size() != 3 || parts[0].size() != 1) return false;
  if (parts[0] != "2" && parts[0] != "4" && parts[0] != "5") return false;
  return std::all_of(parts.begin() + 1, parts.end(), [](std::string_view part) {
    return part.size() <= 3 && base::ParseDecimal(part).has_value();
  });
}

std::string_view DefaultStatus(Action action) {
  if (action == Action::kFailed) return "5.0.0";
  return action == Action::kDelayed ? "4.0.0" : "2.0.0";
}

// Nothing for an empty value.
void AppendTyped(std::string* out, std::string_view name, std::string_view type,
                 const std::string& value) {
  if (value.empty()) return;
  std::string typed(type);
  if (!typed.empty()) typed += "; ";
  mime::AppendField(out, name, typed + value);
}

void AppendDate(std::string* out, std::string_view name, const std::optional<absl::Time>& time) {
  if (time) mime::AppendField(out, name, mime::FormatDate(*time));
}

// RFC 3464 §2.3.
void AppendRecipient(std::string* out, const Recipient& recipient, bool utf8) {
  *out += "\r\n";
  if (recipient.original_recipient) {
    mime::AppendField(out, "Original-Recipient", AddressValue(*recipient.original_recipient, utf8));
  }
  mime::AppendField(out, "Final-Recipient", AddressValue(recipient.final_recipient, utf8));
  mime::AppendField(out, "Action", ActionName(recipient.action));
  mime::AppendField(
      out, "Status",
      IsStatus(recipient.status) ? recipient.status : DefaultStatus(recipient.action));
  AppendTyped(out, "Remote-MTA", "dns", CleanLine(recipient.remote_mta, false));
  AppendTyped(out, "Diagnostic-Code", "smtp", CleanLine(recipient.diagnostic, utf8));
  AppendDate(out, "Last-Attempt-Date", recipient.last_attempt);
  // §2.3.9: for delays only.
  if (recipient.action == Action::kDelayed) {
    AppendDate(out, "Will-Retry-Until", recipient.will_retry_until);
  }
}

}  // namespace

std::string WriteReport(const Report& report, bool utf8) {
  std::string out;
  // RFC 3464 §2.2; RFC 3461 §6.3: ENVID goes back as it was given.
  AppendTyped(&out, "Original-Envelope-Id", "", CleanLine(report.envelope_id, false));
  AppendTyped(&out, "Reporting-MTA", "dns", CleanLine(report.reporting_mta, false));
  AppendTyped(&out, "Received-From-MTA", "dns", CleanLine(report.received_from_mta, false));
  AppendDate(&out, "Arrival-Date", report.arrival);
  for (const Recipient& recipient : report.recipients) AppendRecipient(&out, recipient, utf8);
  return out;
}

}  // namespace godwit::dsn

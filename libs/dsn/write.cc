#include "libs/dsn/write.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dsn/clean.h"
#include "libs/dsn/report_part.h"
#include "libs/dsn/text_part.h"
#include "libs/mime/address.h"
#include "libs/mime/date.h"
#include "libs/mime/header.h"
#include "libs/mime/message_id.h"
#include "libs/smtp/path.h"

namespace godwit::dsn {
namespace {

constexpr size_t kMinBoundary = 20;  // 100 bits and more, of base 32
constexpr size_t kMaxBoundary = 70;  // RFC 2046 §5.1.1
constexpr size_t kMaxMessageId = 250;
constexpr size_t kMaxLine = 998;  // RFC 5322 §2.1.1

bool IsMessageId(std::string_view id) {
  const bool graphic = std::all_of(
      id.begin(), id.end(), [](char c) { return c > 32 && c < 127 && c != '<' && c != '>'; });
  return graphic && id.size() <= kMaxMessageId && id.find('@') != std::string_view::npos;
}

absl::Status Check(const Notification& n) {
  if (n.report.recipients.empty()) return base::InvalidArgument("no recipient to report about");
  if (CleanLine(n.report.reporting_mta, false).empty()) {
    return base::InvalidArgument("no reporting MTA");
  }
  const bool boundary = n.boundary.size() >= kMinBoundary && n.boundary.size() <= kMaxBoundary &&
                        std::all_of(n.boundary.begin(), n.boundary.end(), base::IsAlnum);
  if (!boundary) return base::InvalidArgument("boundary is no token of 20 to 70 characters");
  if (!IsMessageId(n.message_id)) return base::InvalidArgument("message id is none");
  if (!smtp::ParseMailbox(n.from)) return base::InvalidArgument("from is no address");
  if (!smtp::ParseMailbox(n.to, smtp::kWidePath)) return base::InvalidArgument("to is no address");
  return absl::OkStatus();
}

// The field that makes mail programs show the notification with the message it is about.
void AppendThread(const std::string& original_header, std::string* out) {
  const mime::HeaderBlock header = mime::SplitHeader(original_header);
  const mime::HeaderField* field = header.Find("Message-ID");
  if (field == nullptr) return;
  const std::vector<std::string> ids = mime::ParseMessageIds(field->value, 1);
  if (ids.empty() || !IsMessageId(ids[0])) return;
  mime::AppendField(out, "In-Reply-To", "<" + ids[0] + ">");
  mime::AppendField(out, "References", "<" + ids[0] + ">");
}

std::string TopHeader(const Notification& n, const std::string& original_header, bool needs_8bit) {
  std::string out;
  const smtp::Address from = *smtp::ParseMailbox(n.from);
  mime::AppendField(&out, "From",
                    mime::QuotePhrase(CleanLine(n.from_name, true)) + " " + from.ToPath());
  mime::AppendField(&out, "To", smtp::ParseMailbox(n.to, smtp::kWidePath)->ToPath());
  mime::AppendField(&out, "Subject", SubjectText(n.report));
  mime::AppendField(&out, "Date", mime::FormatDate(n.date));
  mime::AppendField(&out, "Message-ID", "<" + n.message_id + ">");
  AppendThread(original_header, &out);
  // RFC 3834 §5: an answer of a program to this message, which no program should answer.
  mime::AppendField(&out, "Auto-Submitted", "auto-replied");
  mime::AppendField(&out, "MIME-Version", "1.0");
  // RFC 6522 §3.
  mime::AppendField(
      &out, "Content-Type",
      "multipart/report; report-type=delivery-status; boundary=\"" + n.boundary + "\"");
  // RFC 2045 §6.4: a multipart says what its parts need.
  if (needs_8bit) mime::AppendField(&out, "Content-Transfer-Encoding", "8bit");
  return out + "\r\n";
}

struct PartHead {
  std::string_view type;
  std::string_view description;
  std::string_view encoding;
};

void OpenPart(const std::string& boundary, const PartHead& head, std::string* out) {
  *out += "--" + boundary + "\r\n";
  mime::AppendField(out, "Content-Type", head.type);
  mime::AppendField(out, "Content-Description", head.description);
  mime::AppendField(out, "Content-Transfer-Encoding", head.encoding);
  *out += "\r\n";
}

void AppendTextPart(const Notification& n, std::string* out) {
  const std::string text = WriteText(n.report, n.returned);
  const bool ascii = base::IsAscii(text);
  const bool quoted = !ascii && !n.smtputf8;
  OpenPart(n.boundary,
           {ascii ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8", "Notification",
            quoted ? "quoted-printable" : (ascii ? "7bit" : "8bit")},
           out);
  *out += quoted ? QuotedPrintable(text) : text;
}

// True when the part is a global one.
bool AppendReportPart(const Notification& n, std::string* out) {
  const std::string report = WriteReport(n.report, n.smtputf8);
  const bool ascii = base::IsAscii(report);
  // RFC 3464 §2.1: 7bit, to be read; RFC 6533 §4 for what is not ASCII.
  OpenPart(n.boundary,
           {ascii ? "message/delivery-status" : "message/global-delivery-status", "Delivery report",
            ascii ? "7bit" : "8bit"},
           out);
  *out += report;
  return !ascii;
}

bool HasLongLine(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find("\r\n", at), text.size());
    if (end - at > kMaxLine) return true;
    at = end + 2;
  }
  return false;
}

// RFC 6522 §4; RFC 6533 §5 for a header in UTF-8. True when the part is a global one.
bool AppendHeaderPart(const Notification& n, const std::string& header, std::string* out) {
  const bool ascii = base::IsAscii(header);
  const bool global = !ascii && n.smtputf8 && base::IsUtf8(header);
  const bool quoted = (!ascii && !global) || HasLongLine(header);
  OpenPart(n.boundary,
           {global ? "message/global-headers" : "text/rfc822-headers", "Header of your message",
            quoted ? "quoted-printable" : (ascii ? "7bit" : "8bit")},
           out);
  *out += quoted ? QuotedPrintable(header) : header;
  return global && !quoted;
}

bool OpenMessagePart(const Notification& n, const std::string& header, std::string* out) {
  const bool ascii = base::IsAscii(header);
  const bool global = !ascii && n.smtputf8;
  OpenPart(n.boundary,
           {global ? "message/global" : "message/rfc822", "Your message",
            ascii && !n.original_body_8bit ? "7bit" : "8bit"},
           out);
  return global;
}

}  // namespace

absl::StatusOr<Written> Write(const Notification& notification) {
  const Notification& n = notification;
  GODWIT_RETURN_IF_ERROR(Check(n));
  const std::string header = CleanHeader(n.original_header);
  std::string parts = "This is a delivery status notification in MIME format.\r\n\r\n";
  AppendTextPart(n, &parts);
  parts += "\r\n";
  bool global = AppendReportPart(n, &parts);
  parts += "\r\n";
  Written written;
  if (n.returned == Returned::kMessage) {
    global |= OpenMessagePart(n, header, &parts);
    written.needs_8bit = n.original_body_8bit || !base::IsAscii(header);
  } else {
    global |= AppendHeaderPart(n, header, &parts);
  }
  written.needs_8bit |= !base::IsAscii(parts);
  written.head = TopHeader(n, header, written.needs_8bit);
  // RFC 6531 §3.2: UTF-8 in the header, or in that of a part's message.
  written.needs_smtputf8 = global || !base::IsAscii(written.head);
  written.head += parts;
  written.tail = "\r\n--" + n.boundary + "--\r\n";
  return written;
}

}  // namespace godwit::dsn

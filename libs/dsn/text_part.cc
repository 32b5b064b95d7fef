#include "libs/dsn/text_part.h"

#include <algorithm>
#include <array>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/dsn/clean.h"
#include "libs/mime/date.h"

namespace godwit::dsn {
namespace {

constexpr size_t kWidth = 76;
constexpr size_t kLongWord = 900;  // RFC 5322 §2.1.1: a line has at most 998 octets

struct Words {
  Action action;
  std::string_view subject;
  std::string_view one;   // before one recipient
  std::string_view many;  // before several
  std::string_view after;
};

// The worst first.
constexpr std::array<Words, 5> kWords = {{
    {Action::kFailed, "Mail could not be delivered",
     "Your message could not be delivered to this recipient:",
     "Your message could not be delivered to these recipients:", "It is not tried again."},
    {Action::kDelayed, "Mail is delayed", "Your message has not reached this recipient yet:",
     "Your message has not reached these recipients yet:",
     "It is tried again. You need not send it once more."},
    {Action::kDelivered, "Mail was delivered", "Your message was delivered to this recipient:",
     "Your message was delivered to these recipients:", ""},
    {Action::kRelayed, "Mail was passed on",
     "Your message was passed on for this recipient to a server that does not tell what becomes "
     "of it:",
     "Your message was passed on for these recipients to servers that do not tell what becomes "
     "of it:",
     ""},
    {Action::kExpanded, "Mail was delivered to a list",
     "Your message was delivered to this list, and sent on to its members:",
     "Your message was delivered to these lists, and sent on to their members:", ""},
}};

// At most `size` octets from the front of `*text`, whole characters.
std::string_view TakeFront(std::string_view* text, size_t size) {
  while (size > 1 && (static_cast<unsigned char>((*text)[size]) & 0xC0) == 0x80) --size;
  const std::string_view front = text->substr(0, size);
  text->remove_prefix(size);
  return front;
}

// Appends `text` in lines that begin with `indent`, broken at spaces where there are some.
void AppendWrapped(std::string_view indent, std::string_view text, std::string* out) {
  std::string line(indent);
  bool empty = true;
  for (std::string_view word : base::Split(text, ' ')) {
    while (empty ? word.size() > kLongWord : line.size() + 1 + word.size() > kWidth) {
      if (empty) line += TakeFront(&word, kLongWord);
      *out += line + "\r\n";
      line = indent;
      empty = true;
    }
    if (!empty) line += ' ';
    line += word;
    empty = false;
  }
  *out += line + "\r\n";
}

void AppendRecipient(const Recipient& recipient, std::string* out) {
  const std::string address = CleanLine(recipient.final_recipient.address, true);
  std::string first = "<" + address + ">";
  if (recipient.original_recipient) {
    const std::string original = CleanLine(recipient.original_recipient->address, true);
    if (original != address) first += " (for <" + original + ">)";
  }
  *out += "\r\n";
  AppendWrapped("  ", first, out);
  const std::string explanation = CleanLine(recipient.explanation, true);
  if (!explanation.empty()) AppendWrapped("    ", explanation, out);
  const std::string reply = CleanLine(recipient.diagnostic, true);
  const std::string server = CleanLine(recipient.remote_mta, false);
  if (!reply.empty()) {
    AppendWrapped("    ", (server.empty() ? "The answer was:" : server + " answered:"), out);
    AppendWrapped("      ", reply, out);
  }
  if (recipient.action == Action::kDelayed && recipient.will_retry_until) {
    AppendWrapped("    ", "Tries go on until " + mime::FormatDate(*recipient.will_retry_until),
                  out);
  }
}

void AppendGroup(const Words& words, const Report& report, std::string* out) {
  const auto in_group = [&](const Recipient& r) { return r.action == words.action; };
  const auto count = std::count_if(report.recipients.begin(), report.recipients.end(), in_group);
  if (count == 0) return;
  *out += "\r\n";
  AppendWrapped("", count == 1 ? words.one : words.many, out);
  for (const Recipient& recipient : report.recipients) {
    if (in_group(recipient)) AppendRecipient(recipient, out);
  }
  if (words.after.empty()) return;
  *out += "\r\n";
  AppendWrapped("", words.after, out);
}

}  // namespace

std::string_view SubjectText(const Report& report) {
  for (const Words& words : kWords) {
    for (const Recipient& recipient : report.recipients) {
      if (recipient.action == words.action) return words.subject;
    }
  }
  return kWords[0].subject;
}

std::string WriteText(const Report& report, Returned returned) {
  std::string out;
  AppendWrapped("", "This is the mail system at " + CleanLine(report.reporting_mta, false) + ".",
                &out);
  for (const Words& words : kWords) AppendGroup(words, report, &out);
  out += "\r\n";
  AppendWrapped("",
                returned == Returned::kMessage
                    ? "A report for mail programs and your message are attached."
                    : "A report for mail programs and the header of your message are attached.",
                &out);
  return out;
}

}  // namespace godwit::dsn

#include "libs/dsn/parse.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/dsn/clean.h"
#include "libs/dsn/utf8_address.h"
#include "libs/mime/date.h"
#include "libs/mime/header.h"
#include "libs/mime/message_id.h"
#include "libs/mime/parser.h"
#include "libs/mime/transfer.h"

namespace godwit::dsn {
namespace {

// A field of the report, unfolded, as its functions see it.
struct Value {
  std::string type;  // what stands before ";", lower case; "" without one
  std::string text;
};

Value SplitType(std::string_view text) {
  const size_t semicolon = text.find(';');
  if (semicolon == std::string_view::npos) return {"", CleanLine(text, true)};
  return {base::Lower(CleanLine(text.substr(0, semicolon), false)),
          CleanLine(text.substr(semicolon + 1), true)};
}

// The first word: what follows is a comment (RFC 3464 §2.1.1) or an address in parentheses.
std::string FirstWord(std::string_view text) {
  return std::string(text.substr(0, text.find_first_of(" (")));
}

TypedAddress ToAddress(Value value) {
  if (value.text.starts_with('<') && value.text.ends_with('>')) {
    value.text = value.text.substr(1, value.text.size() - 2);
  }
  if (value.type.empty()) value.type = "rfc822";
  if (value.type == "utf-8") {
    // What decodes to something with a line end in it is no address.
    const auto decoded = DecodeUtf8Address(value.text);
    if (decoded && CleanLine(*decoded, true) == *decoded) value.text = *decoded;
  }
  return {std::move(value.type), std::move(value.text)};
}

std::optional<absl::Time> ToTime(const Value& value) {
  const auto date = mime::ParseDate(value.text);
  if (!date) return std::nullopt;
  return date->time;
}

// Puts fields together to a Report.
class Builder {
 public:
  explicit Builder(const ParseLimits& limits) : limits_(limits) {}

  void Field(std::string_view name, std::string_view raw) {
    std::string text = mime::Unfold(raw);
    if (text.size() > limits_.field_bytes) {
      parsed_.complete = false;
      text = Cut(text, limits_.field_bytes);
    }
    const std::string key = base::Lower(name);
    if (key == "original-envelope-id") {
      parsed_.report.envelope_id = CleanLine(text, true);
      return;
    }
    const Value value = SplitType(text);
    if (!MessageField(key, value)) RecipientField(key, value);
  }

  // An empty line, or the end.
  void EndGroup() {
    if (!open_) return;
    const bool usable = has_action_ && !current_.final_recipient.address.empty();
    if (usable && parsed_.report.recipients.size() >= limits_.recipients) {
      parsed_.complete = false;
    } else if (usable) {
      parsed_.report.recipients.push_back(std::move(current_));
    }
    current_ = {};
    open_ = has_action_ = false;
  }

  bool full() const { return parsed_.report.recipients.size() >= limits_.recipients; }
  Parsed& parsed() { return parsed_; }

 private:
  // At most `size` octets, whole characters.
  static std::string Cut(const std::string& text, size_t size) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    return text.substr(0, size);
  }

  // RFC 3464 §2.2. False when it is no such field.
  bool MessageField(std::string_view key, const Value& value) {
    Report& report = parsed_.report;
    if (key == "reporting-mta") {
      report.reporting_mta = FirstWord(value.text);
    } else if (key == "received-from-mta") {
      report.received_from_mta = FirstWord(value.text);
    } else if (key == "arrival-date") {
      report.arrival = ToTime(value);
    } else {
      return false;
    }
    return true;
  }

  // RFC 3464 §2.3.
  void RecipientField(std::string_view key, const Value& value) {
    if (key == "final-recipient") {
      // Some leave out the empty line between recipients.
      if (!current_.final_recipient.address.empty()) EndGroup();
      current_.final_recipient = ToAddress(value);
    } else if (key == "original-recipient") {
      if (!current_.final_recipient.address.empty() && has_action_) EndGroup();
      current_.original_recipient = ToAddress(value);
      if (current_.original_recipient->address.empty()) current_.original_recipient.reset();
    } else if (key == "action") {
      const auto action = FindAction(FirstWord(value.text));
      has_action_ = action.has_value();
      current_.action = action.value_or(Action::kFailed);
    } else if (key == "status") {
      current_.status = FirstWord(value.text);
    } else if (key == "remote-mta") {
      current_.remote_mta = FirstWord(value.text);
    } else if (key == "diagnostic-code") {
      current_.diagnostic = value.text;
    } else if (key == "last-attempt-date") {
      current_.last_attempt = ToTime(value);
    } else if (key == "will-retry-until") {
      current_.will_retry_until = ToTime(value);
    } else {
      return;
    }
    open_ = true;
  }

  const ParseLimits& limits_;
  Parsed parsed_;
  Recipient current_;
  bool open_ = false;
  bool has_action_ = false;
};

// What of the message matters here.
struct Parts {
  const mime::Part* report = nullptr;
  const mime::Part* original = nullptr;  // a header, or an embedded message
};

bool IsReport(const mime::Part& part) {
  return part.kind == mime::Part::Kind::kLeaf && part.type == "message" &&
         (part.subtype == "delivery-status" || part.subtype == "global-delivery-status");
}

bool IsOriginal(const mime::Part& part) {
  if (part.kind == mime::Part::Kind::kMessage) return true;
  return (part.type == "text" && part.subtype == "rfc822-headers") ||
         (part.type == "message" && part.subtype == "global-headers");
}

// Embedded messages are not entered: a report in one is about another message. The depth is bounded
// by the parser.
void FindParts(const mime::Part& part, Parts* parts) {
  if (parts->report == nullptr && IsReport(part)) parts->report = &part;
  if (parts->original == nullptr && IsOriginal(part)) parts->original = &part;
  if (part.kind != mime::Part::Kind::kMultipart) return;
  for (const mime::Part& child : part.children) FindParts(child, parts);
}

// The content of a leaf, decoded, up to `limit` octets.
std::string Decoded(const mime::Part& part, std::string_view body, size_t limit, bool* complete) {
  std::string_view content = body.substr(part.body_offset, part.body_size);
  mime::TransferDecoder decoder(mime::ParseTransferEncoding(part.encoding));
  std::string out;
  // Decoding makes nothing longer, and base64 a third shorter.
  if (content.size() > 4 * limit) content = content.substr(0, 4 * limit);
  decoder.Decode(content, &out);
  decoder.Finish(&out);
  if (out.size() > limit || content.size() < part.body_size) *complete = false;
  if (out.size() > limit) out.resize(limit);
  return out;
}

std::string OriginalHeader(const mime::Part& part, std::string_view body, size_t limit,
                           bool* complete) {
  if (part.kind == mime::Part::Kind::kMessage) {
    const mime::Part& message = part.children.at(0);
    return CleanHeader(body.substr(message.header_offset, message.header_size).substr(0, limit));
  }
  return CleanHeader(Decoded(part, body, limit, complete));
}

std::string MessageIdOf(std::string_view header) {
  const mime::HeaderBlock block = mime::SplitHeader(header);
  const mime::HeaderField* field = block.Find("Message-ID");
  if (field == nullptr) return "";
  const auto ids = mime::ParseMessageIds(field->value, 1);
  return ids.empty() ? "" : ids[0];
}

}  // namespace

std::optional<Parsed> ParseReport(std::string_view part, const ParseLimits& limits) {
  Builder builder(limits);
  if (part.size() > limits.report_bytes) {
    builder.parsed().complete = false;
    part = part.substr(0, limits.report_bytes);
  }
  while (!part.empty()) {
    const mime::HeaderBlock group = mime::SplitHeader(part);
    for (const mime::HeaderField& field : group.fields) builder.Field(field.name, field.value);
    if (group.truncated) builder.parsed().complete = false;
    builder.EndGroup();
    part.remove_prefix(group.size);
    if (builder.full() && !part.empty()) break;
  }
  Parsed& parsed = builder.parsed();
  if (!base::Trim(part).empty()) parsed.complete = false;
  if (parsed.report.recipients.empty()) return std::nullopt;
  return std::move(parsed);
}

std::optional<Parsed> Parse(std::string_view message, const ParseLimits& limits) {
  const std::string_view seen = message.substr(0, limits.message_bytes);
  const mime::Summary summary = mime::ParseMessage(seen);
  Parts parts;
  FindParts(summary.root, &parts);
  if (parts.report == nullptr) return std::nullopt;
  const std::string_view body = seen.substr(summary.header_size);
  bool complete = seen.size() == message.size() && !summary.limited;
  auto parsed = ParseReport(Decoded(*parts.report, body, limits.report_bytes, &complete), limits);
  if (!parsed) return std::nullopt;
  if (parts.original != nullptr) {
    parsed->original_header = OriginalHeader(*parts.original, body, limits.report_bytes, &complete);
    parsed->original_message_id = MessageIdOf(parsed->original_header);
  }
  parsed->complete = parsed->complete && complete;
  return parsed;
}

}  // namespace godwit::dsn

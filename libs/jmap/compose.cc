#include "libs/jmap/compose.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/jmap/email.h"
#include "libs/jmap/header_forms.h"
#include "libs/jmap/id.h"
#include "libs/mime/date.h"
#include "libs/mime/header.h"
#include "libs/mime/parameter.h"

namespace godwit::jmap {
namespace {

// RFC 2045 §6.7: lines of at most 76 characters, "=" at the end of a soft break.
constexpr size_t kQpLine = 76;
// RFC 5322 §2.1.1.
constexpr size_t kMaxLine = 998;

struct Convenience {
  std::string_view property;
  std::string_view field;
  HeaderForm form;
};
// RFC 8621 §4.1.3: properties that stand for header fields, in the order they are written.
constexpr std::string_view kMessageType = "message/rfc822";
// RFC 5322 §3.6, RFC 2045 §4: at most once in a header.
constexpr std::array<std::string_view, 12> kOnce = {
    "date", "from",       "sender",      "reply-to",   "to",      "cc",
    "bcc",  "message-id", "in-reply-to", "references", "subject", "mime-version"};
constexpr std::array<Convenience, 11> kFields = {
    {{"from", "From", HeaderForm::kAddresses},
     {"sender", "Sender", HeaderForm::kAddresses},
     {"replyTo", "Reply-To", HeaderForm::kAddresses},
     {"to", "To", HeaderForm::kAddresses},
     {"cc", "Cc", HeaderForm::kAddresses},
     {"bcc", "Bcc", HeaderForm::kAddresses},
     {"subject", "Subject", HeaderForm::kText},
     {"sentAt", "Date", HeaderForm::kDate},
     {"messageId", "Message-ID", HeaderForm::kMessageIds},
     {"inReplyTo", "In-Reply-To", HeaderForm::kMessageIds},
     {"references", "References", HeaderForm::kMessageIds}}};

// Not header fields, and known.
constexpr std::array<std::string_view, 8> kOther = {"mailboxIds",  "keywords",     "receivedAt",
                                                    "bodyValues",  "textBody",     "htmlBody",
                                                    "attachments", "bodyStructure"};

char Hex(unsigned value) { return "0123456789ABCDEF"[value & 15]; }

// One line without its end.
void QuotedPrintableLine(std::string_view line, std::string* out) {
  size_t column = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const auto octet = static_cast<unsigned char>(line[i]);
    const bool last = i + 1 == line.size();
    const bool space = octet == ' ' || octet == '\t';
    const bool plain = (octet > ' ' && octet < 127 && octet != '=') || (space && !last);
    const size_t size = plain ? 1 : 3;
    if (column + size > kQpLine - 1) {
      *out += "=\r\n";
      column = 0;
    }
    if (plain) {
      out->push_back(line[i]);
    } else {
      *out += {'=', Hex(octet >> 4), Hex(octet)};
    }
    column += size;
  }
}

std::string WithCrlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\r' || c == '\0') continue;
    if (c == '\n') out.push_back('\r');
    out.push_back(c);
  }
  return out;
}

bool FitsAsItIs(std::string_view crlf_text) {
  if (!base::IsAscii(crlf_text)) return false;
  for (const std::string_view line : base::Split(crlf_text, '\n')) {
    if (line.size() > kMaxLine) return false;
  }
  return true;
}

// The encoding and the encoded text.
std::pair<std::string_view, std::string> EncodeText(std::string_view text) {
  std::string crlf = WithCrlf(text);
  if (FitsAsItIs(crlf)) return {"7bit", std::move(crlf)};
  std::string out;
  std::string_view rest = crlf;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find("\r\n"), rest.size());
    QuotedPrintableLine(rest.substr(0, end), &out);
    if (end < rest.size()) out += "\r\n";
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
  return {"quoted-printable", std::move(out)};
}

bool IsMediaType(std::string_view text) {
  const auto type = mime::ParseMediaType(text);
  return type && type->params.empty() && base::IsAscii(text) && text.size() < 200 &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return c <= ' ' || c == ';' || c == '"'; });
}

class Composer {
 public:
  Composer(const json::object& email, const ComposeDefaults& defaults)
      : email_(email), defaults_(defaults) {}

  std::variant<ComposedEmail, SetError> Run() {
    ReadPlacement();
    WriteFields();
    WriteBody();
    if (!bad_.empty()) {
      SetError error{"invalidProperties"};
      error.properties.assign(bad_.begin(), bad_.end());
      return error;
    }
    Flush();
    return std::move(composed_);
  }

 private:
  void Bad(std::string_view property) { bad_.emplace(property); }
  bool Has(std::string_view name) const {
    const json::value* value = Find(email_, name);
    return value != nullptr && !value->is_null();
  }

  void ReadPlacement() {
    const json::value* mailboxes = Find(email_, "mailboxIds");
    const auto ids = mailboxes == nullptr ? std::nullopt : ReadIdSet(*mailboxes);
    if (!ids || ids->empty()) {
      Bad("mailboxIds");
    } else {
      composed_.mailbox_ids = *ids;
    }
    if (Has("keywords")) {
      const auto keywords = ReadKeywords(*Find(email_, "keywords"));
      if (!keywords) Bad("keywords");
      composed_.keywords = keywords.value_or(std::vector<std::string>());
    }
    if (Has("receivedAt")) {
      const auto text = FindString(email_, "receivedAt");
      composed_.received = text ? ParseDate(*text) : std::nullopt;
      if (!composed_.received) Bad("receivedAt");
    }
  }

  void Field(std::string_view name, std::string_view value) {
    written_.insert(base::Lower(name));
    mime::AppendField(&text_, name, value);
  }

  // §4.6: no field twice, whether by property or by header:*.
  void WriteFieldFrom(std::string_view property, std::string_view field, HeaderForm form,
                      const json::value& value) {
    if (value.is_null()) return;
    const auto text = FieldFromJson(form, value);
    if (!text || written_.contains(base::Lower(field))) return Bad(property);
    if (!text->empty()) Field(field, *text);
  }

  void WriteFields() {
    for (const Convenience& each : kFields) {
      const json::value* value = Find(email_, each.property);
      if (value != nullptr) WriteFieldFrom(each.property, each.field, each.form, *value);
    }
    for (const auto& member : email_) {
      const std::string_view name(member.key().data(), member.key().size());
      if (!name.starts_with("header:")) {
        CheckKnown(name);
        continue;
      }
      const auto header = ParseHeaderProperty(name);
      const bool body_field = header && base::StartsWithIgnoreCase(header->field, "content-");
      if (!header || body_field || (header->all && !member.value().is_array())) {
        Bad(name);
        continue;
      }
      if (!header->all) {
        WriteFieldFrom(name, header->field, header->form, member.value());
        continue;
      }
      WriteAll(name, *header, member.value().get_array());
    }
    if (!written_.contains("message-id")) Field("Message-ID", "<" + defaults_.message_id + ">");
    if (!written_.contains("date")) Field("Date", mime::FormatDate(defaults_.now));
    if (!written_.contains("mime-version")) Field("MIME-Version", "1.0");
  }

  // "header:X:all": X as often as there are values, if it may stand there more than once.
  void WriteAll(std::string_view name, const HeaderProperty& header, const json::array& values) {
    const std::string field = base::Lower(header.field);
    const bool once = std::find(kOnce.begin(), kOnce.end(), field) != kOnce.end();
    if (written_.contains(field) || (once && values.size() > 1)) return Bad(name);
    for (const json::value& each : values) {
      written_.erase(field);
      WriteFieldFrom(name, header.field, header.form, each);
    }
  }

  void CheckKnown(std::string_view name) {
    const bool field = std::any_of(kFields.begin(), kFields.end(),
                                   [&](const Convenience& each) { return each.property == name; });
    if (!field && std::find(kOther.begin(), kOther.end(), name) == kOther.end()) Bad(name);
  }

  // §4.6: bodyStructure, or textBody, htmlBody and attachments.
  void WriteBody() {
    if (Has("bodyStructure")) {
      if (Has("textBody") || Has("htmlBody") || Has("attachments")) return Bad("bodyStructure");
      const json::object* structure = Find(email_, "bodyStructure")->if_object();
      if (structure == nullptr) return Bad("bodyStructure");
      return WritePart(*structure, "bodyStructure");
    }
    const json::object* text = OnlyPart("textBody", "text/plain");
    const json::object* html = OnlyPart("htmlBody", "text/html");
    json::array attachments;
    if (Has("attachments")) {
      const json::array* list = Find(email_, "attachments")->if_array();
      if (list == nullptr) return Bad("attachments");
      attachments = *list;
    }
    WritePart(Arrange(text, html, attachments), "bodyValues");
  }

  // §4.6: textBody and htmlBody have exactly one part of their type.
  const json::object* OnlyPart(std::string_view property, std::string_view type) {
    if (!Has(property)) return nullptr;
    const json::array* list = Find(email_, property)->if_array();
    const json::object* part =
        list == nullptr || list->size() != 1 ? nullptr : (*list)[0].if_object();
    const bool right =
        part != nullptr && FindString(*part, "type").value_or(std::string(type)) == type;
    if (!right) Bad(property);
    return right ? part : nullptr;
  }

  static json::object WithType(const json::object* part, std::string_view type) {
    json::object copy = part == nullptr ? json::object() : *part;
    copy["type"] = json::string_view(type.data(), type.size());
    return copy;
  }

  static json::object Multipart(std::string_view type, json::array parts) {
    return {{"type", json::string_view(type.data(), type.size())}, {"subParts", std::move(parts)}};
  }

  static json::object Arrange(const json::object* text, const json::object* html,
                              const json::array& attachments) {
    json::object root;
    if (text != nullptr && html != nullptr) {
      root = Multipart("multipart/alternative",
                       {WithType(text, "text/plain"), WithType(html, "text/html")});
    } else if (html != nullptr) {
      root = WithType(html, "text/html");
    } else {
      root = WithType(text, "text/plain");
    }
    if (attachments.empty()) return root;
    json::array parts = {std::move(root)};
    for (const json::value& each : attachments) parts.push_back(each);
    return Multipart("multipart/mixed", std::move(parts));
  }

  void WritePart(const json::object& part, std::string_view property) {
    if (++parts_ > 500) return Bad(property);
    const json::value* children = Find(part, "subParts");
    const std::string type = base::Lower(FindString(part, "type").value_or("text/plain"));
    if (!IsMediaType(type)) return Bad(property);
    if (type.starts_with("multipart/")) {
      const json::array* list = children == nullptr ? nullptr : children->if_array();
      if (list == nullptr || list->empty()) return Bad(property);
      return WriteMultipart(type, *list, property);
    }
    if (children != nullptr && !children->is_null()) return Bad(property);
    const auto part_id = FindString(part, "partId");
    const auto blob_id = FindString(part, "blobId");
    if (part_id && blob_id) return Bad(property);
    if (blob_id) return WriteBlob(part, type, *blob_id, property);
    WriteText(part, type, part_id, property);
  }

  void WriteMultipart(const std::string& type, const json::array& children,
                      std::string_view property) {
    const std::string boundary = defaults_.boundary + std::to_string(++boundaries_);
    mime::AppendField(&text_, "Content-Type", type + "; boundary=\"" + boundary + "\"");
    // RFC 2045 §6.4: what is made of parts has the least that holds all of them.
    if (std::any_of(children.begin(), children.end(), HoldsMessage)) {
      mime::AppendField(&text_, "Content-Transfer-Encoding", "8bit");
    }
    text_ += "\r\n";
    for (const json::value& child : children) {
      text_ += "\r\n--" + boundary + "\r\n";
      if (child.is_object()) {
        WritePart(child.get_object(), property);
      } else {
        Bad(property);
      }
    }
    text_ += "\r\n--" + boundary + "--\r\n";
  }

  void WriteBlob(const json::object& part, const std::string& type, const std::string& blob_id,
                 std::string_view property) {
    if (!IsId(blob_id)) return Bad(property);
    WritePartFields(part, type, property);
    // RFC 2046 §5.2.1: a message is not put into base64.
    const bool message = type == kMessageType;
    if (type.starts_with("message/") && !message) return Bad(property);
    mime::AppendField(&text_, "Content-Transfer-Encoding", message ? "8bit" : "base64");
    text_ += "\r\n";
    Flush();
    composed_.pieces.push_back({"", blob_id, message});
  }

  static bool HoldsMessage(const json::value& part) {
    const json::object* object = part.if_object();
    if (object == nullptr) return false;
    if (base::Lower(FindString(*object, "type").value_or("")) == kMessageType) return true;
    const json::value* children = Find(*object, "subParts");
    const json::array* list = children == nullptr ? nullptr : children->if_array();
    return list != nullptr && std::any_of(list->begin(), list->end(), HoldsMessage);
  }

  void WriteText(const json::object& part, const std::string& type,
                 const std::optional<std::string>& part_id, std::string_view property) {
    std::string value;
    if (part_id) {
      const json::value* values = Find(email_, "bodyValues");
      const json::object* all = values == nullptr ? nullptr : values->if_object();
      const json::value* one = all == nullptr ? nullptr : Find(*all, *part_id);
      const json::object* object = one == nullptr ? nullptr : one->if_object();
      const auto text = object == nullptr ? std::nullopt : FindString(*object, "value");
      if (!text) return Bad("bodyValues");
      value = *text;
    }
    if (!type.starts_with("text/")) return Bad(property);
    const auto [encoding, encoded] = EncodeText(value);
    WritePartFields(part, type + "; charset=utf-8", property);
    mime::AppendField(&text_, "Content-Transfer-Encoding", encoding);
    text_ += "\r\n" + encoded;
  }

  void WritePartFields(const json::object& part, std::string type, std::string_view property) {
    const auto name = FindString(part, "name");
    if (name) mime::AppendParameter(&type, "name", *name);
    mime::AppendField(&text_, "Content-Type", type);
    std::string disposition = FindString(part, "disposition").value_or(name ? "attachment" : "");
    if (!disposition.empty()) {
      const bool token = std::all_of(disposition.begin(), disposition.end(),
                                     [](char c) { return base::IsAlnum(c) || c == '-'; });
      if (!token) return Bad(property);
      if (name) mime::AppendParameter(&disposition, "filename", *name);
      mime::AppendField(&text_, "Content-Disposition", disposition);
    }
    if (const auto cid = FindString(part, "cid")) {
      const auto id = FieldFromJson(HeaderForm::kMessageIds, json::array{*cid});
      if (!id) return Bad(property);
      mime::AppendField(&text_, "Content-ID", *id);
    }
  }

  void Flush() {
    if (!text_.empty()) composed_.pieces.push_back({std::exchange(text_, {}), ""});
  }

  const json::object& email_;
  const ComposeDefaults& defaults_;
  ComposedEmail composed_;
  std::string text_;
  std::set<std::string> written_;  // field names, lower case
  std::set<std::string> bad_;
  int boundaries_ = 0;
  int parts_ = 0;
};

}  // namespace

std::variant<ComposedEmail, SetError> ComposeEmail(const json::object& email,
                                                   const ComposeDefaults& defaults) {
  return Composer(email, defaults).Run();
}

std::optional<std::vector<std::string>> ReadIdSet(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  std::vector<std::string> ids;
  for (const auto& member : *object) {
    const std::string_view id(member.key().data(), member.key().size());
    // Each value is true and nothing else.
    if (!member.value().is_bool() || !member.value().get_bool()) return std::nullopt;
    if (!IsId(id.starts_with('#') ? id.substr(1) : id)) return std::nullopt;
    ids.emplace_back(id);
  }
  return ids;
}

std::optional<std::vector<std::string>> ReadKeywords(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  std::vector<std::string> keywords;
  for (const auto& member : *object) {
    const std::string_view keyword(member.key().data(), member.key().size());
    if (!member.value().is_bool() || !member.value().get_bool()) return std::nullopt;
    if (!IsKeyword(keyword)) return std::nullopt;
    keywords.push_back(base::Lower(keyword));
  }
  std::sort(keywords.begin(), keywords.end());
  return keywords;
}

}  // namespace godwit::jmap

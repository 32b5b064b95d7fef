#include "libs/jmap/email.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/jmap/id.h"
#include "libs/mime/encoded_word.h"

namespace godwit::jmap {
namespace {

constexpr size_t kMaxBodyProperties = 256;

constexpr std::array<std::string_view, 23> kDefault = {
    "id",        "blobId",    "threadId",   "mailboxIds", "keywords",      "size",    "receivedAt",
    "messageId", "inReplyTo", "references", "sender",     "from",          "to",      "cc",
    "bcc",       "replyTo",   "subject",    "sentAt",     "hasAttachment", "preview", "bodyValues",
    "textBody",  "htmlBody"};
constexpr std::array<std::string_view, 3> kMore = {"attachments", "bodyStructure", "headers"};

// Those that come from the email's own row.
constexpr std::array<std::string_view, 9> kCheap = {"id",         "blobId",        "threadId",
                                                    "mailboxIds", "keywords",      "size",
                                                    "receivedAt", "hasAttachment", "preview"};

template <typename Array>
bool In(const Array& array, std::string_view text) {
  return std::find(array.begin(), array.end(), text) != array.end();
}

json::value Ids(const std::vector<std::string>& ids) {
  if (ids.empty()) return nullptr;
  json::array array;
  for (const std::string& id : ids) array.emplace_back(CleanUtf8(id));
  return array;
}

json::value Addresses(const mime::AddressList& list) {
  return list.empty() ? json::value(nullptr) : json::value(AddressesToJson(list));
}

json::object MailboxIds(const EmailSource& source) {
  json::object ids;
  for (const int64_t id : source.mailboxes) ids[FormatId(IdType::kMailbox, id)] = true;
  return ids;
}

json::object Keywords(const EmailSource& source) {
  json::object keywords;
  for (const std::string& keyword : source.keywords) keywords[keyword] = true;
  return keywords;
}

json::value RowProperty(const EmailSource& source, std::string_view name) {
  if (name == "id") return json::value(FormatId(IdType::kEmail, source.id));
  if (name == "blobId") {
    return json::value(FormatBlob({BlobName::Kind::kEmail, source.id, ""}));
  }
  if (name == "threadId") return json::value(FormatId(IdType::kThread, source.thread));
  if (name == "mailboxIds") return MailboxIds(source);
  if (name == "keywords") return Keywords(source);
  if (name == "size") return source.size;
  if (name == "receivedAt") return json::value(FormatUtcDate(source.received));
  if (name == "hasAttachment") return source.has_attachment;
  return json::value(CleanUtf8(source.preview));
}

json::value EnvelopeProperty(const mime::Summary& summary, std::string_view name) {
  const mime::Envelope& envelope = summary.envelope;
  if (name == "messageId") {
    return summary.message_id.empty() ? json::value(nullptr) : Ids({summary.message_id});
  }
  if (name == "inReplyTo") return Ids(summary.in_reply_to);
  if (name == "references") return Ids(summary.references);
  if (name == "sender") return Addresses(envelope.sender);
  if (name == "from") return Addresses(envelope.from);
  if (name == "to") return Addresses(envelope.to);
  if (name == "cc") return Addresses(envelope.cc);
  if (name == "bcc") return Addresses(envelope.bcc);
  if (name == "replyTo") return Addresses(envelope.reply_to);
  if (name == "subject") {
    if (!envelope.subject) return nullptr;
    return json::value(mime::DecodeWords(*envelope.subject));
  }
  if (name == "sentAt" && summary.sent) {
    return json::value(FormatDate(summary.sent->time, summary.sent->offset_minutes));
  }
  return nullptr;
}

json::array AllHeaders(const mime::HeaderBlock& header) {
  json::array all;
  for (const mime::HeaderField& field : header.fields) {
    all.push_back(json::object{{"name", CleanUtf8(field.name)}, {"value", CleanUtf8(field.value)}});
  }
  return all;
}

void AddBodies(const EmailSource& source, const EmailGet& get, json::object* email) {
  const BodyPart tree = MakeBodyTree(source.summary->root);
  const BodyLists lists = ListBodies(tree);
  BodyContext context;
  context.email = source.id;
  context.properties = &get.body;
  context.header_of = source.part_header;
  context.context = source.part_context;
  if (get.Wants("bodyStructure")) {
    (*email)["bodyStructure"] = BodyPartToJson(tree, context, true);
  }
  if (get.Wants("textBody")) (*email)["textBody"] = BodyListToJson(lists.text, context);
  if (get.Wants("htmlBody")) (*email)["htmlBody"] = BodyListToJson(lists.html, context);
  if (get.Wants("attachments")) {
    (*email)["attachments"] = BodyListToJson(lists.attachments, context);
  }
  if (get.Wants("bodyValues")) (*email)["bodyValues"] = source.body_values;
}

}  // namespace

bool EmailGet::Wants(std::string_view property) const { return In(properties, property); }

bool EmailGet::needs_summary() const {
  return std::any_of(properties.begin(), properties.end(),
                     [](const std::string& name) { return !In(kCheap, name); });
}

bool EmailGet::needs_header() const { return !headers.empty() || Wants("headers"); }

bool EmailGet::needs_part_headers() const {
  const bool shown =
      Wants("bodyStructure") || Wants("textBody") || Wants("htmlBody") || Wants("attachments");
  return shown && (!body.headers.empty() || In(body.names, "headers"));
}

std::variant<EmailGet, MethodError> TakeEmailGet(
    const std::optional<std::vector<std::string>>& properties, Arguments* arguments) {
  EmailGet get;
  const auto names = arguments->Strings("bodyProperties");
  if (names && names->size() > kMaxBodyProperties) {
    return MethodError{"invalidArguments", "bodyProperties: too many"};
  }
  const auto body = ParseBodyProperties(names);
  get.fetch_text_values = arguments->Bool("fetchTextBodyValues").value_or(false);
  get.fetch_html_values = arguments->Bool("fetchHTMLBodyValues").value_or(false);
  get.fetch_all_values = arguments->Bool("fetchAllBodyValues").value_or(false);
  get.max_body_value_bytes = arguments->Uint("maxBodyValueBytes").value_or(0);
  if (!body) return MethodError{"invalidArguments", "bodyProperties: one is not known"};
  get.body = *body;
  if (!properties) {
    get.properties.assign(kDefault.begin(), kDefault.end());
    get.properties.emplace_back("attachments");
    return get;
  }
  for (const std::string& name : *properties) {
    if (In(kDefault, name) || In(kMore, name)) {
      get.properties.push_back(name);
    } else if (auto header = ParseHeaderProperty(name)) {
      get.headers.push_back(*std::move(header));
    } else {
      return MethodError{"invalidArguments", "properties: " + name + " is not known"};
    }
  }
  return get;
}

json::object EmailToJson(const EmailSource& source, const EmailGet& get) {
  json::object email = {{"id", FormatId(IdType::kEmail, source.id)}};
  for (const std::string& name : get.properties) {
    if (In(kCheap, name)) {
      email[name] = RowProperty(source, name);
    } else if (name != "headers" && source.summary != nullptr) {
      email[name] = EnvelopeProperty(*source.summary, name);
    }
  }
  if (source.summary != nullptr) AddBodies(source, get, &email);
  if (get.needs_header()) {
    const mime::HeaderBlock header = mime::SplitHeader(source.header);
    if (get.Wants("headers")) email["headers"] = AllHeaders(header);
    for (const HeaderProperty& property : get.headers) {
      email[property.property] = HeaderValue(header, property);
    }
  }
  return email;
}

std::vector<const BodyPart*> ValuesWanted(const BodyPart& tree, const EmailGet& get) {
  std::vector<const BodyPart*> wanted;
  const auto add = [&](const std::vector<const BodyPart*>& list) {
    for (const BodyPart* part : list) {
      const bool text = part->part->type == "text";
      if (text && std::find(wanted.begin(), wanted.end(), part) == wanted.end()) {
        wanted.push_back(part);
      }
    }
  };
  const BodyLists lists = ListBodies(tree);
  if (get.fetch_text_values || get.fetch_all_values) add(lists.text);
  if (get.fetch_html_values || get.fetch_all_values) add(lists.html);
  if (get.fetch_all_values) add(lists.attachments);
  return wanted;
}

bool IsKeyword(std::string_view text) {
  constexpr std::string_view kForbidden = "(){]%*\"\\";
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [&](char c) {
    return c >= '!' && c <= '~' && kForbidden.find(c) == std::string_view::npos;
  });
}

}  // namespace godwit::jmap

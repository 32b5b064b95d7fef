#include "libs/jmap/email_body.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/jmap/id.h"
#include "libs/mime/charset.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/parameter.h"
#include "libs/mime/transfer.h"

namespace godwit::jmap {
namespace {

constexpr std::array<std::string_view, 10> kDefaultProperties = {
    "partId",  "blobId",      "size", "name",     "type",
    "charset", "disposition", "cid",  "language", "location"};
constexpr std::array<std::string_view, 12> kProperties = {
    "partId",      "blobId", "size",     "name",     "type",     "charset",
    "disposition", "cid",    "language", "location", "subParts", "headers"};

// The numbers of IMAP (RFC 9051 §6.4.5.1), without going into attached messages.
BodyPart Number(const mime::Part& part, const std::string& prefix, const std::string& own) {
  BodyPart body;
  body.part = &part;
  if (part.kind != mime::Part::Kind::kMultipart) {
    body.id = own;
    return body;
  }
  size_t n = 0;
  for (const mime::Part& child : part.children) {
    const std::string id = prefix + std::to_string(++n);
    body.children.push_back(Number(child, id + ".", id));
  }
  return body;
}

// §4.1.4: what a client may show in the place where it stands.
bool IsInlineMedia(const BodyPart& part) {
  return part.part->type == "image" || part.part->type == "audio" || part.part->type == "video";
}

class BodyLister {
 public:
  explicit BodyLister(BodyLists* lists) : lists_(lists) {}

  // RFC 8621 §4.1.4, parseStructure(). Null lists stand for "not in this branch".
  void Walk(const std::vector<const BodyPart*>& parts, std::string_view multipart,
            bool in_alternative, std::vector<const BodyPart*>* html,
            std::vector<const BodyPart*>* text) {
    const size_t text_before = text == nullptr ? 0 : text->size();
    const size_t html_before = html == nullptr ? 0 : html->size();
    for (size_t i = 0; i < parts.size(); ++i) {
      const BodyPart& part = *parts[i];
      if (part.part->kind == mime::Part::Kind::kMultipart) {
        WalkChildren(part, in_alternative, html, text);
      } else if (IsInline(part, i, multipart)) {
        AddInline(part, multipart, in_alternative, &html, &text);
      } else {
        lists_->attachments.push_back(&part);
      }
    }
    if (multipart == "alternative" && html != nullptr && text != nullptr) {
      // Only one of the two was found: it stands for both.
      if (text_before == text->size() && html_before != html->size()) {
        text->insert(text->end(), html->begin() + static_cast<ptrdiff_t>(html_before), html->end());
      }
      if (html_before == html->size() && text_before != text->size()) {
        html->insert(html->end(), text->begin() + static_cast<ptrdiff_t>(text_before), text->end());
      }
    }
  }

 private:
  void WalkChildren(const BodyPart& part, bool in_alternative, std::vector<const BodyPart*>* html,
                    std::vector<const BodyPart*>* text) {
    std::vector<const BodyPart*> children;
    for (const BodyPart& child : part.children) children.push_back(&child);
    const std::string& subtype = part.part->subtype;
    Walk(children, subtype, in_alternative || subtype == "alternative", html, text);
  }

  static bool IsInline(const BodyPart& part, size_t position, std::string_view multipart) {
    const bool shown =
        part.type() == "text/plain" || part.type() == "text/html" || IsInlineMedia(part);
    // The first of a related is its root; one with a name behind it is likely a file.
    return !part.is_attachment() && shown &&
           (position == 0 ||
            (multipart != "related" && (IsInlineMedia(part) || part.name().empty())));
  }

  // Within an alternative the first text decides which of the two bodies the rest belongs to.
  void AddInline(const BodyPart& part, std::string_view multipart, bool in_alternative,
                 std::vector<const BodyPart*>** html, std::vector<const BodyPart*>** text) {
    if (multipart == "alternative") {
      if (part.type() == "text/plain" && *text != nullptr) {
        (*text)->push_back(&part);
      } else if (part.type() == "text/html" && *html != nullptr) {
        (*html)->push_back(&part);
      } else {
        lists_->attachments.push_back(&part);
      }
      return;
    }
    if (in_alternative) {
      if (part.type() == "text/plain") *html = nullptr;
      if (part.type() == "text/html") *text = nullptr;
    }
    if (*text != nullptr) (*text)->push_back(&part);
    if (*html != nullptr) (*html)->push_back(&part);
    if ((*text == nullptr || *html == nullptr) && IsInlineMedia(part)) {
      lists_->attachments.push_back(&part);
    }
  }

  BodyLists* lists_;
};

// Octets after decoding, from what is known without reading.
uint64_t DecodedSize(const mime::Part& part) {
  if (mime::ParseTransferEncoding(part.encoding) != mime::TransferEncoding::kBase64) {
    return part.body_size;
  }
  // Each line has a CRLF, but for the last one, whose CRLF is the delimiter's.
  const uint64_t ends = part.lines > 0 ? 2 * (part.lines - 1) : 0;
  const uint64_t characters = part.body_size > ends ? part.body_size - ends : 0;
  return characters / 4 * 3;
}

json::value StringOrNull(std::string_view text) {
  return text.empty() ? json::value(nullptr) : json::value(CleanUtf8(text));
}

json::value Charset(const mime::Part& part) {
  const std::string* charset = mime::FindRawParameter(part.params, "charset");
  if (charset != nullptr) return json::value(CleanUtf8(*charset));
  // §4.1.4: the default of text is us-ascii.
  return part.type == "text" ? json::value("us-ascii") : json::value(nullptr);
}

// §4.1.4: without the angle brackets.
json::value Cid(const mime::Part& part) {
  std::string_view id = base::Trim(part.id);
  if (id.starts_with('<') && id.ends_with('>')) id = id.substr(1, id.size() - 2);
  return StringOrNull(id);
}

json::value PropertyOf(const BodyPart& body, std::string_view name, const BodyContext& context) {
  const mime::Part& part = *body.part;
  const bool multipart = body.id.empty();
  if (name == "partId") return multipart ? json::value(nullptr) : json::value(body.id);
  if (name == "blobId") {
    if (multipart) return nullptr;
    return json::value(FormatBlob({BlobName::Kind::kPart, context.email, body.id}));
  }
  if (name == "size") return multipart ? json::value(0) : json::value(DecodedSize(part));
  if (name == "name") return StringOrNull(body.name());
  if (name == "type") return json::value(body.type());
  if (name == "charset") return Charset(part);
  if (name == "disposition") return StringOrNull(part.disposition ? part.disposition->type : "");
  if (name == "cid") return Cid(part);
  if (name == "language") {
    return part.languages.empty() ? json::value(nullptr) : json::value(ToArray(part.languages));
  }
  if (name == "location") return StringOrNull(part.location);
  return nullptr;
}

json::array AllHeaders(const mime::HeaderBlock& header) {
  json::array all;
  for (const mime::HeaderField& field : header.fields) {
    all.push_back(json::object{{"name", CleanUtf8(field.name)}, {"value", CleanUtf8(field.value)}});
  }
  return all;
}

bool Wants(const BodyProperties& properties, std::string_view name) {
  return std::find(properties.names.begin(), properties.names.end(), name) !=
         properties.names.end();
}

// Where to cut so that no character and no tag is in two.
size_t CutPoint(std::string_view text, size_t max, bool html) {
  if (text.size() <= max) return text.size();
  size_t end = max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  if (!html) return end;
  const size_t open = text.substr(0, end).rfind('<');
  const size_t close = text.substr(0, end).rfind('>');
  const bool within =
      open != std::string_view::npos && (close == std::string_view::npos || close < open);
  return within ? open : end;
}

// §4.1.4: CRLF becomes LF.
std::string WithLf(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (text[i] != '\0') out.push_back(text[i]);
  }
  return out;
}

}  // namespace

std::string BodyPart::type() const {
  // A multipart or message that the parser did not look into is octets to the client.
  if (part->kind == mime::Part::Kind::kLeaf && part->type == "multipart") {
    return "application/octet-stream";
  }
  return CleanUtf8(part->type + "/" + part->subtype);
}

std::string BodyPart::name() const {
  if (part->disposition) {
    if (auto name = mime::FindParameter(part->disposition->params, "filename")) return *name;
  }
  return mime::FindParameter(part->params, "name").value_or("");
}

bool BodyPart::is_attachment() const {
  return part->disposition && part->disposition->type == "attachment";
}

BodyPart MakeBodyTree(const mime::Part& root) { return Number(root, "", "1"); }

const BodyPart* FindBodyPart(const BodyPart& tree, std::string_view id) {
  if (!tree.id.empty() && tree.id == id) return &tree;
  for (const BodyPart& child : tree.children) {
    if (const BodyPart* found = FindBodyPart(child, id)) return found;
  }
  return nullptr;
}

BodyLists ListBodies(const BodyPart& tree) {
  BodyLists lists;
  BodyLister(&lists).Walk({&tree}, "mixed", false, &lists.html, &lists.text);
  return lists;
}

std::optional<BodyProperties> ParseBodyProperties(
    const std::optional<std::vector<std::string>>& names) {
  BodyProperties properties;
  if (!names) {
    properties.names.assign(kDefaultProperties.begin(), kDefaultProperties.end());
    return properties;
  }
  for (const std::string& name : *names) {
    if (std::find(kProperties.begin(), kProperties.end(), name) != kProperties.end()) {
      properties.names.push_back(name);
    } else if (auto header = ParseHeaderProperty(name)) {
      properties.headers.push_back(*std::move(header));
    } else {
      return std::nullopt;
    }
  }
  return properties;
}

json::object BodyPartToJson(const BodyPart& part, const BodyContext& context, bool with_children) {
  json::object object;
  for (const std::string& name : context.properties->names) {
    if (name == "subParts" || name == "headers") continue;
    object[name] = PropertyOf(part, name, context);
  }
  if (!context.properties->headers.empty() || Wants(*context.properties, "headers")) {
    const std::string text =
        context.header_of == nullptr ? "" : context.header_of(context.context, *part.part);
    const mime::HeaderBlock header = mime::SplitHeader(text);
    if (Wants(*context.properties, "headers")) object["headers"] = AllHeaders(header);
    for (const HeaderProperty& property : context.properties->headers) {
      object[property.property] = HeaderValue(header, property);
    }
  }
  if (with_children && !part.children.empty()) {
    json::array children;
    for (const BodyPart& child : part.children) {
      children.push_back(BodyPartToJson(child, context, true));
    }
    object["subParts"] = std::move(children);
  }
  return object;
}

json::array BodyListToJson(const std::vector<const BodyPart*>& list, const BodyContext& context) {
  json::array array;
  for (const BodyPart* part : list) array.push_back(BodyPartToJson(*part, context, false));
  return array;
}

json::object BodyValueToJson(const mime::Part& part, std::string_view octets, bool cut,
                             uint64_t max_bytes) {
  mime::TransferDecoder transfer(mime::ParseTransferEncoding(part.encoding));
  std::string decoded;
  transfer.Decode(octets, &decoded);
  if (!cut) transfer.Finish(&decoded);
  const std::string* name = mime::FindRawParameter(part.params, "charset");
  const std::string charset = name == nullptr ? "us-ascii" : *name;
  mime::CharsetDecoder charset_decoder(charset);
  std::string text;
  charset_decoder.Decode(decoded, &text);
  if (!cut) charset_decoder.Finish(&text);
  text = WithLf(text);
  const bool damaged = !mime::IsKnownCharset(charset) ||
                       (text.find("\xEF\xBF\xBD") != std::string::npos) ||
                       (transfer.damaged() && !cut);
  bool truncated = cut;
  if (max_bytes > 0 && text.size() > max_bytes) {
    text.resize(CutPoint(text, max_bytes, part.subtype == "html"));
    truncated = true;
  }
  return {{"value", text}, {"isEncodingProblem", damaged}, {"isTruncated", truncated}};
}

}  // namespace godwit::jmap

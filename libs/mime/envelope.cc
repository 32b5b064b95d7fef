#include "libs/mime/envelope.h"

#include <optional>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/mime/lexer.h"

namespace godwit::mime {
namespace {

constexpr size_t kMaxLanguages = 50;

std::optional<std::string> Text(const HeaderBlock& header, std::string_view name) {
  const HeaderField* field = header.Find(name);
  if (field == nullptr) return std::nullopt;
  return Unfold(field->value);
}

std::string TextOrEmpty(const HeaderBlock& header, std::string_view name) {
  return Text(header, name).value_or("");
}

AddressList First(const HeaderBlock& header, std::string_view name, size_t max) {
  const HeaderField* field = header.Find(name);
  if (field == nullptr) return {};
  return ParseAddressList(field->value, {.max_addresses = max});
}

// RFC 5322 §4.5.3: fields of destinations may come more than once.
AddressList All(const HeaderBlock& header, std::string_view name, size_t max) {
  AddressList all;
  for (const HeaderField* field : header.FindAll(name)) {
    if (all.size() >= max) break;
    AddressList list = ParseAddressList(field->value, {.max_addresses = max - all.size()});
    all.insert(all.end(), std::make_move_iterator(list.begin()),
               std::make_move_iterator(list.end()));
  }
  return all;
}

// RFC 3282 §2: language tags separated by commas.
std::vector<std::string> Languages(std::string_view value) {
  std::vector<std::string> languages;
  Lexer lexer(value);
  while (!lexer.done() && languages.size() < kMaxLanguages) {
    lexer.SkipSpaceAndComments();
    if (lexer.Take(',') || lexer.Take(')')) continue;
    if (!lexer.done()) languages.push_back(lexer.Word(",()"));
  }
  return languages;
}

// RFC 2045 §6.1: a token, perhaps among comments. "7bit" when there is none (§6.1 default).
std::string Encoding(const HeaderBlock& header) {
  const HeaderField* field = header.Find("Content-Transfer-Encoding");
  if (field == nullptr) return "7bit";
  Lexer lexer(field->value);
  lexer.SkipSpaceAndComments();
  std::string encoding = base::Lower(lexer.Word("();"));
  return encoding.empty() ? "7bit" : encoding;
}

}  // namespace

Envelope ParseEnvelope(const HeaderBlock& header, size_t max_addresses) {
  Envelope envelope;
  envelope.date = Text(header, "Date");
  envelope.subject = Text(header, "Subject");
  envelope.from = First(header, "From", max_addresses);
  envelope.sender = First(header, "Sender", max_addresses);
  envelope.reply_to = First(header, "Reply-To", max_addresses);
  envelope.to = All(header, "To", max_addresses);
  envelope.cc = All(header, "Cc", max_addresses);
  envelope.bcc = All(header, "Bcc", max_addresses);
  envelope.in_reply_to = Text(header, "In-Reply-To");
  envelope.message_id = Text(header, "Message-ID");
  return envelope;
}

void ApplyPartHeader(const HeaderBlock& header, bool in_digest, Part* part) {
  std::optional<MediaType> media;
  if (const HeaderField* field = header.Find("Content-Type")) media = ParseMediaType(field->value);
  // RFC 2045 §5.2: missing or not understood means text/plain; in a digest, missing means a
  // message.
  if (!media && in_digest && header.Find("Content-Type") == nullptr) {
    media = MediaType{"message", "rfc822", {}};
  }
  if (!media) media = MediaType{"text", "plain", {}};
  part->type = std::move(media->type);
  part->subtype = std::move(media->subtype);
  part->params = std::move(media->params);
  part->id = TextOrEmpty(header, "Content-ID");
  part->description = TextOrEmpty(header, "Content-Description");
  part->encoding = Encoding(header);
  part->md5 = TextOrEmpty(header, "Content-MD5");
  part->location = TextOrEmpty(header, "Content-Location");
  if (const HeaderField* field = header.Find("Content-Disposition")) {
    part->disposition = ParseDisposition(field->value);
  }
  if (const HeaderField* field = header.Find("Content-Language")) {
    part->languages = Languages(field->value);
  }
}

}  // namespace godwit::mime

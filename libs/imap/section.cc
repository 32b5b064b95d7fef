#include "libs/imap/section.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/mime/header.h"

namespace godwit::imap {
namespace {

using Text = Section::Text;

Octets HeaderOf(const mime::Part& root, const mime::Part& part, const MessageSizes& sizes) {
  if (&part == &root) return {0, sizes.header};
  return {sizes.header + part.header_offset, part.header_size};
}

Octets BodyOf(const mime::Part& root, const mime::Part& part, const MessageSizes& sizes) {
  if (&part == &root) return {sizes.header, sizes.total - sizes.header};
  return {sizes.header + part.body_offset, part.body_size};
}

// The message that HEADER, HEADER.FIELDS and TEXT speak of: the whole one, or the one inside a
// message/rfc822 part.
const mime::Part* MessageOf(const mime::Part& root, const Section& section) {
  if (section.part.empty()) return &root;
  const mime::Part* part = FindPart(root, section.part);
  if (part == nullptr || part->kind != mime::Part::Kind::kMessage) return nullptr;
  return &part->children.front();
}

}  // namespace

const mime::Part* FindPart(const mime::Part& root, const std::vector<uint32_t>& numbers) {
  const mime::Part* inside = &root;  // whose parts the next number counts
  bool message = true;               // it is a message: without parts it is its own part 1
  const mime::Part* part = nullptr;
  for (const uint32_t number : numbers) {
    if (inside == nullptr) return nullptr;
    if (inside->kind == mime::Part::Kind::kMultipart) {
      if (number > inside->children.size()) return nullptr;
      part = &inside->children[number - 1];
    } else if (message && number == 1) {
      part = inside;
    } else {
      return nullptr;
    }
    message = part->kind == mime::Part::Kind::kMessage;
    const bool multipart = part->kind == mime::Part::Kind::kMultipart;
    inside = message ? &part->children.front() : multipart ? part : nullptr;
  }
  return part;
}

std::optional<Octets> LocateSection(const mime::Part& root, const Section& section,
                                    const MessageSizes& sizes) {
  if (section.text == Text::kAll && section.part.empty()) return Octets{0, sizes.total};
  if (section.text == Text::kAll || section.text == Text::kMime) {
    const mime::Part* part = FindPart(root, section.part);
    if (part == nullptr) return std::nullopt;
    return section.text == Text::kAll ? BodyOf(root, *part, sizes) : HeaderOf(root, *part, sizes);
  }
  const mime::Part* message = MessageOf(root, section);
  if (message == nullptr) return std::nullopt;
  return section.text == Text::kText ? BodyOf(root, *message, sizes)
                                     : HeaderOf(root, *message, sizes);
}

std::string SelectFields(std::string_view header, const Section& section) {
  const bool invert = section.text == Text::kHeaderFieldsNot;
  std::string picked;
  for (const mime::HeaderField& field : mime::SplitHeader(header).fields) {
    const bool named = std::any_of(
        section.fields.begin(), section.fields.end(),
        [&](const std::string& name) { return base::EqualsIgnoreCase(name, field.name); });
    if (named == invert) continue;
    picked += header.substr(field.offset, field.size);
    // A header that ends without line end.
    if (picked.back() != '\n') picked += "\r\n";
  }
  return picked + "\r\n";
}

Octets CutPartial(Octets octets, const std::optional<Partial>& partial) {
  if (!partial) return octets;
  const uint64_t skip = std::min<uint64_t>(partial->offset, octets.size);
  return {octets.offset + skip, std::min<uint64_t>(partial->size, octets.size - skip)};
}

}  // namespace godwit::imap

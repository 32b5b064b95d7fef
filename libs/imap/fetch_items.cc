#include "libs/imap/fetch_items.h"

#include <algorithm>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/imap/response_writer.h"

namespace godwit::imap {
namespace {

using Kind = FetchItem::Kind;

// Part numbers within part numbers; more than a parser of MIME goes deep.
constexpr size_t kMaxPartDepth = 100;

struct NamedItem {
  std::string_view name;
  Kind kind;
};
constexpr NamedItem kItems[] = {
    {"UID", Kind::kUid},
    {"FLAGS", Kind::kFlags},
    {"INTERNALDATE", Kind::kInternalDate},
    {"RFC822.SIZE", Kind::kRfc822Size},
    {"MODSEQ", Kind::kModSeq},
    {"EMAILID", Kind::kEmailId},
    {"THREADID", Kind::kThreadId},
    {"ENVELOPE", Kind::kEnvelope},
    {"BODY", Kind::kBody},
    {"BODYSTRUCTURE", Kind::kBodyStructure},
    {"RFC822", Kind::kRfc822},
    {"RFC822.HEADER", Kind::kRfc822Header},
    {"RFC822.TEXT", Kind::kRfc822Text},
    {"BINARY.SIZE", Kind::kBinarySize},
};

struct NamedText {
  std::string_view name;
  Section::Text text;
};
constexpr NamedText kTexts[] = {
    {"HEADER", Section::Text::kHeader},
    {"HEADER.FIELDS", Section::Text::kHeaderFields},
    {"HEADER.FIELDS.NOT", Section::Text::kHeaderFieldsNot},
    {"TEXT", Section::Text::kText},
    {"MIME", Section::Text::kMime},
};

std::vector<FetchItem> ItemsOf(std::initializer_list<Kind> kinds) {
  std::vector<FetchItem> items;
  for (const Kind kind : kinds) items.push_back({kind, false, {}, {}});
  return items;
}

// RFC 9051 §6.4.5: the macros.
std::optional<std::vector<FetchItem>> MacroItems(std::string_view name) {
  constexpr Kind kF = Kind::kFlags, kD = Kind::kInternalDate, kS = Kind::kRfc822Size;
  if (name == "ALL") return ItemsOf({kF, kD, kS, Kind::kEnvelope});
  if (name == "FAST") return ItemsOf({kF, kD, kS});
  if (name == "FULL") return ItemsOf({kF, kD, kS, Kind::kEnvelope, Kind::kBody});
  return std::nullopt;
}

bool ParseFieldNames(Cursor* cursor, Section* section) {
  return cursor->ExpectSpace() && cursor->List(false, [&] {
    auto name = cursor->Astring();
    if (!name || name->empty() || name->find_first_of(":\r\n") != std::string::npos) {
      return cursor->Fail("bad header field name");
    }
    section->fields.push_back(*std::move(name));
    return true;
  });
}

bool ParseSectionText(Cursor* cursor, Section* section) {
  const auto name = cursor->Keyword();
  if (!name) return false;
  for (const NamedText& named : kTexts) {
    if (*name != named.name) continue;
    section->text = named.text;
    // RFC 9051 §6.4.5.1: MIME belongs to a part.
    if (named.text == Section::Text::kMime && section->part.empty()) break;
    const bool fields =
        named.text == Section::Text::kHeaderFields || named.text == Section::Text::kHeaderFieldsNot;
    return !fields || ParseFieldNames(cursor, section);
  }
  return cursor->Fail("bad section");
}

// RFC 9051 §9: section-spec, part numbers and then perhaps a word.
bool ParseSection(Cursor* cursor, bool parts_only, Section* section) {
  if (!cursor->Expect('[')) return false;
  if (cursor->Take(']')) return true;
  while (base::IsDigit(cursor->Peek())) {
    const auto number = cursor->NonZero();
    if (!number) return false;
    section->part.push_back(*number);
    if (section->part.size() > kMaxPartDepth) return cursor->Fail("section is too deep");
    if (cursor->Take(']')) return true;
    if (!cursor->Expect('.')) return false;
  }
  if (parts_only) return cursor->Fail("bad section");
  return ParseSectionText(cursor, section) && cursor->Expect(']');
}

bool ParsePartial(Cursor* cursor, std::optional<Partial>* partial) {
  if (!cursor->Take('<')) return true;
  const auto offset = cursor->Number();
  if (!offset || !cursor->Expect('.')) return false;
  // RFC 9051 §9: partial = "<" number64 "." nz-number64 ">". More than 32 bits is more than any
  // message has.
  const auto size = cursor->NonZero();
  if (!size) return false;
  *partial = Partial{*offset, *size};
  return cursor->Expect('>');
}

// BODY[...], BODY.PEEK[...], BINARY[...], BINARY.PEEK[...], BINARY.SIZE[...].
bool ParseWithSection(Cursor* cursor, std::string_view name, FetchItem* item) {
  const bool binary = name.substr(0, 6) == "BINARY";
  const bool size = name == "BINARY.SIZE";
  item->kind = size ? Kind::kBinarySize : binary ? Kind::kBinary : Kind::kBodySection;
  item->peek = base::EndsWithIgnoreCase(name, ".PEEK");
  if (!ParseSection(cursor, binary, &item->section)) return false;
  return size || ParsePartial(cursor, &item->partial);
}

bool NeedsSection(std::string_view name) {
  return name == "BODY.PEEK" || name == "BINARY" || name == "BINARY.PEEK" || name == "BINARY.SIZE";
}

bool ParseNamed(Cursor* cursor, std::string_view name, FetchItem* item) {
  if (NeedsSection(name) || (name == "BODY" && cursor->Peek() == '[')) {
    return ParseWithSection(cursor, name, item);
  }
  for (const NamedItem& named : kItems) {
    if (name != named.name) continue;
    item->kind = named.kind;
    return true;
  }
  return cursor->Fail("unknown fetch item");
}

bool ParseItem(Cursor* cursor, std::vector<FetchItem>* items) {
  const auto name = cursor->Keyword();
  FetchItem item;
  if (!name || !ParseNamed(cursor, *name, &item)) return false;
  if (std::find(items->begin(), items->end(), item) == items->end()) {
    items->push_back(std::move(item));
  }
  return true;
}

std::string SectionName(const Section& section) {
  std::string name;
  for (const uint32_t number : section.part) {
    if (!name.empty()) name += '.';
    name += std::to_string(number);
  }
  if (section.text == Section::Text::kAll) return name;
  if (!name.empty()) name += '.';
  for (const NamedText& named : kTexts) {
    if (named.text == section.text) name += named.name;
  }
  if (section.fields.empty()) return name;
  name += " (";
  for (const std::string& field : section.fields) {
    if (name.back() != '(') name += ' ';
    AppendAstring(&name, field);
  }
  return name + ')';
}

}  // namespace

bool FetchItem::SetsSeen() const {
  switch (kind) {
    case Kind::kRfc822:
    case Kind::kRfc822Text: return true;
    case Kind::kBodySection:
    case Kind::kBinary: return !peek;
    default: return false;
  }
}

std::string FetchItem::ResponseName() const {
  if (kind == Kind::kBinarySize) return "BINARY.SIZE[" + SectionName(section) + "]";
  if (kind == Kind::kBinary || kind == Kind::kBodySection) {
    std::string name = kind == Kind::kBinary ? "BINARY[" : "BODY[";
    name += SectionName(section) + "]";
    // RFC 9051 §7.5.2: the answer tells the origin only.
    if (partial) name += "<" + std::to_string(partial->offset) + ">";
    return name;
  }
  for (const NamedItem& named : kItems) {
    if (named.kind == kind) return std::string(named.name);
  }
  return {};
}

std::optional<std::vector<FetchItem>> ParseFetchItems(Cursor* cursor) {
  std::vector<FetchItem> items;
  if (cursor->Peek() == '(') {
    if (!cursor->List(false, [&] { return ParseItem(cursor, &items); })) return std::nullopt;
    return items;
  }
  const auto name = cursor->Keyword();
  if (!name) return std::nullopt;
  if (auto macro = MacroItems(*name)) return macro;
  FetchItem item;
  if (!ParseNamed(cursor, *name, &item)) return std::nullopt;
  items.push_back(std::move(item));
  return items;
}

}  // namespace godwit::imap

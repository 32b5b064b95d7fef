#include "libs/jmap/header_forms.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/mime/charset.h"
#include "libs/mime/date.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/message_id.h"

namespace godwit::jmap {
namespace {

struct FormName {
  std::string_view name;
  HeaderForm form;
};
constexpr std::array<FormName, 7> kForms = {{{"asRaw", HeaderForm::kRaw},
                                             {"asText", HeaderForm::kText},
                                             {"asAddresses", HeaderForm::kAddresses},
                                             {"asGroupedAddresses", HeaderForm::kGroupedAddresses},
                                             {"asMessageIds", HeaderForm::kMessageIds},
                                             {"asDate", HeaderForm::kDate},
                                             {"asURLs", HeaderForm::kUrls}}};

// Fields that RFC 5322 and RFC 2369 define, and what they hold.
struct KnownField {
  std::string_view name;
  HeaderForm form;
};
constexpr std::array<KnownField, 27> kKnown = {{{"subject", HeaderForm::kText},
                                                {"comments", HeaderForm::kText},
                                                {"keywords", HeaderForm::kText},
                                                {"list-id", HeaderForm::kText},
                                                {"from", HeaderForm::kAddresses},
                                                {"sender", HeaderForm::kAddresses},
                                                {"reply-to", HeaderForm::kAddresses},
                                                {"to", HeaderForm::kAddresses},
                                                {"cc", HeaderForm::kAddresses},
                                                {"bcc", HeaderForm::kAddresses},
                                                {"resent-from", HeaderForm::kAddresses},
                                                {"resent-sender", HeaderForm::kAddresses},
                                                {"resent-reply-to", HeaderForm::kAddresses},
                                                {"resent-to", HeaderForm::kAddresses},
                                                {"resent-cc", HeaderForm::kAddresses},
                                                {"resent-bcc", HeaderForm::kAddresses},
                                                {"message-id", HeaderForm::kMessageIds},
                                                {"in-reply-to", HeaderForm::kMessageIds},
                                                {"references", HeaderForm::kMessageIds},
                                                {"resent-message-id", HeaderForm::kMessageIds},
                                                {"date", HeaderForm::kDate},
                                                {"resent-date", HeaderForm::kDate},
                                                {"list-help", HeaderForm::kUrls},
                                                {"list-unsubscribe", HeaderForm::kUrls},
                                                {"list-subscribe", HeaderForm::kUrls},
                                                {"list-post", HeaderForm::kUrls},
                                                {"list-owner", HeaderForm::kUrls}}};

// These are defined, and have no form but raw.
constexpr std::array<std::string_view, 3> kRawOnly = {"received", "return-path", "trace"};

bool IsAllowed(std::string_view field, HeaderForm form) {
  if (form == HeaderForm::kRaw) return true;
  const std::string name = base::Lower(field);
  if (std::find(kRawOnly.begin(), kRawOnly.end(), name) != kRawOnly.end()) return false;
  for (const KnownField& known : kKnown) {
    if (known.name != name) continue;
    const bool grouped =
        known.form == HeaderForm::kAddresses && form == HeaderForm::kGroupedAddresses;
    return known.form == form || grouped;
  }
  return true;
}

json::object AddressToJson(const mime::Address& address) {
  const std::string name = address.DecodedName();
  json::object object;
  object["name"] = name.empty() ? json::value(nullptr) : json::value(name);
  object["email"] = mime::DecodeWords(address.Spec());
  return object;
}

json::array GroupsToJson(const mime::AddressList& list) {
  json::array groups;
  json::array members;
  std::optional<std::string> name;
  const auto flush = [&] {
    if (!name && members.empty()) return;
    groups.push_back(json::object{{"name", name ? json::value(*name) : json::value(nullptr)},
                                  {"addresses", std::move(members)}});
    members = json::array();
    name.reset();
  };
  for (const mime::Address& address : list) {
    switch (address.kind) {
      case mime::Address::Kind::kGroupStart:
        flush();
        name = address.DecodedName();
        break;
      case mime::Address::Kind::kGroupEnd: flush(); break;
      case mime::Address::Kind::kMailbox: members.push_back(AddressToJson(address)); break;
    }
  }
  flush();
  return groups;
}

// §4.1.2.7: what stands between angle brackets.
json::value UrlsToJson(std::string_view value) {
  json::array urls;
  while (true) {
    const size_t open = value.find('<');
    const size_t close = value.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    std::string url;
    for (const char c : value.substr(open + 1, close - open - 1)) {
      if (!base::IsWsp(c)) url.push_back(c);
    }
    urls.emplace_back(CleanUtf8(url));
    value.remove_prefix(close + 1);
  }
  return urls.empty() ? json::value(nullptr) : json::value(std::move(urls));
}

json::value ToForm(std::string_view raw, HeaderForm form) {
  switch (form) {
    case HeaderForm::kRaw: return json::value(CleanUtf8(raw));
    case HeaderForm::kText: return json::value(mime::DecodeWords(mime::Unfold(raw)));
    case HeaderForm::kAddresses: return AddressesToJson(mime::ParseAddressList(raw));
    case HeaderForm::kGroupedAddresses: return GroupsToJson(mime::ParseAddressList(raw));
    case HeaderForm::kMessageIds: {
      auto ids = mime::ParseMessageIds(raw);
      if (ids.empty()) return nullptr;
      for (std::string& id : ids) id = CleanUtf8(id);
      return ToArray(ids);
    }
    case HeaderForm::kDate: {
      const auto date = mime::ParseDate(raw);
      if (!date) return nullptr;
      return json::value(FormatDate(date->time, date->offset_minutes));
    }
    case HeaderForm::kUrls: break;
  }
  return UrlsToJson(mime::Unfold(raw));
}

std::optional<mime::Address> AddressFromJson(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  const auto email = FindString(*object, "email");
  const json::value* name = Find(*object, "name");
  if (!email || (name != nullptr && !name->is_null() && !name->is_string())) return std::nullopt;
  const size_t at = email->rfind('@');
  if (at == std::string::npos || at == 0 || at + 1 == email->size()) return std::nullopt;
  mime::Address address;
  address.mailbox = email->substr(0, at);
  address.host = email->substr(at + 1);
  const bool clean = std::none_of(email->begin(), email->end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>' || c == ',';
  });
  if (!clean) return std::nullopt;
  if (name != nullptr && name->is_string()) address.name = View(name->get_string());
  return address;
}

std::optional<std::string> AddressListFromJson(const json::value& value) {
  const json::array* array = value.if_array();
  if (array == nullptr) return std::nullopt;
  std::string text;
  for (const json::value& element : *array) {
    const auto address = AddressFromJson(element);
    if (!address) return std::nullopt;
    if (!text.empty()) text += ", ";
    const std::string spec = address->Spec();
    if (spec.empty()) return std::nullopt;
    if (address->name.empty()) {
      text += spec;
    } else {
      text += mime::QuotePhrase(address->name) + " <" + spec + ">";
    }
  }
  return text;
}

std::optional<std::string> GroupsFromJson(const json::value& value) {
  const json::array* array = value.if_array();
  if (array == nullptr) return std::nullopt;
  std::string text;
  for (const json::value& element : *array) {
    const json::object* group = element.if_object();
    const json::value* addresses = group == nullptr ? nullptr : Find(*group, "addresses");
    if (addresses == nullptr) return std::nullopt;
    const auto members = AddressListFromJson(*addresses);
    if (!members) return std::nullopt;
    if (!text.empty()) text += ", ";
    const auto name = FindString(*group, "name");
    text += name ? mime::QuotePhrase(*name) + ": " + *members + ";" : *members;
  }
  return text;
}

// "<a> <b>" from ids or URLs.
std::optional<std::string> BracketedFromJson(const json::value& value, std::string_view separator) {
  const json::array* array = value.if_array();
  if (array == nullptr) return std::nullopt;
  std::string text;
  for (const json::value& element : *array) {
    if (!element.is_string()) return std::nullopt;
    const std::string_view id = View(element.get_string());
    const bool clean =
        !id.empty() && id.size() < 900 && std::all_of(id.begin(), id.end(), [](char c) {
          return c > ' ' && c < 127 && c != '<' && c != '>';
        });
    if (!clean) return std::nullopt;
    if (!text.empty()) text += separator;
    text += "<" + std::string(id) + ">";
  }
  return text;
}

}  // namespace

std::optional<HeaderProperty> ParseHeaderProperty(std::string_view property) {
  constexpr std::string_view kPrefix = "header:";
  if (!property.starts_with(kPrefix)) return std::nullopt;
  auto parts = base::Split(property.substr(kPrefix.size()), ':');
  HeaderProperty result;
  result.property = property;
  result.field = parts[0];
  if (!mime::IsFieldName(result.field)) return std::nullopt;
  size_t next = 1;
  if (next < parts.size() && parts[next].starts_with("as")) {
    const auto form = std::find_if(kForms.begin(), kForms.end(),
                                   [&](const FormName& f) { return f.name == parts[next]; });
    if (form == kForms.end()) return std::nullopt;
    result.form = form->form;
    ++next;
  }
  if (next < parts.size() && parts[next] == "all") {
    result.all = true;
    ++next;
  }
  if (next != parts.size() || !IsAllowed(result.field, result.form)) return std::nullopt;
  return result;
}

json::value HeaderValue(const mime::HeaderBlock& header, const HeaderProperty& property) {
  const auto fields = header.FindAll(property.field);
  if (property.all) {
    json::array all;
    for (const mime::HeaderField* field : fields) {
      all.push_back(ToForm(field->value, property.form));
    }
    return all;
  }
  // §4.1.3: of several the last one.
  return fields.empty() ? json::value(nullptr) : ToForm(fields.back()->value, property.form);
}

json::array AddressesToJson(const mime::AddressList& list) {
  json::array array;
  for (const mime::Address& address : list) {
    if (address.kind == mime::Address::Kind::kMailbox) array.push_back(AddressToJson(address));
  }
  return array;
}

std::optional<std::string> FieldFromJson(HeaderForm form, const json::value& value) {
  switch (form) {
    case HeaderForm::kAddresses: return AddressListFromJson(value);
    case HeaderForm::kGroupedAddresses: return GroupsFromJson(value);
    case HeaderForm::kMessageIds: return BracketedFromJson(value, " ");
    case HeaderForm::kUrls: return BracketedFromJson(value, ", ");
    default: break;
  }
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = View(value.get_string());
  if (form == HeaderForm::kText) return mime::EncodeWords(text);
  if (form == HeaderForm::kDate) {
    const auto time = ParseDate(text);
    if (!time) return std::nullopt;
    return mime::FormatDate(*time, DateOffset(text));
  }
  // Raw: the client has folded and encoded; AppendField lets no other line end through.
  if (!base::IsAscii(text)) return std::nullopt;
  return std::string(base::Trim(text));
}

std::string CleanUtf8(std::string_view text) {
  return base::IsUtf8(text) ? std::string(text) : mime::ToUtf8(text, "utf-8");
}

}  // namespace godwit::jmap

#pragma once

// Header fields of an email as properties: "header:Subject:asText:all" (RFC 8621 §4.1.2, §4.1.3).

#include <optional>
#include <string>
#include <string_view>

#include "libs/jmap/json.h"
#include "libs/mime/address.h"
#include "libs/mime/header.h"

namespace godwit::jmap {

// §4.1.2.1 to §4.1.2.7.
enum class HeaderForm { kRaw, kText, kAddresses, kGroupedAddresses, kMessageIds, kDate, kUrls };

struct HeaderProperty {
  std::string property;  // as it was asked for
  std::string field;
  HeaderForm form = HeaderForm::kRaw;
  bool all = false;
};

// nullopt when it is none, or the form is not allowed for the field (§4.1.3: a field of RFC 5322 or
// RFC 2369 has its own form only; others have any).
std::optional<HeaderProperty> ParseHeaderProperty(std::string_view property);

// The last field of that name, or all of them in an array; null when there is none.
json::value HeaderValue(const mime::HeaderBlock& header, const HeaderProperty& property);

// §4.1.2.3: [{"name", "email"}]; groups are left out, their members stay.
json::array AddressesToJson(const mime::AddressList& list);

// For writing: the value of a field from its JSON form (without folding). nullopt when it has the
// wrong type or could not be written as one field.
std::optional<std::string> FieldFromJson(HeaderForm form, const json::value& value);

// Octets that are not UTF-8 become U+FFFD or windows-1252 (libs/mime).
std::string CleanUtf8(std::string_view text);

}  // namespace godwit::jmap

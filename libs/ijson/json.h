#pragma once

// I-JSON (RFC 7493) by Boost.JSON, for the protocols that are written in it. The header-only
// library is compiled in json.cc and nowhere else; its exceptions are never used.
//
//   absl::StatusOr<json::value> value = ijson::ParseJson(text);

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace godwit::ijson {

namespace json = boost::json;

// InvalidArgument for what is no I-JSON: bad syntax, bad UTF-8 or a lone surrogate (RFC 7493 §2.1),
// a name twice in one object (§2.3), more than 64 levels. ResourceExhausted for more than 500,000
// values: small ones take many times the octets that they are written with.
absl::StatusOr<json::value> ParseJson(std::string_view text);
std::string Serialize(const json::value& value);
std::string Serialize(const json::object& object);

// About what a value takes in memory: its texts, and kValueSize for each value in it. nullopt when
// that is more than `most`; no more is looked at than decides.
inline constexpr size_t kValueSize = 32;
std::optional<size_t> SizeWithin(const json::value& value, size_t most);
std::optional<size_t> SizeWithin(const json::object& object, size_t most);

std::string_view View(const json::string& text);
// The member, or nullptr; a null member counts as there.
const json::value* Find(const json::object& object, std::string_view name);
// A string member; nullopt for anything else.
std::optional<std::string> FindString(const json::object& object, std::string_view name);

json::array ToArray(const std::vector<std::string>& strings);

// RFC 8620 §1.4: "2014-10-30T06:12:00Z".
std::string FormatUtcDate(absl::Time time);
// The same in the zone it was written in: RFC 3339 with an offset.
std::string FormatDate(absl::Time time, int offset_minutes);
// Both forms.
std::optional<absl::Time> ParseDate(std::string_view text);
// The offset of such a date in minutes; 0 for "Z".
int DateOffset(std::string_view text);

}  // namespace godwit::ijson

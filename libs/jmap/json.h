#pragma once

// JSON as JMAP has it: I-JSON (RFC 7493) by Boost.JSON. The header-only library is compiled in
// json.cc and nowhere else; its exceptions are never used.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

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

// The arguments of a method. Each getter takes one argument; what has the wrong type is remembered,
// and so are, in Finish(), arguments that nobody asked for. Null is as good as absent.
//
//   Arguments arguments(call.arguments);
//   const auto limit = arguments.Uint("limit");
//   if (auto error = arguments.Finish()) return *error;
class Arguments {
 public:
  explicit Arguments(const json::object& object) : object_(object) {}

  std::optional<std::string> String(std::string_view name);
  std::optional<bool> Bool(std::string_view name);
  // RFC 8620 §1.3: at most 2^53-1.
  std::optional<int64_t> Int(std::string_view name);
  std::optional<uint64_t> Uint(std::string_view name);
  std::optional<std::vector<std::string>> Strings(std::string_view name);
  // Ids, each of the form of §1.2 or a reference to a creation ("#k1").
  std::optional<std::vector<std::string>> Ids(std::string_view name);
  const json::object* Object(std::string_view name);
  const json::array* Array(std::string_view name);

  // An argument that must be there is not, or has the wrong value.
  void Fail(std::string_view name, std::string_view why);
  bool failed() const { return error_.has_value(); }
  // RFC 8620 §3.6.2: invalidArguments, also for an argument that is not known.
  std::optional<MethodError> Finish();

 private:
  const json::value* Take(std::string_view name);

  const json::object& object_;
  std::vector<std::string> taken_;
  std::optional<MethodError> error_;
};

}  // namespace godwit::jmap

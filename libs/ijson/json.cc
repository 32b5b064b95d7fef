#include "libs/ijson/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::ijson {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxValues = 500'000;

// Counts the values, and the names of all objects. Boost's value keeps the last of several members
// of one name in silence; when the counts differ there was such a one.
class NameCounter {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  using Error = json::error_code;
  using Text = json::string_view;
  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(std::size_t n, Error&) {
    names += n;
    values += n;
    return true;
  }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(std::size_t n, Error&) {
    values += n;
    return true;
  }
  bool on_key_part(Text, std::size_t, Error&) { return true; }
  bool on_key(Text, std::size_t, Error&) { return true; }
  bool on_string_part(Text, std::size_t, Error&) { return true; }
  bool on_string(Text, std::size_t, Error&) { return true; }
  bool on_number_part(Text, Error&) { return true; }
  bool on_int64(int64_t, Text, Error&) { return true; }
  bool on_uint64(uint64_t, Text, Error&) { return true; }
  bool on_double(double number, Text, Error&) {
    infinite = infinite || !std::isfinite(number);  // 0e400 is NaN
    return true;
  }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }

  size_t names = 0;
  size_t values = 0;
  bool infinite = false;
};

bool TakeOctets(size_t size, size_t* left) {
  if (size > *left) return false;
  *left -= size;
  return true;
}

// Takes the size of `value` off `*left`; false when there is not as much.
bool TakeOff(const json::value& value, size_t* left);

bool TakeOff(const json::object& object, size_t* left) {
  if (!TakeOctets(kValueSize, left)) return false;
  for (const auto& member : object) {
    if (!TakeOctets(member.key().size(), left) || !TakeOff(member.value(), left)) return false;
  }
  return true;
}

bool TakeOff(const json::value& value, size_t* left) {
  if (const auto* object = value.if_object()) return TakeOff(*object, left);
  const auto* text = value.if_string();
  if (!TakeOctets(kValueSize + (text == nullptr ? 0 : text->size()), left)) return false;
  const auto* array = value.if_array();
  return array == nullptr ||
         std::all_of(array->begin(), array->end(),
                     [left](const json::value& element) { return TakeOff(element, left); });
}

template <typename Value>
std::optional<size_t> SizeOf(const Value& value, size_t most) {
  size_t left = most;
  if (!TakeOff(value, &left)) return std::nullopt;
  return most - left;
}

size_t CountNames(const json::value& value) {
  size_t names = 0;
  if (const auto* object = value.if_object()) {
    names += object->size();
    for (const auto& member : *object) names += CountNames(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) names += CountNames(element);
  }
  return names;
}

}  // namespace

absl::StatusOr<json::value> ParseJson(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code error;
  // Counted before anything is kept.
  json::basic_parser<NameCounter> counter(options);
  counter.write_some(false, text.data(), text.size(), error);
  if (error) return base::InvalidArgument("JSON: " + error.message());
  if (counter.handler().values > kMaxValues)
    return base::ResourceExhausted("JSON: too many values");
  // RFC 7493 §2.2. What is infinite here could not be written again.
  if (counter.handler().infinite) return base::InvalidArgument("JSON: a number is too large");
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return base::InvalidArgument("JSON: " + error.message());
  if (counter.handler().names != CountNames(value)) {
    return base::InvalidArgument("JSON: a name comes twice in an object");
  }
  return value;
}

std::optional<size_t> SizeWithin(const json::value& value, size_t most) {
  return SizeOf(value, most);
}
std::optional<size_t> SizeWithin(const json::object& object, size_t most) {
  return SizeOf(object, most);
}

std::string Serialize(const json::value& value) { return json::serialize(value); }
std::string Serialize(const json::object& object) { return json::serialize(object); }

std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

const json::value* Find(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

std::optional<std::string> FindString(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(View(value->get_string()));
}

json::array ToArray(const std::vector<std::string>& strings) {
  json::array array;
  for (const std::string& each : strings) array.emplace_back(each);
  return array;
}

std::string FormatUtcDate(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string FormatDate(absl::Time time, int offset_minutes) {
  // RFC 3339 has two digits of hours.
  if (offset_minutes == 0 || offset_minutes <= -24 * 60 || offset_minutes >= 24 * 60) {
    return FormatUtcDate(time);
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", time, absl::FixedTimeZone(offset_minutes * 60));
}

std::optional<absl::Time> ParseDate(std::string_view text) {
  absl::Time time;
  std::string error;
  // "T" and "Z" in upper case, RFC 8620 §1.4; absl takes white space around, which is none.
  if (text.size() < 20 || text.size() > 40 || text[10] != 'T' || !base::IsDigit(text[0]) ||
      base::Trim(text).size() != text.size()) {
    return std::nullopt;
  }
  if (!absl::ParseTime("%Y-%m-%dT%H:%M:%E*S%Ez", std::string(text), &time, &error)) {
    return std::nullopt;
  }
  return time;
}

int DateOffset(std::string_view text) {
  if (text.size() < 6 || text.back() == 'Z') return 0;
  const std::string_view zone = text.substr(text.size() - 6);
  const auto hours = base::ParseDecimal(zone.substr(1, 2));
  const auto minutes = base::ParseDecimal(zone.substr(4, 2));
  if (!hours || !minutes || (zone[0] != '+' && zone[0] != '-')) return 0;
  const int offset = static_cast<int>(*hours * 60 + *minutes);
  return zone[0] == '-' ? -offset : offset;
}

}  // namespace godwit::ijson

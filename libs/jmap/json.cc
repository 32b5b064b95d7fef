#include "libs/jmap/json.h"

#include <algorithm>

#include "libs/jmap/id.h"

namespace godwit::jmap {
namespace {

constexpr int64_t kMaxInt = (int64_t{1} << 53) - 1;

}  // namespace

const json::value* Arguments::Take(std::string_view name) {
  taken_.emplace_back(name);
  const json::value* value = Find(object_, name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

void Arguments::Fail(std::string_view name, std::string_view why) {
  if (error_) return;
  error_ = MethodError{"invalidArguments", std::string(name) + ": " + std::string(why)};
}

std::optional<std::string> Arguments::String(std::string_view name) {
  const json::value* value = Take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(View(value->get_string()));
  Fail(name, "not a string");
  return std::nullopt;
}

std::optional<bool> Arguments::Bool(std::string_view name) {
  const json::value* value = Take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  Fail(name, "not a boolean");
  return std::nullopt;
}

std::optional<int64_t> Arguments::Int(std::string_view name) {
  const json::value* value = Take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64() && value->get_int64() <= kMaxInt && value->get_int64() >= -kMaxInt) {
    return value->get_int64();
  }
  Fail(name, "not an integer");
  return std::nullopt;
}

std::optional<uint64_t> Arguments::Uint(std::string_view name) {
  const auto number = Int(name);
  if (!number) return std::nullopt;
  if (*number >= 0) return static_cast<uint64_t>(*number);
  Fail(name, "negative");
  return std::nullopt;
}

std::optional<std::vector<std::string>> Arguments::Strings(std::string_view name) {
  const json::array* array = Array(name);
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> strings;
  for (const json::value& element : *array) {
    if (!element.is_string()) {
      Fail(name, "not an array of strings");
      return std::nullopt;
    }
    strings.emplace_back(View(element.get_string()));
  }
  return strings;
}

std::optional<std::vector<std::string>> Arguments::Ids(std::string_view name) {
  auto ids = Strings(name);
  if (!ids) return std::nullopt;
  for (const std::string& id : *ids) {
    const std::string_view text(id);
    if (!IsId(text.starts_with('#') ? text.substr(1) : text)) Fail(name, "not an array of ids");
  }
  return ids;
}

const json::object* Arguments::Object(std::string_view name) {
  const json::value* value = Take(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) Fail(name, "not an object");
  return value->if_object();
}

const json::array* Arguments::Array(std::string_view name) {
  const json::value* value = Take(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) Fail(name, "not an array");
  return value->if_array();
}

std::optional<MethodError> Arguments::Finish() {
  for (const auto& member : object_) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(taken_.begin(), taken_.end(), name) == taken_.end()) Fail(name, "not known");
  }
  return error_;
}

}  // namespace godwit::jmap

#include "libs/runtime/field_value.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <cstdlib>
#include <limits>
#include <variant>

#include "libs/base/ascii.h"
#include "libs/runtime/units.h"

namespace godwit::runtime {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

using Value = std::variant<bool, int64_t, uint64_t, double, std::string, absl::Duration,
                           const google::protobuf::EnumValueDescriptor*>;

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr &&
         field.message_type()->full_name() == "google.protobuf.Duration";
}

bool IsBytes(const FieldDescriptor& field) {
  return RulesOf(field).unit() == config::v1::UNIT_BYTES;
}

bool IsText(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
}

std::optional<Value> ParseInteger(std::string_view text, const FieldDescriptor& field) {
  const bool negative = text.starts_with('-');
  const auto magnitude =
      IsBytes(field) ? ParseSize(text) : base::ParseDecimal(text.substr(negative ? 1 : 0));
  if (!magnitude) return std::nullopt;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      if (*magnitude > std::numeric_limits<uint32_t>::max()) return std::nullopt;
      [[fallthrough]];
    case FieldDescriptor::CPPTYPE_UINT64:
      if (negative) return std::nullopt;
      return *magnitude;
    default: break;
  }
  const bool narrow = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  const auto most = narrow ? static_cast<uint64_t>(std::numeric_limits<int32_t>::max())
                           : static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (*magnitude > most) return std::nullopt;
  const auto value = static_cast<int64_t>(*magnitude);
  return negative ? -value : value;
}

std::optional<Value> ParseReal(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const bool plain = copy.find_first_not_of("+-.0123456789eE") == std::string::npos;
  if (copy.empty() || !plain || *end != '\0') return std::nullopt;
  return value;
}

std::optional<Value> ParseEnum(std::string_view text, const FieldDescriptor& field) {
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    const std::string name = EnumValueName(field, i);
    if (!name.empty() && name == text) return field.enum_type()->value(i);
  }
  return std::nullopt;
}

std::optional<Value> Parse(std::string_view text, const FieldDescriptor& field) {
  if (IsDuration(field)) {
    const auto duration = ParseDuration(text);
    return duration ? std::optional<Value>(*duration) : std::nullopt;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text == "true") return true;
      if (text == "false") return false;
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_STRING: {
      const bool endpoint = RulesOf(field).unit() == config::v1::UNIT_ENDPOINT;
      if (endpoint && !text.empty() && !ParseEndpoint(text)) return std::nullopt;
      return std::string(text);
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE: return ParseReal(text);
    case FieldDescriptor::CPPTYPE_ENUM: return ParseEnum(text, field);
    default: return ParseInteger(text, field);
  }
}

// What min and max are compared with; a long double holds every 64-bit integer exactly.
std::optional<long double> Magnitude(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return text->size();
  if (const auto* duration = std::get_if<absl::Duration>(&value)) {
    return absl::ToInt64Microseconds(*duration);
  }
  return std::nullopt;
}

std::optional<long double> Bound(const std::string& text, const FieldDescriptor& field) {
  if (text.empty()) return std::nullopt;
  if (IsText(field)) return base::ParseDecimal(text);
  const auto value = Parse(text, field);
  return value ? Magnitude(*value) : std::nullopt;
}

std::optional<std::string> OutOfBounds(const Value& value, const FieldDescriptor& field) {
  const auto magnitude = Magnitude(value);
  if (!magnitude) return std::nullopt;
  const config::v1::Rules& rules = RulesOf(field);
  const auto least = Bound(rules.min(), field);
  const auto most = Bound(rules.max(), field);
  const std::string what = IsText(field) ? " characters" : "";
  if (least && *magnitude < *least) return "must be at least " + rules.min() + what;
  if (most && *magnitude > *most) return "must be at most " + rules.max() + what;
  return std::nullopt;
}

void StoreDuration(absl::Duration value, const FieldDescriptor& field, Message* message) {
  const auto* reflection = message->GetReflection();
  Message* slot = field.is_repeated() ? reflection->AddMessage(message, &field)
                                      : reflection->MutableMessage(message, &field);
  // Through the descriptor: the field's message need not be the generated class.
  const int64_t seconds = absl::ToInt64Seconds(value);
  const auto nanos = static_cast<int32_t>(absl::ToInt64Nanoseconds(value - absl::Seconds(seconds)));
  const auto* type = slot->GetDescriptor();
  slot->GetReflection()->SetInt64(slot, type->FindFieldByName("seconds"), seconds);
  slot->GetReflection()->SetInt32(slot, type->FindFieldByName("nanos"), nanos);
}

#define GODWIT_STORE_(Kind, value)                                     \
  (field.is_repeated() ? reflection->Add##Kind(message, &field, value) \
                       : reflection->Set##Kind(message, &field, value))

void Store(const Value& value, const FieldDescriptor& field, Message* message) {
  if (const auto* duration = std::get_if<absl::Duration>(&value)) {
    return StoreDuration(*duration, field, message);
  }
  const auto* reflection = message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: GODWIT_STORE_(Bool, std::get<bool>(value)); break;
    case FieldDescriptor::CPPTYPE_STRING:
      GODWIT_STORE_(String, std::get<std::string>(value));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE: GODWIT_STORE_(Double, std::get<double>(value)); break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      GODWIT_STORE_(Float, static_cast<float>(std::get<double>(value)));
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      GODWIT_STORE_(Int32, static_cast<int32_t>(std::get<int64_t>(value)));
      break;
    case FieldDescriptor::CPPTYPE_INT64: GODWIT_STORE_(Int64, std::get<int64_t>(value)); break;
    case FieldDescriptor::CPPTYPE_UINT32:
      GODWIT_STORE_(UInt32, static_cast<uint32_t>(std::get<uint64_t>(value)));
      break;
    case FieldDescriptor::CPPTYPE_UINT64: GODWIT_STORE_(UInt64, std::get<uint64_t>(value)); break;
    case FieldDescriptor::CPPTYPE_ENUM:
      GODWIT_STORE_(Enum, std::get<const google::protobuf::EnumValueDescriptor*>(value));
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE: break;  // durations only, above
  }
}
#undef GODWIT_STORE_

std::string EnumChoices(const FieldDescriptor& field) {
  std::string choices;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    const std::string name = EnumValueName(field, i);
    if (name.empty()) continue;
    if (!choices.empty()) choices += ", ";
    choices += name;
  }
  return choices;
}

// "LogLevel" -> "LOG_LEVEL_"
std::string EnumPrefix(std::string_view type) {
  std::string prefix;
  for (char c : type) {
    if (c >= 'A' && c <= 'Z' && !prefix.empty()) prefix += '_';
    prefix += base::ToUpper(c);
  }
  return prefix + "_";
}

}  // namespace

bool IsScalar(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || IsDuration(field);
}

const config::v1::Rules& RulesOf(const FieldDescriptor& field) {
  return field.options().GetExtension(config::v1::rules);
}

std::string EnumValueName(const FieldDescriptor& field, int index) {
  const std::string& name = field.enum_type()->value(index)->name();
  const std::string prefix = EnumPrefix(field.enum_type()->name());
  const std::string_view rest =
      name.starts_with(prefix) ? std::string_view(name).substr(prefix.size()) : name;
  return rest == "UNSPECIFIED" ? "" : base::Lower(rest);
}

std::string Expected(const FieldDescriptor& field) {
  if (IsDuration(field)) return "a duration such as \"30s\" or \"5m\"";
  if (IsBytes(field)) return "a size such as \"64KiB\" or \"50MiB\"";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return RulesOf(field).unit() == config::v1::UNIT_ENDPOINT ? "HOST:PORT" : "a text";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE: return "a number";
    case FieldDescriptor::CPPTYPE_ENUM: return "one of " + EnumChoices(field);
    case FieldDescriptor::CPPTYPE_MESSAGE: return "a section";
    case FieldDescriptor::CPPTYPE_UINT32: return "a whole number from 0 to 4294967295";
    case FieldDescriptor::CPPTYPE_UINT64: return "a whole number, 0 or more";
    default: return "a whole number";
  }
}

std::optional<std::string> SetScalar(std::string_view text, bool quoted,
                                     const FieldDescriptor& field, Message* message) {
  const bool is_number = !IsDuration(field) && !IsText(field) && !IsBytes(field) &&
                         field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM;
  const auto value = quoted && is_number ? std::nullopt : Parse(text, field);
  if (!value) return "expected " + Expected(field);
  if (auto problem = OutOfBounds(*value, field)) return problem;
  Store(*value, field, message);
  return std::nullopt;
}

}  // namespace godwit::runtime

#include "libs/runtime/config_summary.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <utility>

#include "libs/runtime/field_value.h"
#include "libs/runtime/units.h"

namespace godwit::runtime {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kSecret[] = "(secret)";

// Of element `index` of a repeated field; of the field itself when `index` is negative.
const Message& SubMessage(const Message& message, const FieldDescriptor& field, int index) {
  const auto* reflection = message.GetReflection();
  return index < 0 ? reflection->GetMessage(message, &field)
                   : reflection->GetRepeatedMessage(message, &field, index);
}

std::string Number(const Message& message, const FieldDescriptor& field, int index) {
  const auto* reflection = message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(one ? reflection->GetInt32(message, &field)
                                : reflection->GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(one ? reflection->GetInt64(message, &field)
                                : reflection->GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(one ? reflection->GetUInt32(message, &field)
                                : reflection->GetRepeatedUInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(one ? reflection->GetUInt64(message, &field)
                                : reflection->GetRepeatedUInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return std::to_string(one ? reflection->GetFloat(message, &field)
                                : reflection->GetRepeatedFloat(message, &field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return std::to_string(one ? reflection->GetDouble(message, &field)
                                : reflection->GetRepeatedDouble(message, &field, index));
    default: return "";
  }
}

std::string Value(const Message& message, const FieldDescriptor& field, int index) {
  const auto* reflection = message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? reflection->GetString(message, &field)
                 : reflection->GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool value = one ? reflection->GetBool(message, &field)
                             : reflection->GetRepeatedBool(message, &field, index);
      return value ? "true" : "false";
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = one ? reflection->GetEnum(message, &field)
                              : reflection->GetRepeatedEnum(message, &field, index);
      return EnumValueName(field, value->index());
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return absl::FormatDuration(ToDuration(
          static_cast<const google::protobuf::Duration&>(SubMessage(message, field, index))));
    default: return Number(message, field, index);
  }
}

void Walk(const Message& message, const std::string& prefix, std::vector<Setting>* out);

void Add(const Message& message, const FieldDescriptor& field, int index, const std::string& path,
         std::vector<Setting>* out) {
  if (!IsScalar(field)) return Walk(SubMessage(message, field, index), path + ".", out);
  std::string value = Value(message, field, index);
  if (!RulesOf(field).env().empty() && !value.empty()) value = kSecret;
  out->push_back({path, std::move(value)});
}

void Walk(const Message& message, const std::string& prefix, std::vector<Setting>* out) {
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    const std::string path = prefix + field.name();
    if (!field.is_repeated()) {
      // A section that stayed away.
      if (!IsScalar(field) && !message.GetReflection()->HasField(message, &field)) continue;
      Add(message, field, -1, path, out);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int at = 0; at < size; ++at) {
      Add(message, field, at, path + "[" + std::to_string(at) + "]", out);
    }
  }
}

}  // namespace

std::vector<Setting> SummarizeConfig(const Message& config) {
  std::vector<Setting> settings;
  Walk(config, "", &settings);
  return settings;
}

}  // namespace godwit::runtime

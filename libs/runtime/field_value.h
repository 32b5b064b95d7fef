#pragma once

// One scalar text into one field of a message, by the field's type and rules. Pure; private to
// libs/runtime (yaml_config) and the documentation tool.

#include <optional>
#include <string>
#include <string_view>

#include "proto/godwit/config/v1/options.pb.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace godwit::runtime {

// True for what is written as a scalar: no message, or google.protobuf.Duration.
bool IsScalar(const google::protobuf::FieldDescriptor& field);
const config::v1::Rules& RulesOf(const google::protobuf::FieldDescriptor& field);

// "a number", "a duration such as \"30s\"", ... for people.
std::string Expected(const google::protobuf::FieldDescriptor& field);

// Sets (or, for a repeated field, adds) the value. `quoted`: it was written as a string, which a
// number or a truth value must not be. What is wrong, or nothing.
std::optional<std::string> SetScalar(std::string_view text, bool quoted,
                                     const google::protobuf::FieldDescriptor& field,
                                     google::protobuf::Message* message);

// The values of an enum as they are written: "info", "warning".
std::string EnumValueName(const google::protobuf::FieldDescriptor& field, int index);

}  // namespace godwit::runtime

#pragma once

// JSON as JMAP has it: I-JSON, and the arguments of methods.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/ijson/json.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

namespace json = boost::json;

using ijson::DateOffset;
using ijson::Find;
using ijson::FindString;
using ijson::FormatDate;
using ijson::FormatUtcDate;
using ijson::kValueSize;
using ijson::ParseDate;
using ijson::ParseJson;
using ijson::Serialize;
using ijson::SizeWithin;
using ijson::ToArray;
using ijson::View;

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

#pragma once

// What a method, or one object of a /set, answers instead of doing it (RFC 8620 §3.6.2, §5.3).

#include <string>
#include <vector>

namespace godwit::jmap {

// Method-level: the whole call was not done.
struct MethodError {
  std::string type;         // "invalidArguments"
  std::string description;  // for developers
};

// Of one object in create, update or destroy.
struct SetError {
  std::string type;  // "notFound"
  std::string description{};
  std::vector<std::string> properties{};  // with "invalidProperties"
};

}  // namespace godwit::jmap

#pragma once

// The request object of the API (RFC 8620 §3.3), result references (§3.7) and the response (§3.4).
//
//   auto parsed = ParseRequest(content_type, body, limits);
//   if (auto* problem = std::get_if<Problem>(&parsed)) answer ToJson(*problem) with problem->status
//   for each call: ResolveReferences(&call.arguments, responses), then the method

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

// RFC 8620 §2: the members of the core capability. Told in the session, and kept.
struct Limits {
  uint64_t max_size_upload = 50 << 20;
  uint32_t max_concurrent_upload = 4;
  uint64_t max_size_request = 10 << 20;
  uint32_t max_concurrent_requests = 8;
  uint32_t max_calls_in_request = 32;
  uint32_t max_objects_in_get = 500;
  uint32_t max_objects_in_set = 500;
};

// An invocation: a call or a response.
struct Invocation {
  std::string name;
  json::object arguments;
  std::string id;
};

struct Request {
  std::vector<std::string> capabilities;  // "using"
  std::vector<Invocation> calls;
  std::optional<std::map<std::string, std::string>> created_ids;
};

// RFC 8620 §3.6.1, RFC 7807: the request was not done at all.
struct Problem {
  std::string type;  // "urn:ietf:params:jmap:error:notJSON"
  int status = 400;
  std::string detail;
  std::string limit{};  // with "limit"
};
json::object ToJson(const Problem& problem);
Problem LimitProblem(std::string_view limit);

inline constexpr std::string_view kCoreCapability = "urn:ietf:params:jmap:core";
inline constexpr std::string_view kMailCapability = "urn:ietf:params:jmap:mail";
inline constexpr std::string_view kSubmissionCapability = "urn:ietf:params:jmap:submission";

std::variant<Request, Problem> ParseRequest(std::string_view content_type, std::string_view body,
                                            const Limits& limits);

// Puts values of earlier responses where "#name" stands. invalidResultReference when one does not
// resolve, invalidArguments when both "name" and "#name" are there.
//
// `*budget` is what all references of a request may copy, as SizeWithin() measures; what is taken
// is taken off. What would take more does not resolve, and neither does any after it.
std::optional<MethodError> ResolveReferences(json::object* arguments,
                                             const std::vector<Invocation>& responses,
                                             size_t* budget);

// RFC 6901 with the "*" of RFC 8620 §3.7; nullopt when there is nothing, or beyond the budget.
std::optional<json::value> EvaluatePointer(const json::value& value, std::string_view pointer,
                                           size_t* budget);

// RFC 6901 §4: one token of a pointer: "~1" is "/", "~0" is "~".
std::string UnescapePointer(std::string_view token);

json::array ToJson(Invocation invocation);
json::object ToJson(const MethodError& error);
json::object ToJson(const SetError& error);

}  // namespace godwit::jmap

#include "libs/jmap/request.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::jmap {
namespace {

constexpr std::string_view kErrorPrefix = "urn:ietf:params:jmap:error:";
// What one reference may bring; a pointer with "*" in "*" multiplies.
constexpr size_t kMaxReferenced = 100'000;

Problem MakeProblem(std::string_view type, std::string_view detail) {
  return {std::string(kErrorPrefix) + std::string(type), 400, std::string(detail)};
}

bool IsJsonType(std::string_view content_type) {
  const std::string_view type = base::Trim(content_type.substr(0, content_type.find(';')));
  return base::EqualsIgnoreCase(type, "application/json");
}

// RFC 8620 §3.2: a name, an object and an id.
std::optional<Invocation> ParseInvocation(const json::value& value) {
  const json::array* parts = value.if_array();
  if (parts == nullptr || parts->size() != 3) return std::nullopt;
  if (!(*parts)[0].is_string() || !(*parts)[1].is_object() || !(*parts)[2].is_string()) {
    return std::nullopt;
  }
  Invocation call;
  call.name = View((*parts)[0].get_string());
  call.arguments = (*parts)[1].get_object();
  call.id = View((*parts)[2].get_string());
  return call;
}

bool IsKnown(std::string_view capability) {
  return capability == kCoreCapability || capability == kMailCapability ||
         capability == kSubmissionCapability;
}

std::optional<Problem> ParseUsing(const json::object& object, Request* request) {
  const json::value* value = Find(object, "using");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return MakeProblem("notRequest", "using is no array");
  for (const json::value& element : *list) {
    if (!element.is_string()) return MakeProblem("notRequest", "using has more than strings");
    const std::string_view name = View(element.get_string());
    if (!IsKnown(name)) return MakeProblem("unknownCapability", name);
    request->capabilities.emplace_back(name);
  }
  return std::nullopt;
}

std::optional<Problem> ParseCalls(const json::object& object, const Limits& limits,
                                  Request* request) {
  const json::value* value = Find(object, "methodCalls");
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return MakeProblem("notRequest", "methodCalls is no array");
  if (list->size() > limits.max_calls_in_request) return LimitProblem("maxCallsInRequest");
  for (const json::value& element : *list) {
    auto call = ParseInvocation(element);
    if (!call) return MakeProblem("notRequest", "methodCalls has what is no call");
    request->calls.push_back(*std::move(call));
  }
  return std::nullopt;
}

std::optional<Problem> ParseCreatedIds(const json::object& object, Request* request) {
  const json::value* value = Find(object, "createdIds");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_object()) return MakeProblem("notRequest", "createdIds is no object");
  request->created_ids.emplace();
  for (const auto& member : value->get_object()) {
    if (!member.value().is_string()) return MakeProblem("notRequest", "createdIds has no ids");
    request->created_ids->emplace(std::string(member.key().data(), member.key().size()),
                                  View(member.value().get_string()));
  }
  return std::nullopt;
}

// RFC 6901 §4: "~1" is "/", "~0" is "~".
std::string Unescape(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out.push_back(token[++i] == '0' ? '~' : '/');
    } else {
      out.push_back(token[i]);
    }
  }
  return out;
}

class Pointer {
 public:
  std::optional<json::value> Evaluate(const json::value& value, std::string_view pointer) {
    if (pointer.empty()) {
      if (++found_ > kMaxReferenced) return std::nullopt;
      return value;
    }
    if (pointer.front() != '/') return std::nullopt;
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    const std::string token = Unescape(pointer.substr(1, end - 1));
    const std::string_view rest = pointer.substr(end);
    if (const auto* array = value.if_array()) {
      if (token == "*") return EvaluateEach(*array, rest);
      const auto index = base::ParseDecimal(token);
      const bool canonical = token.size() == 1 || token.front() != '0';
      if (!index || !canonical || *index >= array->size()) return std::nullopt;
      return Evaluate((*array)[*index], rest);
    }
    const auto* object = value.if_object();
    const json::value* member = object == nullptr ? nullptr : Find(*object, token);
    if (member == nullptr) return std::nullopt;
    return Evaluate(*member, rest);
  }

 private:
  // RFC 8620 §3.7: the rest applies to each element; arrays that come out are flattened.
  std::optional<json::value> EvaluateEach(const json::array& array, std::string_view rest) {
    json::array all;
    for (const json::value& element : array) {
      auto one = Evaluate(element, rest);
      if (!one) return std::nullopt;
      if (auto* nested = one->if_array()) {
        for (json::value& each : *nested) all.push_back(std::move(each));
      } else {
        all.push_back(*std::move(one));
      }
      if (all.size() > kMaxReferenced) return std::nullopt;
    }
    return json::value(std::move(all));
  }

  size_t found_ = 0;
};

std::optional<json::value> Resolve(const json::value& reference,
                                   const std::vector<Invocation>& responses) {
  const json::object* object = reference.if_object();
  if (object == nullptr) return std::nullopt;
  const auto result_of = FindString(*object, "resultOf");
  const auto name = FindString(*object, "name");
  const auto path = FindString(*object, "path");
  if (!result_of || !name || !path) return std::nullopt;
  // §3.7: the first response with this id; it must have this name.
  const auto found = std::find_if(responses.begin(), responses.end(),
                                  [&](const Invocation& each) { return each.id == *result_of; });
  if (found == responses.end() || found->name != *name) return std::nullopt;
  return EvaluatePointer(found->arguments, *path);
}

}  // namespace

json::object ToJson(const Problem& problem) {
  json::object object = {
      {"type", problem.type}, {"status", problem.status}, {"detail", problem.detail}};
  if (!problem.limit.empty()) object["limit"] = problem.limit;
  return object;
}

Problem LimitProblem(std::string_view limit) {
  Problem problem = MakeProblem("limit", "the request is over a limit");
  problem.limit = limit;
  return problem;
}

std::variant<Request, Problem> ParseRequest(std::string_view content_type, std::string_view body,
                                            const Limits& limits) {
  if (body.size() > limits.max_size_request) return LimitProblem("maxSizeRequest");
  if (!IsJsonType(content_type)) return MakeProblem("notJSON", "not application/json");
  const auto value = ParseJson(body);
  if (!value.ok()) return MakeProblem("notJSON", "the body is no I-JSON");
  const json::object* object = value->if_object();
  if (object == nullptr) return MakeProblem("notRequest", "not an object");
  Request request;
  if (auto problem = ParseUsing(*object, &request)) return *problem;
  if (auto problem = ParseCalls(*object, limits, &request)) return *problem;
  if (auto problem = ParseCreatedIds(*object, &request)) return *problem;
  return request;
}

std::optional<json::value> EvaluatePointer(const json::value& value, std::string_view pointer) {
  return Pointer().Evaluate(value, pointer);
}

std::optional<MethodError> ResolveReferences(json::object* arguments,
                                             const std::vector<Invocation>& responses) {
  json::object resolved;
  bool any = false;
  for (const auto& member : *arguments) {
    const std::string_view key(member.key().data(), member.key().size());
    if (!key.starts_with('#')) {
      resolved[member.key()] = member.value();
      continue;
    }
    any = true;
    const std::string_view name = key.substr(1);
    if (Find(*arguments, name) != nullptr) {
      return MethodError{"invalidArguments", std::string(name) + " comes in both forms"};
    }
    auto value = Resolve(member.value(), responses);
    if (!value) return MethodError{"invalidResultReference", std::string(name)};
    resolved[json::string_view(name.data(), name.size())] = *std::move(value);
  }
  if (any) *arguments = std::move(resolved);
  return std::nullopt;
}

json::array ToJson(const Invocation& invocation) {
  return {invocation.name, invocation.arguments, invocation.id};
}

json::object ToJson(const MethodError& error) {
  json::object object = {{"type", error.type}};
  if (!error.description.empty()) object["description"] = error.description;
  return object;
}

json::object ToJson(const SetError& error) {
  json::object object = {{"type", error.type}};
  if (!error.description.empty()) object["description"] = error.description;
  if (!error.properties.empty()) object["properties"] = ToArray(error.properties);
  return object;
}

}  // namespace godwit::jmap

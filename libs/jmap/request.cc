#include "libs/jmap/request.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"

namespace godwit::jmap {
namespace {

constexpr std::string_view kErrorPrefix = "urn:ietf:params:jmap:error:";
Problem MakeProblem(std::string_view type, std::string_view detail) {
  return {std::string(kErrorPrefix) + std::string(type), 400, std::string(detail)};
}

bool IsJsonType(std::string_view content_type) {
  const std::string_view type = base::Trim(content_type.substr(0, content_type.find(';')));
  return base::EqualsIgnoreCase(type, "application/json");
}

// RFC 8620 §3.2: a name, an object and an id.
std::optional<Invocation> ParseInvocation(json::value* value) {
  json::array* parts = value->if_array();
  if (parts == nullptr || parts->size() != 3) return std::nullopt;
  if (!(*parts)[0].is_string() || !(*parts)[1].is_object() || !(*parts)[2].is_string()) {
    return std::nullopt;
  }
  Invocation call;
  call.name = View((*parts)[0].get_string());
  call.arguments = std::move((*parts)[1].get_object());
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

// Takes the arguments out of `object`.
std::optional<Problem> ParseCalls(json::object* object, const Limits& limits, Request* request) {
  json::value* value = object->if_contains("methodCalls");
  json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return MakeProblem("notRequest", "methodCalls is no array");
  if (list->size() > limits.max_calls_in_request) return LimitProblem("maxCallsInRequest");
  for (json::value& element : *list) {
    auto call = ParseInvocation(&element);
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

// Every value that is looked at or copied is charged: a reference may take all of an answer, in
// which others have taken all of an answer, and "*" in "*" multiplies.
class Pointer {
 public:
  explicit Pointer(size_t* budget) : budget_(budget) {}

  std::optional<json::value> Evaluate(const json::value& value, std::string_view pointer) {
    if (const auto* object = value.if_object()) return Evaluate(*object, pointer);
    if (!Charge(value, pointer.empty())) return std::nullopt;
    if (pointer.empty()) return value;
    const auto [token, rest] = Split(pointer);
    const auto* array = value.if_array();
    if (array == nullptr || !token) return std::nullopt;
    if (*token == "*") return EvaluateEach(*array, rest);
    const auto index = base::ParseDecimal(*token);
    const bool canonical = token->size() == 1 || token->front() != '0';
    if (!index || !canonical || *index >= array->size()) return std::nullopt;
    return Evaluate((*array)[*index], rest);
  }
  std::optional<json::value> Evaluate(const json::object& object, std::string_view pointer) {
    if (!Charge(object, pointer.empty())) return std::nullopt;
    if (pointer.empty()) return json::value(object);
    const auto [token, rest] = Split(pointer);
    const json::value* member = token ? Find(object, *token) : nullptr;
    if (member == nullptr) return std::nullopt;
    return Evaluate(*member, rest);
  }

 private:
  // All of it, or one value that is passed.
  template <typename Value>
  bool Charge(const Value& value, bool all) {
    const auto size = all ? SizeWithin(value, *budget_) : std::optional(kValueSize);
    if (!size || *size > *budget_) {
      *budget_ = 0;
      return false;
    }
    *budget_ -= *size;
    return true;
  }

  // The first token, and what is behind it.
  static std::pair<std::optional<std::string>, std::string_view> Split(std::string_view pointer) {
    if (pointer.front() != '/') return {std::nullopt, pointer};
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    return {UnescapePointer(pointer.substr(1, end - 1)), pointer.substr(end)};
  }

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
    }
    return json::value(std::move(all));
  }

  size_t* const budget_;
};

std::optional<json::value> Resolve(const json::value& reference,
                                   const std::vector<Invocation>& responses, size_t* budget) {
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
  return Pointer(budget).Evaluate(found->arguments, *path);
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
  auto value = ParseJson(body);
  if (absl::IsResourceExhausted(value.status())) return LimitProblem("maxSizeRequest");
  if (!value.ok()) return MakeProblem("notJSON", "the body is no I-JSON");
  json::object* object = value->if_object();
  if (object == nullptr) return MakeProblem("notRequest", "not an object");
  Request request;
  if (auto problem = ParseUsing(*object, &request)) return *problem;
  if (auto problem = ParseCalls(object, limits, &request)) return *problem;
  if (auto problem = ParseCreatedIds(*object, &request)) return *problem;
  return request;
}

std::string UnescapePointer(std::string_view token) {
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

std::optional<json::value> EvaluatePointer(const json::value& value, std::string_view pointer,
                                           size_t* budget) {
  return Pointer(budget).Evaluate(value, pointer);
}

std::optional<MethodError> ResolveReferences(json::object* arguments,
                                             const std::vector<Invocation>& responses,
                                             size_t* budget) {
  const bool any = std::any_of(arguments->begin(), arguments->end(),
                               [](const auto& member) { return member.key().starts_with('#'); });
  if (!any) return std::nullopt;
  json::object resolved;
  for (auto& member : *arguments) {
    const std::string_view key(member.key().data(), member.key().size());
    if (!key.starts_with('#')) {
      resolved[member.key()] = member.value();
      continue;
    }
    const std::string_view name = key.substr(1);
    if (Find(*arguments, name) != nullptr) {
      return MethodError{"invalidArguments", std::string(name) + " comes in both forms"};
    }
    auto value = Resolve(member.value(), responses, budget);
    if (!value) return MethodError{"invalidResultReference", std::string(name)};
    resolved[json::string_view(name.data(), name.size())] = *std::move(value);
  }
  *arguments = std::move(resolved);
  return std::nullopt;
}

json::array ToJson(Invocation invocation) {
  return {invocation.name, std::move(invocation.arguments), invocation.id};
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

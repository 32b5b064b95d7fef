#pragma once

// The standard methods (RFC 8620 §5): arguments of /get, /changes, /query, /queryChanges and /set,
// and the frames of their answers.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"
#include "libs/jmap/request.h"

namespace godwit::jmap {

// What a method answers: its response arguments, or an error.
using Result = std::variant<json::object, MethodError>;

// §5.1.
struct GetArguments {
  std::optional<std::vector<std::string>> ids;  // absent: all
  std::optional<std::vector<std::string>> properties;
};
// Takes accountId, ids and properties; what a type has beside them is taken by the caller before
// Finish(). requestTooLarge is the caller's, see TooManyIds().
//
// Each id and property once: an object is answered once, however often it is asked for.
GetArguments TakeGet(Arguments* arguments);
inline constexpr size_t kMaxProperties = 256;
// Leaves the first of those that are the same.
void DropRepeated(std::vector<std::string>* strings);
std::optional<MethodError> TooMany(size_t count, uint32_t limit);

// §5.2.
struct ChangesArguments {
  int64_t since = 0;         // -1: a state that we never gave
  uint64_t max_changes = 0;  // 0: not said
};
ChangesArguments TakeChanges(Arguments* arguments);

// §5.5.
struct QueryArguments {
  const json::object* filter = nullptr;
  const json::array* sort = nullptr;
  int64_t position = 0;
  std::optional<std::string> anchor;
  int64_t anchor_offset = 0;
  std::optional<uint64_t> limit;
  bool calculate_total = false;
};
QueryArguments TakeQuery(Arguments* arguments);

// Which of `total` results are asked for: [begin, end). Negative positions count from the end.
std::pair<size_t, size_t> QueryWindow(const QueryArguments& query, size_t total, uint64_t limit);
// The same with an anchor found at `index`: its position, which is cut at 0.
int64_t AnchorPosition(const QueryArguments& query, size_t index);

// §5.3.
struct SetArguments {
  std::optional<std::string> if_in_state;
  const json::object* create = nullptr;
  const json::object* update = nullptr;
  std::vector<std::string> destroy;
  size_t count() const;
};
SetArguments TakeSet(Arguments* arguments);

// The answer of a /set while it is made.
class SetResponse {
 public:
  void Created(std::string_view creation_id, json::object object);
  void NotCreated(std::string_view creation_id, const SetError& error);
  // `object`: what the server changed beside it; empty for null.
  void Updated(std::string_view id);
  void NotUpdated(std::string_view id, const SetError& error);
  void Destroyed(std::string_view id);
  void NotDestroyed(std::string_view id, const SetError& error);
  // Something was done: from now on nothing may be answered that says otherwise.
  bool changed_any() const;

  json::object Finish(std::string_view account_id, std::string_view old_state,
                      std::string_view new_state) &&;

 private:
  json::object created_, updated_, not_created_, not_updated_, not_destroyed_;
  json::array destroyed_;
};

// §5.3: applies a PatchObject to `*target`. invalidPatch when a path leads nowhere, into an array,
// or two paths overlap.
std::optional<SetError> ApplyPatch(const json::object& patch, json::object* target);

// Only "id" and the properties named.
json::object Select(const json::object& object,
                    const std::optional<std::vector<std::string>>& properties);

}  // namespace godwit::jmap

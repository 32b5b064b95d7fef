#include "libs/jmap/standard.h"

#include <algorithm>
#include <set>

#include "libs/base/ascii.h"
#include "libs/jmap/id.h"

namespace godwit::jmap {
namespace {

json::string_view Key(std::string_view text) { return {text.data(), text.size()}; }

// "a/b" and "a" in one patch: whichever came first would decide.
bool HasAncestor(const std::set<std::string_view>& paths, std::string_view path) {
  for (size_t at = path.rfind('/'); at != std::string_view::npos && at > 0;
       at = path.rfind('/', at - 1)) {
    if (paths.contains(path.substr(0, at))) return true;
  }
  return false;
}

// The pointer has an implicit leading "/"; every object on its way must exist.
bool ApplyOne(std::string_view path, const json::value& value, json::object* target) {
  const auto tokens = base::Split(path, '/');
  json::object* at = target;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    json::value* next = at->if_contains(Key(UnescapePointer(tokens[i])));
    if (next == nullptr || !next->is_object()) return false;
    at = &next->get_object();
  }
  const std::string last = UnescapePointer(tokens.back());
  // Null sets to the default, or removes when there is none; here the caller's reading decides.
  if (value.is_null()) {
    at->erase(Key(last));
  } else {
    (*at)[Key(last)] = value;
  }
  return true;
}

void Put(json::object* answer, std::string_view name, json::object&& object) {
  if (object.empty()) {
    (*answer)[Key(name)] = nullptr;
  } else {
    (*answer)[Key(name)] = std::move(object);
  }
}

}  // namespace

GetArguments TakeGet(Arguments* arguments) {
  GetArguments get;
  get.ids = arguments->Ids("ids");
  if (get.ids) DropRepeated(&*get.ids);
  get.properties = arguments->Strings("properties");
  if (!get.properties) return get;
  DropRepeated(&*get.properties);
  if (get.properties->size() > kMaxProperties) arguments->Fail("properties", "too many");
  return get;
}

void DropRepeated(std::vector<std::string>* strings) {
  std::set<std::string_view> seen;
  std::vector<std::string> once;
  once.reserve(strings->size());  // what `seen` looks at stays where it is
  for (std::string& each : *strings) {
    if (seen.contains(each)) continue;
    once.push_back(std::move(each));
    seen.insert(once.back());
  }
  *strings = std::move(once);
}

std::optional<MethodError> TooMany(size_t count, uint32_t limit) {
  if (count <= limit) return std::nullopt;
  return MethodError{"requestTooLarge", "more objects than are taken at once"};
}

ChangesArguments TakeChanges(Arguments* arguments) {
  ChangesArguments changes;
  const auto since = arguments->String("sinceState");
  if (!since) arguments->Fail("sinceState", "missing");
  changes.since = since ? ParseState(*since).value_or(-1) : -1;
  const auto max = arguments->Uint("maxChanges");
  if (max && *max == 0) arguments->Fail("maxChanges", "not positive");
  changes.max_changes = max.value_or(0);
  return changes;
}

QueryArguments TakeQuery(Arguments* arguments) {
  QueryArguments query;
  query.filter = arguments->Object("filter");
  query.sort = arguments->Array("sort");
  query.position = arguments->Int("position").value_or(0);
  query.anchor = arguments->String("anchor");
  query.anchor_offset = arguments->Int("anchorOffset").value_or(0);
  query.limit = arguments->Uint("limit");
  query.calculate_total = arguments->Bool("calculateTotal").value_or(false);
  return query;
}

std::pair<size_t, size_t> QueryWindow(const QueryArguments& query, size_t total, uint64_t limit) {
  const auto size = static_cast<int64_t>(total);
  // §5.5: a negative position counts from the end, and is 0 when that is before the first.
  int64_t begin = query.position < 0 ? std::max<int64_t>(0, size + query.position)
                                     : std::min(query.position, size);
  const auto wanted = std::min<uint64_t>(query.limit.value_or(limit), limit);
  const auto end = std::min<uint64_t>(total, static_cast<uint64_t>(begin) + wanted);
  return {static_cast<size_t>(begin), static_cast<size_t>(end)};
}

int64_t AnchorPosition(const QueryArguments& query, size_t index) {
  return std::max<int64_t>(0, static_cast<int64_t>(index) + query.anchor_offset);
}

size_t SetArguments::count() const {
  return (create == nullptr ? 0 : create->size()) + (update == nullptr ? 0 : update->size()) +
         destroy.size();
}

SetArguments TakeSet(Arguments* arguments) {
  SetArguments set;
  set.if_in_state = arguments->String("ifInState");
  set.create = arguments->Object("create");
  set.update = arguments->Object("update");
  set.destroy = arguments->Ids("destroy").value_or(std::vector<std::string>());
  return set;
}

bool SetResponse::changed_any() const {
  return !created_.empty() || !updated_.empty() || !destroyed_.empty();
}

void SetResponse::Created(std::string_view creation_id, json::object object) {
  created_[Key(creation_id)] = std::move(object);
}
void SetResponse::NotCreated(std::string_view creation_id, const SetError& error) {
  not_created_[Key(creation_id)] = ToJson(error);
}
void SetResponse::Updated(std::string_view id) { updated_[Key(id)] = nullptr; }
void SetResponse::NotUpdated(std::string_view id, const SetError& error) {
  not_updated_[Key(id)] = ToJson(error);
}
void SetResponse::Destroyed(std::string_view id) { destroyed_.emplace_back(Key(id)); }
void SetResponse::NotDestroyed(std::string_view id, const SetError& error) {
  not_destroyed_[Key(id)] = ToJson(error);
}

json::object SetResponse::Finish(std::string_view account_id, std::string_view old_state,
                                 std::string_view new_state) && {
  json::object answer = {
      {"accountId", Key(account_id)}, {"oldState", Key(old_state)}, {"newState", Key(new_state)}};
  Put(&answer, "created", std::move(created_));
  Put(&answer, "updated", std::move(updated_));
  if (destroyed_.empty()) {
    answer["destroyed"] = nullptr;
  } else {
    answer["destroyed"] = std::move(destroyed_);
  }
  Put(&answer, "notCreated", std::move(not_created_));
  Put(&answer, "notUpdated", std::move(not_updated_));
  Put(&answer, "notDestroyed", std::move(not_destroyed_));
  return answer;
}

std::optional<SetError> ApplyPatch(const json::object& patch, json::object* target) {
  std::set<std::string_view> paths;
  for (const auto& member : patch) paths.emplace(member.key().data(), member.key().size());
  for (const std::string_view path : paths) {
    if (HasAncestor(paths, path)) return SetError{"invalidPatch", "paths overlap"};
  }
  for (const auto& member : patch) {
    const std::string_view path(member.key().data(), member.key().size());
    if (!ApplyOne(path, member.value(), target)) {
      return SetError{"invalidPatch", std::string(path) + " leads nowhere"};
    }
  }
  return std::nullopt;
}

json::object Select(const json::object& object,
                    const std::optional<std::vector<std::string>>& properties) {
  if (!properties) return object;
  json::object selected;
  if (const json::value* id = Find(object, "id")) selected["id"] = *id;
  for (const std::string& name : *properties) {
    if (const json::value* value = Find(object, name)) selected[name] = *value;
  }
  return selected;
}

}  // namespace godwit::jmap

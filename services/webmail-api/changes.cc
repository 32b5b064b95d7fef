#include "services/webmail-api/changes.h"

#include <algorithm>
#include <utility>

#include "libs/jmap/id.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// What a client gets that names no bound.
constexpr uint64_t kMaxChanges = 2000;

jmap::IdType IdTypeOf(store::JmapType type) {
  switch (type) {
    case store::JmapType::kMailbox: return jmap::IdType::kMailbox;
    case store::JmapType::kEmail: return jmap::IdType::kEmail;
    case store::JmapType::kThread: break;
  }
  return jmap::IdType::kThread;
}

json::array Ids(store::JmapType type, const std::vector<int64_t>& numbers) {
  json::array ids;
  for (const int64_t number : numbers) ids.emplace_back(jmap::FormatId(IdTypeOf(type), number));
  return ids;
}

}  // namespace

base::Task<jmap::Result> RunChanges(CallContext* context, json::object arguments,
                                    store::JmapType type, store::JmapChanges* changes) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::ChangesArguments wanted = jmap::TakeChanges(&reader);
  if (auto error = reader.Finish()) co_return *error;
  const uint64_t max =
      wanted.max_changes == 0 ? kMaxChanges : std::min(wanted.max_changes, kMaxChanges);
  const store::AccountId account = context->account();
  absl::StatusOr<std::optional<store::JmapChanges>> found = co_await context->env->database->Run(
      [account, type, since = wanted.since, max](db::Connection& c) {
        return store::JmapChangesSince(c, account, type, since, max);
      });
  if (!found.ok()) co_return ServerError(*context, found.status());
  if (!*found) co_return jmap::MethodError{std::string(kCannotCalculate), ""};
  *changes = **std::move(found);
  co_return json::object{{"accountId", context->account_id},
                         {"oldState", jmap::FormatState(wanted.since)},
                         {"newState", jmap::FormatState(changes->state)},
                         {"hasMoreChanges", changes->has_more},
                         {"created", Ids(type, changes->created)},
                         {"updated", Ids(type, changes->updated)},
                         {"destroyed", Ids(type, changes->destroyed)}};
}

jmap::Result FinishQuery(const CallContext& context, const jmap::QueryArguments& query,
                         const std::vector<std::string>& ids, const std::string& state) {
  jmap::QueryArguments window = query;
  if (query.anchor) {
    const auto at = std::find(ids.begin(), ids.end(), *query.anchor);
    if (at == ids.end()) return jmap::MethodError{"anchorNotFound", ""};
    window.position = jmap::AnchorPosition(query, static_cast<size_t>(at - ids.begin()));
  }
  const auto [begin, end] =
      jmap::QueryWindow(window, ids.size(), context.limits().max_objects_in_get);
  json::array page;
  for (size_t i = begin; i < end; ++i) page.emplace_back(ids[i]);
  json::object answer = {{"accountId", context.account_id},
                         {"queryState", state},
                         {"canCalculateChanges", false},
                         {"position", begin},
                         {"ids", std::move(page)}};
  if (query.calculate_total) answer["total"] = ids.size();
  if (query.limit.value_or(UINT64_MAX) > context.limits().max_objects_in_get) {
    answer["limit"] = context.limits().max_objects_in_get;
  }
  return answer;
}

}  // namespace godwit::webmail_api

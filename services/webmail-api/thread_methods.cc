// Thread/get and /changes (RFC 8621 §3), Email/changes (§4.3).

#include <algorithm>
#include <map>
#include <utility>

#include "libs/jmap/id.h"
#include "libs/store/jmap_email.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/changes.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

json::object ThreadToJson(const store::JmapThread& thread) {
  json::array emails;
  for (const store::EmailId id : thread.emails) {
    emails.emplace_back(jmap::FormatId(jmap::IdType::kEmail, store::ToInt(id)));
  }
  return {{"id", jmap::FormatId(jmap::IdType::kThread, store::ToInt(thread.id))},
          {"emailIds", std::move(emails)}};
}

}  // namespace

base::Task<jmap::Result> ThreadGet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::GetArguments get = jmap::TakeGet(&reader);
  if (auto error = reader.Finish()) co_return *error;
  // RFC 8620 §5.1: null means all, which is more than is taken at once.
  if (!get.ids) co_return jmap::MethodError{"requestTooLarge", "ids"};
  if (auto error = jmap::TooMany(get.ids->size(), context->limits().max_objects_in_get)) {
    co_return *error;
  }
  std::vector<store::ThreadId> ids;
  for (const std::string& id : *get.ids) {
    if (const auto number = jmap::ParseId(jmap::IdType::kThread, id)) {
      ids.push_back(store::ThreadId{*number});
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  absl::StatusOr<store::JmapThreads> threads =
      co_await context->env->database->Run([account = context->account(), ids](db::Connection& c) {
        return store::GetJmapThreads(c, account, ids);
      });
  if (!threads.ok()) co_return ServerError(*context, threads.status());
  std::map<std::string, json::object> by_id;
  for (const store::JmapThread& thread : threads->threads) {
    by_id[jmap::FormatId(jmap::IdType::kThread, store::ToInt(thread.id))] = ThreadToJson(thread);
  }
  json::array list;
  json::array not_found;
  for (const std::string& id : *get.ids) {
    const auto found = by_id.find(id);
    if (found == by_id.end()) {
      not_found.emplace_back(id);
    } else {
      list.push_back(jmap::Select(found->second, get.properties));
    }
  }
  co_return json::object{{"accountId", context->account_id},
                         {"state", jmap::FormatState(threads->state)},
                         {"list", std::move(list)},
                         {"notFound", std::move(not_found)}};
}

base::Task<jmap::Result> ThreadChanges(CallContext* context, json::object arguments) {
  store::JmapChanges changes;
  jmap::Result result =
      co_await RunChanges(context, std::move(arguments), store::JmapType::kThread, &changes);
  co_return result;
}

base::Task<jmap::Result> EmailChanges(CallContext* context, json::object arguments) {
  store::JmapChanges changes;
  jmap::Result result =
      co_await RunChanges(context, std::move(arguments), store::JmapType::kEmail, &changes);
  co_return result;
}

}  // namespace godwit::webmail_api

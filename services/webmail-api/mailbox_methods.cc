// Mailbox/get, /changes, /query, /set (RFC 8621 §2).

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/jmap/mailbox.h"
#include "libs/store/entries.h"
#include "libs/store/jmap_changes.h"
#include "libs/store/jmap_email.h"
#include "libs/store/mailbox.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/changes.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

struct Listed {
  std::vector<jmap::MailboxInfo> infos;
  std::map<int64_t, store::Mailbox> by_id;
  store::Modseq state = 1;
};

jmap::MailboxInfo InfoOf(const store::Mailbox& mailbox) {
  jmap::MailboxInfo info;
  info.id = store::ToInt(mailbox.id);
  info.parent = store::ToInt(mailbox.parent);
  info.name = mailbox.name;
  info.role = store::RoleName(mailbox.role);
  info.subscribed = mailbox.subscribed;
  info.total_emails = static_cast<uint64_t>(mailbox.total - mailbox.deleted);
  info.unread_emails = static_cast<uint64_t>(mailbox.unseen - mailbox.deleted_unseen);
  return info;
}

Listed ListedOf(const store::MailboxList& list) {
  Listed listed;
  listed.state = list.mailbox_modseq;
  for (const store::Mailbox& mailbox : list.mailboxes) {
    listed.infos.push_back(InfoOf(mailbox));
    listed.by_id[store::ToInt(mailbox.id)] = mailbox;
  }
  return listed;
}

absl::StatusOr<Listed> ListAll(db::Connection& c, store::AccountId account, bool threads) {
  GODWIT_ASSIGN_OR_RETURN(auto list, store::ListMailboxes(c, account));
  Listed listed = ListedOf(list);
  if (!threads) return listed;
  GODWIT_ASSIGN_OR_RETURN(auto counts, store::CountMailboxThreads(c, account));
  for (const store::MailboxThreads& count : counts) {
    for (jmap::MailboxInfo& info : listed.infos) {
      if (info.id != store::ToInt(count.mailbox)) continue;
      info.total_threads = static_cast<uint64_t>(count.total);
      info.unread_threads = static_cast<uint64_t>(count.unread);
    }
  }
  return listed;
}

base::Task<absl::StatusOr<Listed>> List(CallContext* context, bool threads) {
  absl::StatusOr<Listed> listed = co_await context->env->database->Run(
      [account = context->account(), threads](db::Connection& c) {
        return ListAll(c, account, threads);
      });
  co_return listed;
}

bool WantsThreads(const std::optional<std::vector<std::string>>& properties) {
  if (!properties) return true;
  return std::find(properties->begin(), properties->end(), "totalThreads") != properties->end() ||
         std::find(properties->begin(), properties->end(), "unreadThreads") != properties->end();
}

// One name of a path: what the store takes, without its separator.
bool IsMailboxName(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos &&
         store::SplitMailboxPath(name).ok();
}

jmap::SetError Invalid(std::string_view property, std::string_view why) {
  return {"invalidProperties", std::string(why), {std::string(property)}};
}

// What Mailbox/set does, mailbox by mailbox; runs on a database thread.
//
// Each mailbox is judged and changed in one transaction that begins with the lock of the account:
// an email that came meanwhile keeps its mailbox, and a path is that of the mailbox that was meant.
class MailboxSetter {
 public:
  // `state`: what was told as the old state.
  MailboxSetter(db::Connection& c, CallContext* context, store::Modseq state,
                jmap::SetResponse* response, absl::Time now)
      : c_(c), context_(context), response_(response), now_(now), state_(state) {}

  void Create(const json::object& creations) {
    // A mailbox may lie below one that stands behind it: again, as long as one more is made.
    std::set<std::string> left;
    for (const auto& member : creations) left.emplace(member.key().data(), member.key().size());
    for (bool progress = true; progress && !left.empty();) {
      progress = false;
      for (const auto& member : creations) {
        const std::string key(member.key().data(), member.key().size());
        if (!left.contains(key) || WaitsFor(member.value(), left)) continue;
        CreateOne(key, member.value());
        left.erase(key);
        progress = true;
      }
    }
    for (const std::string& key : left) {
      response_->NotCreated(key, Invalid("parentId", "no such mailbox"));
    }
  }

  void Update(const json::object& updates) {
    for (const auto& member : updates) {
      const std::string_view id(member.key().data(), member.key().size());
      const json::object* patch = member.value().if_object();
      if (patch == nullptr) {
        response_->NotUpdated(id, {"invalidPatch"});
        continue;
      }
      auto error = UpdateOne(id, *patch);
      if (error) {
        response_->NotUpdated(id, *error);
      } else {
        response_->Updated(id);
      }
    }
  }

  void Destroy(const std::vector<std::string>& ids, bool remove_emails) {
    for (const std::string& id : ids) {
      if (auto error = DestroyOne(id, remove_emails)) {
        response_->NotDestroyed(id, *error);
      } else {
        response_->Destroyed(id);
      }
    }
  }

  const store::Change& change() const { return change_; }
  // The state after our changes, up to the first that somebody else made in between: from there on
  // the client has to ask for changes.
  store::Modseq state() const { return state_; }
  // Deleted, with entries left that go step by step.
  const std::vector<store::MailboxId>& doomed() const { return doomed_; }

 private:
  static bool WaitsFor(const json::value& creation, const std::set<std::string>& left) {
    const json::object* object = creation.if_object();
    if (object == nullptr) return false;
    const auto parent = jmap::FindString(*object, "parentId");
    return parent && parent->starts_with('#') && left.contains(parent->substr(1));
  }

  const store::Mailbox* FindById(std::string_view id) const {
    const auto resolved = context_->Resolve(id);
    const auto number = resolved ? jmap::ParseId(jmap::IdType::kMailbox, *resolved) : std::nullopt;
    const auto found = number ? listed_.by_id.find(*number) : listed_.by_id.end();
    return found == listed_.by_id.end() ? nullptr : &found->second;
  }

  // The path of a mailbox of this name below `parent` ("" for the top level).
  std::optional<std::string> PathBelow(std::string_view parent, std::string_view name) const {
    if (parent.empty()) return std::string(name);
    const store::Mailbox* mailbox = FindById(parent);
    if (mailbox == nullptr) return std::nullopt;
    return mailbox->path + "/" + std::string(name);
  }

  using Judged = absl::StatusOr<std::optional<jmap::SetError>>;

  // `work` judges by listed_ and makes its changes by c_, or says why not before any of them.
  template <typename Work>
  std::optional<jmap::SetError> Run(Work work) {
    const Judged judged = db::RunTransaction(c_, [&](db::Connection& c) -> Judged {
      last_ = store::Change();
      GODWIT_ASSIGN_OR_RETURN(auto list, store::LockMailboxes(c, context_->account()));
      listed_ = ListedOf(list);
      return work();
    });
    if (!judged.ok()) return ErrorOf(judged.status());
    if (*judged || last_.modseq == 0) return *judged;
    foreign_ = foreign_ || listed_.state != state_;
    if (!foreign_) state_ = last_.modseq;
    change_ = last_;
    return std::nullopt;
  }

  void Note(const store::Change& change) {
    if (change.modseq != 0) last_ = change;
  }

  jmap::SetError ErrorOf(const absl::Status& status) const {
    if (absl::IsAlreadyExists(status)) return Invalid("name", "there is one of this name");
    if (absl::IsInvalidArgument(status)) return Invalid("name", "not a name");
    if (absl::IsFailedPrecondition(status)) return {"forbidden"};
    return ServerSetError(*context_, status);
  }

  void CreateOne(const std::string& key, const json::value& value) {
    const json::object* object = value.if_object();
    auto read = object == nullptr ? std::variant<jmap::MailboxChangeRequest, jmap::SetError>(
                                        jmap::SetError{"invalidProperties"})
                                  : jmap::ReadMailboxChange(*object);
    if (auto* error = std::get_if<jmap::SetError>(&read)) return response_->NotCreated(key, *error);
    const auto& wanted = std::get<jmap::MailboxChangeRequest>(read);
    jmap::MailboxInfo info;
    const auto error = Run([&] { return Make(wanted, &info); });
    if (error) return response_->NotCreated(key, *error);
    context_->created[key] = jmap::FormatId(jmap::IdType::kMailbox, info.id);
    response_->Created(
        key, jmap::Select(jmap::MailboxToJson(info),
                          std::vector<std::string>{"sortOrder", "totalEmails", "unreadEmails",
                                                   "totalThreads", "unreadThreads", "myRights"}));
  }

  Judged Make(const jmap::MailboxChangeRequest& wanted, jmap::MailboxInfo* info) {
    if (!wanted.name || !IsMailboxName(*wanted.name)) return Invalid("name", "not a name");
    const auto path = PathBelow(wanted.parent.value_or(""), *wanted.name);
    if (!path) return Invalid("parentId", "no such mailbox");
    info->role = wanted.role.value_or("");
    const store::Role role = store::RoleFromName(info->role);
    if (!info->role.empty() && (role == store::Role::kNone || RoleTaken(role))) {
      return Invalid("role", "not a role, or taken");
    }
    GODWIT_ASSIGN_OR_RETURN(auto made,
                            store::CreateMailbox(c_, context_->account(), *path, role, now_));
    Note(made.change);
    info->id = store::ToInt(made.mailbox);
    if (!wanted.subscribed.value_or(false)) return std::nullopt;
    GODWIT_RETURN_IF_ERROR(Subscribe(*path, true));
    return std::nullopt;
  }

  absl::Status Subscribe(const std::string& path, bool subscribed) {
    GODWIT_ASSIGN_OR_RETURN(auto change,
                            store::SetSubscribed(c_, context_->account(), path, subscribed, now_));
    Note(change);
    return absl::OkStatus();
  }

  bool RoleTaken(store::Role role) const {
    return std::any_of(listed_.by_id.begin(), listed_.by_id.end(),
                       [&](const auto& entry) { return entry.second.role == role; });
  }

  std::optional<jmap::SetError> UpdateOne(std::string_view id, const json::object& patch) {
    auto read = jmap::ReadMailboxChange(patch);
    if (auto* error = std::get_if<jmap::SetError>(&read)) return *error;
    const auto& wanted = std::get<jmap::MailboxChangeRequest>(read);
    return Run([&] { return Change(id, wanted); });
  }

  Judged Change(std::string_view id, const jmap::MailboxChangeRequest& wanted) {
    const store::Mailbox* mailbox = FindById(id);
    if (mailbox == nullptr) return jmap::SetError{"notFound"};
    if (wanted.role && *wanted.role != store::RoleName(mailbox->role)) {
      return Invalid("role", "a role stays with its mailbox");
    }
    std::string path = mailbox->path;
    if (wanted.name || wanted.parent) {
      const std::string name = wanted.name.value_or(mailbox->name);
      if (!IsMailboxName(name)) return Invalid("name", "not a name");
      const std::string parent = wanted.parent.value_or(
          mailbox->parent == store::MailboxId::kNone
              ? ""
              : jmap::FormatId(jmap::IdType::kMailbox, store::ToInt(mailbox->parent)));
      const auto to = PathBelow(parent, name);
      if (!to) return Invalid("parentId", "no such mailbox");
      if (to->starts_with(path + "/")) return Invalid("parentId", "below itself");
      // RFC 9051 §6.3.6: renaming INBOX would move its messages away.
      if (*to != path && mailbox->role == store::Role::kInbox) return jmap::SetError{"forbidden"};
      path = *to;
    }
    if (path != mailbox->path) GODWIT_RETURN_IF_ERROR(Rename(*mailbox, path));
    if (wanted.subscribed && *wanted.subscribed != mailbox->subscribed) {
      GODWIT_RETURN_IF_ERROR(Subscribe(path, *wanted.subscribed));
    }
    return std::nullopt;
  }

  // Subscriptions are by name (RFC 9051 §6.3.7); here they belong to the mailbox.
  absl::Status Rename(const store::Mailbox& mailbox, const std::string& path) {
    GODWIT_ASSIGN_OR_RETURN(
        auto renamed, store::RenameMailbox(c_, context_->account(), mailbox.path, path, now_));
    Note(renamed.change);
    if (!mailbox.subscribed) return absl::OkStatus();
    GODWIT_RETURN_IF_ERROR(Subscribe(mailbox.path, false));
    return Subscribe(path, true);
  }

  std::optional<jmap::SetError> DestroyOne(std::string_view id, bool remove_emails) {
    store::MailboxId doomed = store::MailboxId::kNone;
    auto error = Run([&] { return Remove(id, remove_emails, &doomed); });
    if (!error && doomed != store::MailboxId::kNone) doomed_.push_back(doomed);
    return error;
  }

  Judged Remove(std::string_view id, bool remove_emails, store::MailboxId* doomed) {
    const store::Mailbox* mailbox = FindById(id);
    if (mailbox == nullptr) return jmap::SetError{"notFound"};
    if (mailbox->role == store::Role::kInbox) return jmap::SetError{"forbidden"};
    for (const auto& [number, other] : listed_.by_id) {
      if (other.parent == mailbox->id) return jmap::SetError{"mailboxHasChild"};
    }
    // RFC 8621 §2.5.
    if (!remove_emails && mailbox->total > mailbox->deleted) {
      return jmap::SetError{"mailboxHasEmail"};
    }
    GODWIT_ASSIGN_OR_RETURN(auto gone,
                            store::DeleteMailbox(c_, context_->account(), mailbox->path, now_));
    Note(gone.change);
    *doomed = gone.doomed;
    return std::nullopt;
  }

  db::Connection& c_;
  CallContext* context_;
  jmap::SetResponse* response_;
  const absl::Time now_;
  Listed listed_;       // in the transaction under way
  store::Change last_;  // of it
  store::Change change_;
  store::Modseq state_;
  bool foreign_ = false;
  std::vector<store::MailboxId> doomed_;
};

// What is left of deleted mailboxes, a page a transaction. If it fails the sweep goes on.
base::Task<void> Purge(CallContext* context, std::vector<store::MailboxId> doomed) {
  Environment* const env = context->env;
  for (const store::MailboxId mailbox : doomed) {
    for (bool done = false; !done;) {
      absl::StatusOr<store::Purged> purged = co_await env->database->Run(
          [account = context->account(), mailbox, now = env->clock->Now()](db::Connection& c) {
            return store::PurgeMailbox(c, account, mailbox, now);
          });
      if (!purged.ok()) co_return;
      Announce(env, context->account(), purged->change);
      done = purged->done;
    }
  }
}

}  // namespace

base::Task<jmap::Result> MailboxGet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::GetArguments get = jmap::TakeGet(&reader);
  if (auto error = reader.Finish()) co_return *error;
  for (const std::string& name : get.properties.value_or(std::vector<std::string>())) {
    if (!jmap::IsMailboxProperty(name)) {
      co_return jmap::MethodError{"invalidArguments", "properties: " + name + " is not known"};
    }
  }
  if (get.ids) {
    if (auto error = jmap::TooMany(get.ids->size(), context->limits().max_objects_in_get)) {
      co_return *error;
    }
  }
  auto listed = co_await List(context, WantsThreads(get.properties));
  if (!listed.ok()) co_return ServerError(*context, listed.status());
  json::array list;
  json::array not_found;
  std::map<std::string, const jmap::MailboxInfo*> by_id;
  for (const jmap::MailboxInfo& info : listed->infos) {
    by_id[jmap::FormatId(jmap::IdType::kMailbox, info.id)] = &info;
    if (!get.ids) list.push_back(jmap::Select(jmap::MailboxToJson(info), get.properties));
  }
  std::vector<std::string> ids = get.ids.value_or(std::vector<std::string>());
  for (std::string& id : ids) id = context->Resolve(id).value_or(id);
  jmap::DropRepeated(&ids);
  for (const std::string& id : ids) {
    const auto found = by_id.find(id);
    if (found == by_id.end()) {
      not_found.emplace_back(id);
    } else {
      list.push_back(jmap::Select(jmap::MailboxToJson(*found->second), get.properties));
    }
  }
  co_return json::object{{"accountId", context->account_id},
                         {"state", jmap::FormatState(listed->state)},
                         {"list", std::move(list)},
                         {"notFound", std::move(not_found)}};
}

base::Task<jmap::Result> MailboxChanges(CallContext* context, json::object arguments) {
  store::JmapChanges changes;
  jmap::Result result =
      co_await RunChanges(context, std::move(arguments), store::JmapType::kMailbox, &changes);
  auto* answer = std::get_if<json::object>(&result);
  if (answer != nullptr) {
    // RFC 8621 §2.2.
    (*answer)["updatedProperties"] = changes.only_counts
                                         ? json::value(json::array{"totalEmails", "unreadEmails",
                                                                   "totalThreads", "unreadThreads"})
                                         : json::value(nullptr);
  }
  co_return result;
}

base::Task<jmap::Result> MailboxQuery(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  jmap::QueryArguments query = jmap::TakeQuery(&reader);
  jmap::MailboxQuery wanted;
  wanted.filter = query.filter;
  wanted.sort = query.sort;
  wanted.sort_as_tree = reader.Bool("sortAsTree").value_or(false);
  wanted.filter_as_tree = reader.Bool("filterAsTree").value_or(false);
  if (auto error = reader.Finish()) co_return *error;
  auto listed = co_await List(context, false);
  if (!listed.ok()) co_return ServerError(*context, listed.status());
  auto found = jmap::QueryMailboxes(listed->infos, wanted);
  if (auto* error = std::get_if<jmap::MethodError>(&found)) co_return *error;
  const auto& ids = std::get<std::vector<int64_t>>(found);
  std::vector<std::string> names;
  for (const int64_t id : ids) names.push_back(jmap::FormatId(jmap::IdType::kMailbox, id));
  co_return FinishQuery(*context, query, names, jmap::FormatState(listed->state));
}

base::Task<jmap::Result> MailboxSet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::SetArguments set = jmap::TakeSet(&reader);
  const bool remove_emails = reader.Bool("onDestroyRemoveEmails").value_or(false);
  if (auto error = reader.Finish()) co_return *error;
  if (auto error = jmap::TooMany(set.count(), context->limits().max_objects_in_set)) {
    co_return *error;
  }
  auto listed = co_await List(context, false);
  if (!listed.ok()) co_return ServerError(*context, listed.status());
  const std::string old_state = jmap::FormatState(listed->state);
  if (set.if_in_state && *set.if_in_state != old_state) {
    co_return jmap::MethodError{"stateMismatch", ""};
  }
  jmap::SetResponse response;
  const absl::Time now = context->env->clock->Now();
  // This coroutine waits for the job, so what it points to lives.
  std::vector<store::MailboxId> doomed;
  store::Modseq state = listed->state;
  absl::StatusOr<store::Change> changed = co_await context->env->database->Run(
      [&response, &set, &doomed, &state, context, now,
       remove_emails](db::Connection& c) -> absl::StatusOr<store::Change> {
        MailboxSetter setter(c, context, state, &response, now);
        if (set.create != nullptr) setter.Create(*set.create);
        if (set.update != nullptr) setter.Update(*set.update);
        setter.Destroy(set.destroy, remove_emails);
        doomed = setter.doomed();
        state = setter.state();
        return setter.change();
      });
  if (!changed.ok()) co_return ServerError(*context, changed.status());
  Announce(context->env, context->account(), *changed);
  co_await Purge(context, std::move(doomed));
  co_return std::move(response).Finish(context->account_id, old_state, jmap::FormatState(state));
}

}  // namespace godwit::webmail_api

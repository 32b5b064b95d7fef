// Email/set and Email/import (RFC 8621 §4.6, §4.8).

#include "services/webmail-api/email_set.h"

#include <algorithm>
#include <map>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/jmap/compose.h"
#include "libs/jmap/email.h"
#include "libs/jmap/id.h"
#include "libs/obs/log.h"
#include "libs/store/jmap_email.h"
#include "libs/store/jmap_update.h"
#include "services/webmail-api/blobs.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/keywords.h"
#include "services/webmail-api/message_writer.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// Octets that make one line of base64.
constexpr size_t kBase64Line = 57;

std::string_view Key(const json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

jmap::SetError Invalid(std::string_view property) {
  return {"invalidProperties", "", {std::string(property)}};
}

std::optional<store::MailboxId> MailboxOf(const CallContext& context, std::string_view id) {
  const auto resolved = context.Resolve(id);
  const auto number = resolved ? jmap::ParseId(jmap::IdType::kMailbox, *resolved) : std::nullopt;
  if (!number) return std::nullopt;
  return store::MailboxId{*number};
}

std::optional<std::vector<store::MailboxId>> MailboxesOf(const CallContext& context,
                                                         const std::vector<std::string>& ids) {
  std::vector<store::MailboxId> mailboxes;
  for (const std::string& id : ids) {
    const auto mailbox = MailboxOf(context, id);
    if (!mailbox) return std::nullopt;
    mailboxes.push_back(*mailbox);
  }
  return mailboxes;
}

// --- Updates: a PatchObject as changes of keywords and mailboxes.

class PatchReader {
 public:
  PatchReader(const CallContext& context, store::JmapUpdate* update)
      : context_(context), update_(update) {}

  std::optional<jmap::SetError> Read(const json::object& patch) {
    for (const auto& member : patch) {
      const std::string_view path = Key(member);
      const auto error = ReadOne(path, member.value());
      if (error) return error;
    }
    return std::nullopt;
  }

 private:
  std::optional<jmap::SetError> ReadOne(std::string_view path, const json::value& value) {
    if (path == "keywords") return ReplaceKeywords(value);
    if (path == "mailboxIds") return ReplaceMailboxes(value);
    for (const std::string_view map : {kKeywords, kMailboxIds}) {
      if (!path.starts_with(map)) continue;
      // RFC 8620 §5.3: a path is a JSON pointer; a "/" in a keyword comes as "~1".
      const std::string_view token = path.substr(map.size());
      if (token.find('/') != std::string_view::npos) return jmap::SetError{"invalidPatch"};
      const std::string name = jmap::UnescapePointer(token);
      return map == kKeywords ? PatchKeyword(name, value) : PatchMailbox(name, value);
    }
    // Everything else of an email never changes.
    return Invalid(path);
  }

  std::optional<jmap::SetError> ReplaceKeywords(const json::value& value) {
    const auto keywords = jmap::ReadKeywords(value);
    if (!keywords) return Invalid("keywords");
    if (patched_keywords_) return jmap::SetError{"invalidPatch"};
    update_->replace_keywords = true;
    SplitKeywords(*keywords, &update_->add_flags, &update_->add_keywords);
    return std::nullopt;
  }

  std::optional<jmap::SetError> ReplaceMailboxes(const json::value& value) {
    const auto ids = jmap::ReadIdSet(value);
    const auto mailboxes = ids ? MailboxesOf(context_, *ids) : std::nullopt;
    if (!mailboxes || mailboxes->empty()) return Invalid("mailboxIds");
    if (patched_mailboxes_) return jmap::SetError{"invalidPatch"};
    update_->replace_mailboxes = true;
    update_->add_mailboxes = *mailboxes;
    return std::nullopt;
  }

  // True to set, null (or what counts as it) to remove.
  static std::optional<bool> Sets(const json::value& value) {
    if (value.is_null()) return false;
    if (value.is_bool() && value.get_bool()) return true;
    return std::nullopt;
  }

  std::optional<jmap::SetError> PatchKeyword(std::string_view keyword, const json::value& value) {
    const auto sets = Sets(value);
    if (!sets || !jmap::IsKeyword(keyword)) return Invalid("keywords");
    if (update_->replace_keywords) return jmap::SetError{"invalidPatch"};
    patched_keywords_ = true;
    SplitKeywords({base::Lower(keyword)}, *sets ? &update_->add_flags : &update_->remove_flags,
                  *sets ? &update_->add_keywords : &update_->remove_keywords);
    return std::nullopt;
  }

  std::optional<jmap::SetError> PatchMailbox(std::string_view id, const json::value& value) {
    const auto sets = Sets(value);
    const auto mailbox = MailboxOf(context_, id);
    if (!sets || !mailbox) return Invalid("mailboxIds");
    if (update_->replace_mailboxes) return jmap::SetError{"invalidPatch"};
    patched_mailboxes_ = true;
    (*sets ? update_->add_mailboxes : update_->remove_mailboxes).push_back(*mailbox);
    return std::nullopt;
  }

  static constexpr std::string_view kKeywords = "keywords/";
  static constexpr std::string_view kMailboxIds = "mailboxIds/";

  const CallContext& context_;
  store::JmapUpdate* update_;
  bool patched_keywords_ = false;
  bool patched_mailboxes_ = false;
};

jmap::SetError UpdateError(const CallContext& context, const absl::Status& status) {
  // It would lie in no mailbox, or in one that does not exist.
  if (absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) {
    return Invalid("mailboxIds");
  }
  if (absl::IsOutOfRange(status)) return {"tooManyKeywords"};
  return ServerSetError(context, status);
}

// The number of an email by id or "#k1".
std::optional<store::EmailId> EmailOf(const CallContext& context, std::string_view id) {
  const auto resolved = context.Resolve(id);
  const auto number = resolved ? jmap::ParseId(jmap::IdType::kEmail, *resolved) : std::nullopt;
  if (!number) return std::nullopt;
  return store::EmailId{*number};
}

// RFC 8620 §3.6.2: serverFail and serverUnavailable for the whole call say that nothing was done:
// not when something was. Then what is left failed one by one.
base::Task<absl::Status> RunUpdates(CallContext* context, const json::object* updates,
                                    jmap::SetResponse* response) {
  std::vector<store::JmapUpdate> planned;
  std::vector<std::string> ids;
  for (const auto& member : *updates) {
    const std::string_view id = Key(member);
    const auto email = EmailOf(*context, id);
    const json::object* patch = member.value().if_object();
    store::JmapUpdate update;
    if (!email) {
      response->NotUpdated(id, {"notFound"});
    } else if (patch == nullptr) {
      response->NotUpdated(id, {"invalidPatch"});
    } else if (auto error = PatchReader(*context, &update).Read(*patch)) {
      response->NotUpdated(id, *error);
    } else {
      update.email = *email;
      planned.push_back(std::move(update));
      ids.emplace_back(id);
    }
  }
  if (planned.empty()) co_return absl::OkStatus();
  absl::StatusOr<store::JmapUpdated> updated = co_await context->env->database->Run(
      [account = context->account(), &planned, now = context->env->clock->Now()](
          db::Connection& c) { return store::UpdateJmapEmails(c, account, planned, now); });
  if (!updated.ok() && !response->changed_any()) co_return updated.status();
  if (!updated.ok()) {
    const jmap::SetError error = ServerSetError(*context, updated.status());
    for (const std::string& id : ids) response->NotUpdated(id, error);
    co_return absl::OkStatus();
  }
  Announce(context->env, context->account(), updated->change);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (updated->results[i].ok()) {
      response->Updated(ids[i]);
    } else {
      response->NotUpdated(ids[i], UpdateError(*context, updated->results[i]));
    }
  }
  co_return absl::OkStatus();
}

base::Task<absl::Status> RunDestroys(CallContext* context, const std::vector<std::string>* wanted,
                                     jmap::SetResponse* response) {
  std::vector<store::EmailId> emails;
  std::vector<std::string> ids;
  for (const std::string& id : *wanted) {
    const auto email = EmailOf(*context, id);
    if (!email) {
      response->NotDestroyed(id, {"notFound"});
      continue;
    }
    emails.push_back(*email);
    ids.push_back(id);
  }
  if (emails.empty()) co_return absl::OkStatus();
  absl::StatusOr<store::JmapUpdated> destroyed = co_await context->env->database->Run(
      [account = context->account(), &emails, now = context->env->clock->Now()](db::Connection& c) {
        return store::DestroyJmapEmails(c, account, emails, now);
      });
  if (!destroyed.ok() && !response->changed_any()) co_return destroyed.status();
  if (!destroyed.ok()) {
    const jmap::SetError error = ServerSetError(*context, destroyed.status());
    for (const std::string& id : ids) response->NotDestroyed(id, error);
    co_return absl::OkStatus();
  }
  Announce(context->env, context->account(), destroyed->change);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (destroyed->results[i].ok()) {
      response->Destroyed(context->Resolve(ids[i]).value_or(ids[i]));
    } else {
      response->NotDestroyed(ids[i], ServerSetError(*context, destroyed->results[i]));
    }
  }
  co_return absl::OkStatus();
}

// --- Creations and imports: octets into the store.

base::Task<absl::StatusOr<BlobSpan>> OpenBlob(CallContext* context, std::string_view id) {
  const auto resolved = context->Resolve(id);
  const auto name = resolved ? jmap::ParseBlob(*resolved) : std::nullopt;
  if (!name) co_return base::NotFound("no such blob");
  absl::StatusOr<BlobSpan> span = co_await context->env->database->Run(
      [account = context->account(), name = *name, now = context->env->clock->Now()](
          db::Connection& c) { return FindBlob(c, account, name, now); });
  co_return span;
}

// Base64 in lines, whatever the pieces are.
class Base64Writer {
 public:
  std::string Feed(std::string_view octets) {
    held_ += octets;
    std::string out;
    while (held_.size() >= kBase64Line) {
      out += base::Base64Encode(std::string_view(held_).substr(0, kBase64Line)) + "\r\n";
      held_.erase(0, kBase64Line);
    }
    return out;
  }
  std::string Finish() {
    return held_.empty() ? "" : base::Base64Encode(std::exchange(held_, {})) + "\r\n";
  }

 private:
  std::string held_;
};

base::Task<absl::Status> FeedBlob(CallContext* context, const std::string& blob_id, bool base64,
                                  MessageWriter* writer) {
  auto span = co_await OpenBlob(context, blob_id);
  if (!span.ok()) co_return span.status();
  BlobReader reader(context->env, context->account(), *span);
  Base64Writer encoder;
  while (true) {
    auto piece = co_await reader.Next();
    if (!piece.ok()) co_return piece.status();
    std::string text;
    if (base64) {
      text = piece->empty() ? encoder.Finish() : encoder.Feed(*piece);
    } else {
      text = *piece;
    }
    absl::Status fed;
    if (!text.empty()) fed = co_await writer->Feed(text);
    if (!fed.ok() || piece->empty()) co_return fed;
  }
}

base::Task<absl::Status> FeedPieces(CallContext* context, const std::vector<jmap::Piece>* pieces,
                                    MessageWriter* writer) {
  for (const jmap::Piece& piece : *pieces) {
    absl::Status fed;
    if (piece.blob_id.empty()) {
      fed = co_await writer->Feed(piece.text);
    } else {
      fed = co_await FeedBlob(context, piece.blob_id, !piece.as_it_is, writer);
    }
    if (!fed.ok()) co_return fed;
  }
  co_return absl::OkStatus();
}

jmap::SetError CreateError(const CallContext& context, const absl::Status& status,
                           std::string_view blob_property) {
  if (absl::IsInvalidArgument(status)) return Invalid(blob_property);
  if (absl::IsResourceExhausted(status)) {
    const bool large = base::Message(status) == "the message is too large";
    return {large ? "tooLarge" : "overQuota"};
  }
  if (absl::IsOutOfRange(status)) return {"tooManyKeywords"};
  if (absl::IsNotFound(status)) return {"blobNotFound"};
  return ServerSetError(context, status);
}

json::object CreatedEmail(const store::Delivered& delivered, uint64_t size) {
  const int64_t id = store::ToInt(delivered.email);
  return {{"id", jmap::FormatId(jmap::IdType::kEmail, id)},
          {"blobId", jmap::FormatBlob({jmap::BlobName::Kind::kEmail, id, ""})},
          {"threadId", jmap::FormatId(jmap::IdType::kThread, store::ToInt(delivered.thread))},
          {"size", size}};
}

// Everything is fed: stores it, and tells the client.
base::Task<std::optional<jmap::SetError>> Finish(CallContext* context, MessageWriter* writer,
                                                 Placement placement, std::string key,
                                                 json::object* created) {
  const auto mailboxes = placement.mailboxes;
  const uint64_t size = writer->size();
  auto delivered = co_await writer->Commit(std::move(placement));
  if (absl::IsNotFound(delivered.status())) co_return Invalid("mailboxIds");
  if (!delivered.ok()) co_return CreateError(*context, delivered.status(), "bodyValues");
  *created = CreatedEmail(*delivered, size);
  context->created[key] = jmap::FormatId(jmap::IdType::kEmail, store::ToInt(delivered->email));
  co_return std::nullopt;
}

base::Task<std::optional<jmap::SetError>> CreateOne(CallContext* context, std::string key,
                                                    const json::object* email,
                                                    json::object* created) {
  Environment* const env = context->env;
  jmap::ComposeDefaults defaults;
  defaults.now = env->clock->Now();
  defaults.message_id = env->random->Token(26) + "@" + env->settings.hostname;
  defaults.boundary = "=_" + env->random->Token(20) + "_";
  auto composed = jmap::ComposeEmail(*email, defaults);
  if (auto* error = std::get_if<jmap::SetError>(&composed)) co_return *error;
  auto& message = std::get<jmap::ComposedEmail>(composed);
  const auto mailboxes = MailboxesOf(*context, message.mailbox_ids);
  if (!mailboxes) co_return Invalid("mailboxIds");
  Placement placement;
  placement.mailboxes = *mailboxes;
  placement.received = message.received;
  SplitKeywords(message.keywords, &placement.flags, &placement.keywords);
  MessageWriter writer(env, context->account());
  absl::Status fed = co_await FeedPieces(context, &message.pieces, &writer);
  std::optional<jmap::SetError> error;
  if (fed.ok()) {
    error = co_await Finish(context, &writer, std::move(placement), key, created);
  } else {
    error = CreateError(*context, fed, "bodyStructure");
  }
  co_await writer.End();
  co_return error;
}

base::Task<std::optional<jmap::SetError>> ImportOne(CallContext* context, std::string key,
                                                    const json::object* email,
                                                    json::object* created) {
  jmap::Arguments reader(*email);
  const auto blob_id = reader.String("blobId");
  const json::object* mailbox_ids = reader.Object("mailboxIds");
  const json::object* keywords = reader.Object("keywords");
  const auto received_text = reader.String("receivedAt");
  if (auto error = reader.Finish())
    co_return jmap::SetError{"invalidProperties", error->description};
  const auto ids = mailbox_ids == nullptr ? std::nullopt : jmap::ReadIdSet(*mailbox_ids);
  const auto mailboxes = ids ? MailboxesOf(*context, *ids) : std::nullopt;
  if (!mailboxes || mailboxes->empty()) co_return Invalid("mailboxIds");
  if (!blob_id) co_return Invalid("blobId");
  Placement placement;
  placement.mailboxes = *mailboxes;
  if (keywords != nullptr) {
    const auto read = jmap::ReadKeywords(*keywords);
    if (!read) co_return Invalid("keywords");
    SplitKeywords(*read, &placement.flags, &placement.keywords);
  }
  if (received_text) {
    placement.received = jmap::ParseDate(*received_text);
    if (!placement.received) co_return Invalid("receivedAt");
  }
  MessageWriter writer(context->env, context->account());
  absl::Status fed = co_await FeedBlob(context, *blob_id, false, &writer);
  std::optional<jmap::SetError> error;
  if (fed.ok() && writer.size() == 0) fed = base::InvalidArgument("empty");
  if (fed.ok()) {
    error = co_await Finish(context, &writer, std::move(placement), key, created);
  } else if (absl::IsInvalidArgument(fed)) {
    error = jmap::SetError{"invalidEmail"};
  } else {
    error = CreateError(*context, fed, "blobId");
  }
  co_await writer.End();
  co_return error;
}

using Maker = base::Task<std::optional<jmap::SetError>> (*)(CallContext*, std::string,
                                                            const json::object*, json::object*);

base::Task<void> RunCreations(CallContext* context, const json::object* creations, Maker make,
                              jmap::SetResponse* response) {
  for (const auto& member : *creations) {
    const std::string key(Key(member));
    const json::object* email = member.value().if_object();
    if (email == nullptr) {
      response->NotCreated(key, {"invalidProperties"});
      continue;
    }
    json::object created;
    std::optional<jmap::SetError> error = co_await make(context, key, email, &created);
    if (error) {
      response->NotCreated(key, *error);
    } else {
      response->Created(key, std::move(created));
    }
  }
}

// After a change. The old state when nobody can tell: the client asks for changes since then.
base::Task<std::string> NewState(CallContext* context, std::string old_state) {
  auto state = co_await EmailState(context);
  if (!state.ok()) {
    obs::Log(obs::Level::kWarning, "state not known",
             {{"trace", context->trace}, {"error", state.status()}});
    co_return old_state;
  }
  co_return *std::move(state);
}

}  // namespace

base::Task<absl::StatusOr<std::string>> EmailState(CallContext* context) {
  absl::StatusOr<store::JmapStates> states =
      co_await context->env->database->Run([account = context->account()](db::Connection& c) {
        return store::GetJmapStates(c, account);
      });
  if (!states.ok()) co_return states.status();
  co_return jmap::FormatState(states->email);
}

base::Task<jmap::Result> EmailSet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::SetArguments set = jmap::TakeSet(&reader);
  if (auto error = reader.Finish()) co_return *error;
  if (auto error = jmap::TooMany(set.count(), context->limits().max_objects_in_set)) {
    co_return *error;
  }
  auto old_state = co_await EmailState(context);
  if (!old_state.ok()) co_return ServerError(*context, old_state.status());
  if (set.if_in_state && *set.if_in_state != *old_state) {
    co_return jmap::MethodError{"stateMismatch", ""};
  }
  jmap::SetResponse response;
  if (set.create != nullptr) co_await RunCreations(context, set.create, CreateOne, &response);
  absl::Status status;
  if (set.update != nullptr) status = co_await RunUpdates(context, set.update, &response);
  if (status.ok()) status = co_await RunDestroys(context, &set.destroy, &response);
  if (!status.ok()) co_return ServerError(*context, status);
  const std::string new_state = co_await NewState(context, *old_state);
  co_return std::move(response).Finish(context->account_id, *old_state, new_state);
}

base::Task<jmap::Result> EmailImport(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const auto if_in_state = reader.String("ifInState");
  const json::object* emails = reader.Object("emails");
  if (emails == nullptr) reader.Fail("emails", "missing");
  if (auto error = reader.Finish()) co_return *error;
  if (auto error = jmap::TooMany(emails->size(), context->limits().max_objects_in_set)) {
    co_return *error;
  }
  auto old_state = co_await EmailState(context);
  if (!old_state.ok()) co_return ServerError(*context, old_state.status());
  if (if_in_state && *if_in_state != *old_state) {
    co_return jmap::MethodError{"stateMismatch", ""};
  }
  jmap::SetResponse response;
  co_await RunCreations(context, emails, ImportOne, &response);
  const std::string new_state = co_await NewState(context, *old_state);
  json::object answer = std::move(response).Finish(context->account_id, *old_state, new_state);
  // §4.8: an import has no updates and no destroys.
  for (const char* name : {"updated", "destroyed", "notUpdated", "notDestroyed"}) {
    answer.erase(name);
  }
  co_return answer;
}

}  // namespace godwit::webmail_api

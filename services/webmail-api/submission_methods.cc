// Identity/get, EmailSubmission/get, /changes, /set (RFC 8621 §6, §7): from an email of the account
// to the queue.

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/jmap/submission.h"
#include "libs/mime/date.h"
#include "libs/mime/header.h"
#include "libs/mime/record.h"
#include "libs/obs/log.h"
#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/message_header.h"
#include "libs/outgoing/sender.h"
#include "libs/outgoing/sender_policy.h"
#include "libs/smtp/reply.h"
#include "libs/store/admin.h"
#include "libs/store/directory.h"
#include "libs/store/jmap_blob.h"
#include "libs/store/jmap_email.h"
#include "services/webmail-api/blobs.h"
#include "services/webmail-api/calls.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

std::string_view Key(const json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

jmap::SetError Invalid(std::string_view property) {
  return {"invalidProperties", "", {std::string(property)}};
}

// Every address of the account is an identity.
absl::StatusOr<std::vector<jmap::Identity>> Identities(db::Connection& c,
                                                       store::AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto found, store::GetAccount(c, account));
  std::vector<jmap::Identity> identities;
  for (const std::string& address : found.addresses) {
    identities.push_back({jmap::IdentityId(address), address});
  }
  return identities;
}

json::object SubmissionToJson(const store::Submission& submission) {
  json::array recipients;
  for (const std::string& address : submission.rcpt_to) {
    recipients.push_back(json::object{{"email", address}, {"parameters", nullptr}});
  }
  return {{"id", jmap::FormatId(jmap::IdType::kSubmission, store::ToInt(submission.id))},
          {"identityId", submission.identity},
          {"emailId", jmap::FormatId(jmap::IdType::kEmail, store::ToInt(submission.email))},
          {"threadId", jmap::FormatId(jmap::IdType::kThread, store::ToInt(submission.thread))},
          {"envelope", json::object{{"mailFrom", json::object{{"email", submission.mail_from},
                                                              {"parameters", nullptr}}},
                                    {"rcptTo", std::move(recipients)}}},
          {"sendAt", jmap::FormatUtcDate(submission.send_at)},
          // §7: once in the queue nothing is taken back, and what becomes of it comes as mail.
          {"undoStatus", "final"},
          {"deliveryStatus", nullptr},
          {"dsnBlobIds", json::array()},
          {"mdnBlobIds", json::array()}};
}

// All that is known of an email before it is sent.
struct Draft {
  store::JmapEmail email;
  mime::Summary summary;
  std::string header;
  // As submission judges it; the reply says what is wrong with it.
  std::variant<outgoing::HeaderFacts, smtp::Reply> read;
  std::vector<jmap::Identity> identities;
  std::vector<store::SenderRight> author_rights;      // to From and Sender
  std::optional<store::SenderRight> mail_from_right;  // where the envelope says another sender
};

absl::StatusOr<Draft> ReadDraft(db::Connection& c, store::AccountId account, store::EmailId id,
                                const jmap::SubmissionRequest& request) {
  Draft draft;
  GODWIT_ASSIGN_OR_RETURN(auto emails, store::GetJmapEmails(c, account, std::span(&id, 1), true));
  if (emails.emails.empty()) return base::NotFound("no such email");
  draft.email = std::move(emails.emails.front());
  GODWIT_ASSIGN_OR_RETURN(draft.summary, mime::Decode(draft.email.summary));
  GODWIT_ASSIGN_OR_RETURN(auto headers,
                          store::ReadHeaders(c, account, std::span(&draft.email.blob.blob, 1)));
  draft.header = std::move(headers.front());
  GODWIT_ASSIGN_OR_RETURN(draft.identities, Identities(c, account));
  draft.read = outgoing::ReadHeader(draft.header, true);
  if (const auto* facts = std::get_if<outgoing::HeaderFacts>(&draft.read)) {
    for (const std::string& author : facts->authors) {
      GODWIT_ASSIGN_OR_RETURN(auto right, store::FindSenderRight(c, account, author));
      draft.author_rights.push_back(right);
    }
  }
  if (request.mail_from) {
    GODWIT_ASSIGN_OR_RETURN(draft.mail_from_right,
                            store::FindSenderRight(c, account, *request.mail_from));
  }
  return draft;
}

// The body of a stored email, for those who take what is sent.
class StoredBody : public outgoing::BodyStream {
 public:
  StoredBody(Environment* environment, store::AccountId account, const store::BlobRef& blob)
      : reader_(environment, account,
                BlobSpan{blob, blob.header_size, blob.size - blob.header_size,
                         mime::TransferEncoding::kIdentity, ""}) {}
  base::Task<absl::StatusOr<std::string>> Next() override {
    auto piece = co_await reader_.Next();
    co_return piece;
  }

 private:
  BlobReader reader_;
};

// Signed or not at all. The queue's id.
base::Task<absl::StatusOr<int64_t>> Send(outgoing::Sender* sender, outgoing::Message message,
                                         outgoing::BodyFactory body, std::string trace) {
  auto signature = co_await sender->Sign(&message, body, trace);
  if (!signature.ok()) co_return base::Annotate(signature.status(), "signing");
  message.header.insert(0, *signature);
  auto id = co_await sender->Enqueue(&message, body, trace);
  if (!id.ok()) co_return base::Annotate(id.status(), "enqueueing");
  co_return id;
}

// `forbidden`: the error that says that the account may not send as this one.
std::optional<jmap::SetError> JudgeSender(const outgoing::SenderPolicy& policy,
                                          store::SenderRight right, std::string_view forbidden) {
  switch (policy.Judge(right)) {
    case outgoing::SenderVerdict::kMay: return std::nullopt;
    case outgoing::SenderVerdict::kNotNow:
      return jmap::SetError{"serverFail", "the sender's domain is disabled"};
    case outgoing::SenderVerdict::kMayNot: break;
  }
  return jmap::SetError{std::string(forbidden)};
}

std::optional<jmap::SetError> JudgeSenders(const Settings& settings, const Draft& draft) {
  if (const auto* refused = std::get_if<smtp::Reply>(&draft.read)) {
    return jmap::SetError{"invalidEmail", refused->lines.front()};
  }
  for (const store::SenderRight right : draft.author_rights) {
    if (auto error = JudgeSender(settings.senders, right, "forbiddenFrom")) return error;
  }
  if (!draft.mail_from_right) return std::nullopt;
  return JudgeSender(settings.senders, *draft.mail_from_right, "forbiddenMailFrom");
}

// RFC 8621 §7.5: what has to be right before anything is sent.
std::optional<jmap::SetError> Judge(const Settings& settings, const Draft& draft,
                                    const jmap::SubmissionRequest& request,
                                    const std::vector<std::string>& recipients) {
  const auto identity =
      std::find_if(draft.identities.begin(), draft.identities.end(),
                   [&](const jmap::Identity& each) { return each.id == request.identity_id; });
  if (identity == draft.identities.end()) return Invalid("identityId");
  if (auto error = JudgeSenders(settings, draft)) return error;
  if (recipients.empty()) return jmap::SetError{"noRecipients"};
  if (recipients.size() > settings.recipients) return jmap::SetError{"tooManyRecipients"};
  for (const std::string& recipient : recipients) {
    if (!jmap::IsSendable(recipient)) return jmap::SetError{"invalidRecipients", recipient};
  }
  return std::nullopt;
}

outgoing::Message MakeOutgoing(const CallContext& context, const Draft& draft,
                               const jmap::SubmissionRequest& request,
                               const std::vector<std::string>& recipients) {
  Environment* const env = context.env;
  const absl::Time now = env->clock->Now();
  const auto& facts = std::get<outgoing::HeaderFacts>(draft.read);
  outgoing::Message message;
  message.account = store::ToInt(context.account());
  message.user = context.user.address;
  message.client_address = context.client_address;
  message.from_address = facts.from;
  message.reverse_path = request.mail_from.value_or(message.from_address);
  message.idempotency_key = env->random->Bytes(16);
  // RFC 5321 §4.4 asks for a trace of each hop; the address of the writer is nobody's business.
  mime::AppendField(&message.header, "Received",
                    "by " + env->settings.hostname + " with HTTP id " + context.trace + "; " +
                        mime::FormatDate(now));
  message.header += outgoing::CompleteHeader(draft.header, facts, now, env->random->Token(26));
  message.smtputf8 = draft.summary.needs_smtputf8 || !base::IsAscii(message.reverse_path) ||
                     std::any_of(recipients.begin(), recipients.end(),
                                 [](const std::string& each) { return !base::IsAscii(each); });
  message.body_8bit = draft.summary.body_8bit;
  message.body_size = static_cast<uint64_t>(draft.email.blob.size - draft.email.blob.header_size);
  for (const std::string& each : recipients) message.recipients.push_back({.address = each});
  return message;
}

jmap::SetError SendError(const CallContext& context, const absl::Status& status) {
  obs::Log(obs::Level::kWarning, "not sent", {{"trace", context.trace}, {"error", status}});
  context.env->metrics->submissions.At({base::IsRetryable(status) ? "failed" : "refused"}).Add();
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied: return {"forbiddenToSend"};
    case absl::StatusCode::kInvalidArgument: return {"invalidEmail"};
    case absl::StatusCode::kOutOfRange: return {"invalidEmail", "too large, or to too many"};
    case absl::StatusCode::kFailedPrecondition:
      return {"forbiddenToSend", "the domain of the author can not be signed for"};
    case absl::StatusCode::kResourceExhausted: return {"rateLimit"};
    default: break;
  }
  return {"serverFail", "try again later"};
}

jmap::SetError OverDailyLimit(const CallContext& context, std::string_view what) {
  context.env->metrics->submissions.At({"limited"}).Add();
  obs::Log(
      obs::Level::kWarning, "account over its limit",
      {{"trace", context.trace}, {"account", store::ToInt(context.account())}, {"what", what}});
  return {"rateLimit", "you have sent too much for today, try again later"};
}

// It is in the queue whatever comes of this: an error would have the client send it again.
base::Task<void> Record(CallContext* context, store::Submission* submission) {
  Environment* const env = context->env;
  absl::StatusOr<store::AddedSubmission> added = co_await env->database->Run(
      [account = context->account(), given = *submission](db::Connection& c) {
        return store::AddSubmission(c, account, given);
      });
  if (!added.ok()) {
    obs::Log(obs::Level::kWarning, "submission not recorded", {{"error", added.status()}});
    co_return;
  }
  submission->id = added->id;
  Announce(env, context->account(), added->change);
}

base::Task<std::optional<jmap::SetError>> SubmitOne(CallContext* context,
                                                    jmap::SubmissionRequest request,
                                                    json::object* created,
                                                    std::string* submission_id) {
  Environment* const env = context->env;
  const auto email_id = context->Resolve(request.email_id);
  const auto number = email_id ? jmap::ParseId(jmap::IdType::kEmail, *email_id) : std::nullopt;
  if (!number) co_return Invalid("emailId");
  absl::StatusOr<Draft> draft = co_await env->database->Run(
      [account = context->account(), id = store::EmailId{*number}, &request](db::Connection& c) {
        return ReadDraft(c, account, id, request);
      });
  if (absl::IsNotFound(draft.status())) co_return Invalid("emailId");
  if (!draft.ok()) co_return ServerSetError(*context, draft.status());
  std::vector<std::string> recipients =
      request.rcpt_to ? *request.rcpt_to : jmap::RecipientsOf(draft->summary.envelope);
  if (auto error = Judge(env->settings, *draft, request, recipients)) {
    env->metrics->submissions.At({"refused"}).Add();
    co_return error;
  }
  const int64_t account = store::ToInt(context->account());
  const auto count = static_cast<int64_t>(recipients.size());
  if (const auto used_up = env->daily_limits->Take(account, count)) {
    co_return OverDailyLimit(*context, *used_up);
  }
  outgoing::Message message = MakeOutgoing(*context, *draft, request, recipients);
  store::Submission submission;
  submission.identity = request.identity_id;
  submission.email = draft->email.id;
  submission.thread = draft->email.thread;
  submission.mail_from = message.reverse_path;
  submission.rcpt_to = std::move(recipients);
  submission.send_at = env->clock->Now();
  const store::BlobRef blob = draft->email.blob;
  const outgoing::BodyFactory body = [env, account = context->account(), blob] {
    return std::make_unique<StoredBody>(env, account, blob);
  };
  auto queue_id = co_await Send(env->sender, std::move(message), body, context->trace);
  if (!queue_id.ok()) {
    env->daily_limits->GiveBack(account, count);
    co_return SendError(*context, queue_id.status());
  }
  env->metrics->submissions.At({"queued"}).Add();
  obs::Log(obs::Level::kInfo, "submitted",
           {{"trace", context->trace},
            {"account", store::ToInt(context->account())},
            {"queue_id", *queue_id},
            {"recipients", submission.rcpt_to.size()}});
  submission.queue_id = *queue_id;
  co_await Record(context, &submission);
  const json::object all = SubmissionToJson(submission);
  *submission_id = jmap::FormatId(jmap::IdType::kSubmission, store::ToInt(submission.id));
  *created = jmap::Select(
      all, std::vector<std::string>{"threadId", "sendAt", "undoStatus", "deliveryStatus",
                                    "dsnBlobIds", "mdnBlobIds", "envelope"});
  co_return std::nullopt;
}

// What was submitted, for what is to be done with the emails then.
struct Submitted {
  std::string key;
  std::string id;
  std::string email_id;
};

base::Task<void> RunCreations(CallContext* context, const json::object* creations,
                              jmap::SetResponse* response, std::vector<Submitted>* submitted) {
  for (const auto& member : *creations) {
    const std::string key(Key(member));
    auto read = jmap::ReadSubmission(member.value());
    if (auto* error = std::get_if<jmap::SetError>(&read)) {
      response->NotCreated(key, *error);
      continue;
    }
    auto request = std::get<jmap::SubmissionRequest>(std::move(read));
    const std::string email_id = context->Resolve(request.email_id).value_or("");
    json::object created;
    std::string id;
    std::optional<jmap::SetError> error =
        co_await SubmitOne(context, std::move(request), &created, &id);
    if (error) {
      response->NotCreated(key, *error);
      continue;
    }
    created["id"] = id;
    context->created[key] = id;
    submitted->push_back({key, id, email_id});
    response->Created(key, std::move(created));
  }
}

// §7.5: keys are "#k1" of a creation, or ids of submissions.
const Submitted* FindSubmitted(const std::vector<Submitted>& all, std::string_view key) {
  for (const Submitted& each : all) {
    if (key == "#" + each.key || key == each.id) return &each;
  }
  return nullptr;
}

// The arguments of the implicit Email/set; empty when there is nothing to do.
json::object OnSuccess(const CallContext& context, const std::vector<Submitted>& submitted,
                       const json::object* updates, const std::vector<std::string>& destroys) {
  json::object update;
  json::array destroy;
  if (updates != nullptr) {
    for (const auto& member : *updates) {
      const Submitted* found = FindSubmitted(submitted, Key(member));
      if (found != nullptr) update[found->email_id] = member.value();
    }
  }
  for (const std::string& key : destroys) {
    const Submitted* found = FindSubmitted(submitted, key);
    if (found != nullptr) destroy.emplace_back(found->email_id);
  }
  if (update.empty() && destroy.empty()) return {};
  return {{"accountId", context.account_id},
          {"update", std::move(update)},
          {"destroy", std::move(destroy)}};
}

base::Task<void> RunOnSuccess(CallContext* context, json::object arguments) {
  if (arguments.empty()) co_return;
  jmap::Result result = co_await EmailSet(context, std::move(arguments));
  jmap::Invocation response;
  response.id = context->call_id;
  if (auto* error = std::get_if<jmap::MethodError>(&result)) {
    response.name = "error";
    response.arguments = jmap::ToJson(*error);
  } else {
    response.name = "Email/set";
    response.arguments = std::get<json::object>(std::move(result));
  }
  context->responses.push_back(std::move(response));
}

base::Task<absl::StatusOr<store::Submissions>> ListAll(CallContext* context) {
  absl::StatusOr<store::Submissions> all =
      co_await context->env->database->Run([account = context->account()](db::Connection& c) {
        return store::ListSubmissions(c, account);
      });
  co_return all;
}

}  // namespace

base::Task<jmap::Result> IdentityGet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::GetArguments get = jmap::TakeGet(&reader);
  if (auto error = reader.Finish()) co_return *error;
  const size_t count = get.ids ? get.ids->size() : 0;
  if (auto error = jmap::TooMany(count, context->limits().max_objects_in_get)) co_return *error;
  absl::StatusOr<std::vector<jmap::Identity>> identities = co_await context->env->database->Run(
      [account = context->account()](db::Connection& c) { return Identities(c, account); });
  if (!identities.ok()) co_return ServerError(*context, identities.status());
  json::array list;
  std::set<std::string> found;
  for (const jmap::Identity& identity : *identities) {
    const bool wanted =
        !get.ids || std::find(get.ids->begin(), get.ids->end(), identity.id) != get.ids->end();
    if (!wanted) continue;
    found.insert(identity.id);
    list.push_back(jmap::Select(jmap::IdentityToJson(identity), get.properties));
  }
  json::array not_found;
  for (const std::string& id : get.ids.value_or(std::vector<std::string>())) {
    if (!found.contains(id)) not_found.emplace_back(id);
  }
  // Addresses are given by administrators; the list itself is the state.
  co_return json::object{{"accountId", context->account_id},
                         {"state", jmap::IdentityState(*identities)},
                         {"list", std::move(list)},
                         {"notFound", std::move(not_found)}};
}

base::Task<jmap::Result> IdentityChanges(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  co_return jmap::MethodError{std::string(kCannotCalculate), ""};
}

base::Task<jmap::Result> SubmissionGet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::GetArguments get = jmap::TakeGet(&reader);
  if (auto error = reader.Finish()) co_return *error;
  const size_t count = get.ids ? get.ids->size() : 0;
  if (auto error = jmap::TooMany(count, context->limits().max_objects_in_get)) co_return *error;
  auto all = co_await ListAll(context);
  if (!all.ok()) co_return ServerError(*context, all.status());
  std::map<std::string, json::object> by_id;
  json::array list;
  for (const store::Submission& each : all->submissions) {
    json::object object = SubmissionToJson(each);
    if (!get.ids && list.size() < context->limits().max_objects_in_get) {
      list.push_back(jmap::Select(object, get.properties));
    }
    by_id[*jmap::FindString(object, "id")] = std::move(object);
  }
  json::array not_found;
  for (const std::string& id : get.ids.value_or(std::vector<std::string>())) {
    const auto found = by_id.find(context->Resolve(id).value_or(id));
    if (found == by_id.end()) {
      not_found.emplace_back(id);
    } else {
      list.push_back(jmap::Select(found->second, get.properties));
    }
  }
  co_return json::object{{"accountId", context->account_id},
                         {"state", jmap::FormatState(all->state)},
                         {"list", std::move(list)},
                         {"notFound", std::move(not_found)}};
}

base::Task<jmap::Result> SubmissionChanges(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::ChangesArguments wanted = jmap::TakeChanges(&reader);
  if (auto error = reader.Finish()) co_return *error;
  auto all = co_await ListAll(context);
  if (!all.ok()) co_return ServerError(*context, all.status());
  json::array created;
  for (const store::Submission& each : all->submissions) {
    if (each.created_modseq <= wanted.since) continue;
    created.emplace_back(jmap::FormatId(jmap::IdType::kSubmission, store::ToInt(each.id)));
  }
  // Beyond what is remembered, or what the client takes, it has to look at all of them.
  const bool forgotten = created.size() == static_cast<size_t>(store::kMaxSubmissions);
  const bool many = wanted.max_changes > 0 && created.size() > wanted.max_changes;
  if (wanted.since < 0 || wanted.since > all->state || forgotten || many) {
    co_return jmap::MethodError{std::string(kCannotCalculate), ""};
  }
  co_return json::object{{"accountId", context->account_id},
                         {"oldState", jmap::FormatState(wanted.since)},
                         {"newState", jmap::FormatState(all->state)},
                         {"hasMoreChanges", false},
                         {"created", std::move(created)},
                         {"updated", json::array()},
                         {"destroyed", json::array()}};
}

base::Task<jmap::Result> SubmissionSet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::SetArguments set = jmap::TakeSet(&reader);
  const json::object* on_success_update = reader.Object("onSuccessUpdateEmail");
  const auto on_success_destroy =
      reader.Ids("onSuccessDestroyEmail").value_or(std::vector<std::string>());
  if (auto error = reader.Finish()) co_return *error;
  if (auto error = jmap::TooMany(set.count(), context->limits().max_objects_in_set)) {
    co_return *error;
  }
  auto before = co_await ListAll(context);
  if (!before.ok()) co_return ServerError(*context, before.status());
  const std::string old_state = jmap::FormatState(before->state);
  if (set.if_in_state && *set.if_in_state != old_state) {
    co_return jmap::MethodError{"stateMismatch", ""};
  }
  jmap::SetResponse response;
  std::vector<Submitted> submitted;
  if (set.create != nullptr) {
    co_await RunCreations(context, set.create, &response, &submitted);
  }
  if (set.update != nullptr) {
    for (const auto& member : *set.update) {
      response.NotUpdated(Key(member), {"cannotUnsend"});
    }
  }
  for (const std::string& id : set.destroy) response.NotDestroyed(id, {"forbidden"});
  auto after = co_await ListAll(context);
  const std::string new_state = after.ok() ? jmap::FormatState(after->state) : old_state;
  co_await RunOnSuccess(context,
                        OnSuccess(*context, submitted, on_success_update, on_success_destroy));
  co_return std::move(response).Finish(context->account_id, old_state, new_state);
}

}  // namespace godwit::webmail_api

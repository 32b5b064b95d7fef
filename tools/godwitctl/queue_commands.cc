// godwitctl queue ...: what waits to be delivered, and what is done about it. On the database, so
// that it works when no daemon runs; workers see a change within two seconds.

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/store/directory.h"
#include "libs/store/queue_admin.h"
#include "libs/store/queue_check.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

using store::QueueMessageStatus;
using store::QueueRecipientStatus;
using store::QueueSelection;

constexpr int kDefaultLimit = 100;
constexpr int kMaxLimit = 10000;
constexpr size_t kReplyWidth = 60;

absl::Time Now() { return base::Clock::System()->Now(); }

std::string When(absl::Time time) {
  if (time == absl::InfiniteFuture()) return "held";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// "3h12m", the two largest parts.
std::string Age(absl::Time since) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(Now() - since));
  const std::pair<int64_t, const char*> units[] = {{seconds / 86400, "d"},
                                                   {seconds / 3600 % 24, "h"},
                                                   {seconds / 60 % 60, "m"},
                                                   {seconds % 60, "s"}};
  std::string text;
  int parts = 0;
  for (const auto& [count, unit] : units) {
    if (count == 0 && parts == 0) continue;
    if (parts++ == 2) break;
    text += std::to_string(count) + unit;
  }
  return text.empty() ? "0s" : text;
}

std::string State(const QueueMessageStatus& message) {
  if (message.hold) return "held";
  if (message.first_attempt) return "first attempt";
  return message.next_due <= Now() ? "due" : "waits";
}

absl::StatusOr<std::vector<store::QueueId>> ReadIds(const std::vector<std::string>& texts) {
  std::vector<store::QueueId> ids;
  for (const std::string& text : texts) {
    const auto id = base::ParseDecimal(text);
    if (!id || *id == 0 || *id > INT64_MAX) {
      return base::InvalidArgument("'" + text + "' is no queue id");
    }
    ids.push_back(store::QueueId{static_cast<int64_t>(*id)});
  }
  return ids;
}

absl::StatusOr<QueueSelection> ReadSelection(db::Connection& connection, const Invocation& in) {
  QueueSelection selection;
  GODWIT_ASSIGN_OR_RETURN(selection.ids, ReadIds(in.rest()));
  selection.sender = in.flag("sender").value_or("");
  selection.recipient = in.flag("recipient").value_or("");
  selection.only_held = in.has("held");
  if (const auto domain = in.flag("domain")) {
    const auto ascii = idna::ToAscii(*domain);
    if (!ascii) return base::InvalidArgument("'" + *domain + "' is no domain");
    selection.recipient_domain = *ascii;
  }
  if (const auto account = in.flag("account")) {
    GODWIT_ASSIGN_OR_RETURN(selection.account, store::FindAccount(connection, *account));
  }
  return selection;
}

boost::json::object ToJson(const QueueRecipientStatus& recipient) {
  boost::json::object json{
      {"number", recipient.number},         {"address", recipient.address},
      {"state", recipient.state},           {"hold", recipient.hold},
      {"attempts", recipient.attempts},     {"next_attempt", When(recipient.next_attempt)},
      {"last_reply", recipient.last_reply}, {"last_host", recipient.last_site}};
  if (recipient.last_attempt) json["last_attempt"] = When(*recipient.last_attempt);
  return json;
}

boost::json::object ToJson(const QueueMessageStatus& message) {
  boost::json::object json{{"queue_id", std::to_string(store::ToInt(message.id))},
                           {"origin", std::string(store::QueueOriginName(message.envelope.origin))},
                           {"account", std::to_string(store::ToInt(message.envelope.account))},
                           {"sender", message.envelope.reverse_path},
                           {"size", message.size},
                           {"state", State(message)},
                           {"hold", message.hold},
                           {"hold_reason", message.hold_reason},
                           {"enqueued", When(message.envelope.enqueued_at)},
                           {"expires", When(message.envelope.expires_at)},
                           {"trace", message.envelope.trace_id},
                           {"recipients", message.recipients_total},
                           {"pending", message.recipients_pending}};
  if (message.next_due != absl::InfiniteFuture()) json["next_attempt"] = When(message.next_due);
  return json;
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const QueueSelection selection, ReadSelection(connection, in));
  int limit = kDefaultLimit;
  if (const auto text = in.flag("limit")) {
    const auto number = base::ParseDecimal(*text);
    if (!number || *number == 0 || *number > kMaxLimit) {
      return base::InvalidArgument("--limit is a number from 1 to 10000");
    }
    limit = static_cast<int>(*number);
  }
  GODWIT_ASSIGN_OR_RETURN(const auto messages, store::ListQueued(connection, selection, {}, limit));
  Table table({"ID", "AGE", "STATE", "NEXT ATTEMPT", "SIZE", "LEFT", "SENDER"});
  boost::json::array json;
  for (const QueueMessageStatus& message : messages) {
    table.Add({std::to_string(store::ToInt(message.id)), Age(message.envelope.enqueued_at),
               State(message), When(message.next_due), std::to_string(message.size),
               std::to_string(message.recipients_pending) + "/" +
                   std::to_string(message.recipients_total),
               "<" + message.envelope.reverse_path + ">"});
    json.push_back(ToJson(message));
  }
  std::string text = messages.empty() ? "Nothing waits." : table.ToString();
  if (std::ssize(messages) == limit) text += "There may be more: see --limit.\n";
  return Report(std::move(text), std::move(json));
}

absl::StatusOr<Report> Show(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto ids, ReadIds({in.argument("ID")}));
  GODWIT_ASSIGN_OR_RETURN(const auto message, store::ShowQueued(connection, ids.front()));
  std::string text = "Message " + in.argument("ID") + " from <" + message.envelope.reverse_path +
                     ">, " + std::to_string(message.size) + " octets, " +
                     std::string(store::QueueOriginName(message.envelope.origin)) + ", enqueued " +
                     When(message.envelope.enqueued_at) + ", given up after " +
                     When(message.envelope.expires_at) + ".\n";
  if (message.hold) text += "It is held: " + message.hold_reason + "\n";
  if (message.first_attempt) text += "Its first attempt is under way.\n";
  Table table({"RECIPIENT", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "HOST", "LAST REPLY"});
  boost::json::array recipients;
  for (const QueueRecipientStatus& recipient : message.recipients) {
    const bool pending = recipient.state == "pending";
    table.Add({recipient.address, recipient.hold ? "held" : recipient.state,
               std::to_string(recipient.attempts), pending ? When(recipient.next_attempt) : "",
               recipient.last_site, recipient.last_reply.substr(0, kReplyWidth)});
    recipients.push_back(ToJson(recipient));
  }
  boost::json::object json = ToJson(message);
  json["recipients"] = std::move(recipients);
  return Report(text + table.ToString(), std::move(json));
}

Report Changed(int64_t count, std::string_view what) {
  std::string text = std::to_string(count) + (count == 1 ? " message " : " messages ");
  text += what;
  return Report(text + ".", boost::json::object{{"messages", count}});
}

// `change` on what is selected; nothing selected is a mistake.
template <typename Change>
absl::StatusOr<Report> Act(db::Connection& connection, const Invocation& in, Change change,
                           std::string_view what) {
  GODWIT_ASSIGN_OR_RETURN(const QueueSelection selection, ReadSelection(connection, in));
  if (selection.empty()) {
    return base::InvalidArgument(
        "name queue ids, or select with --sender, --recipient, --domain, "
        "--account or --held");
  }
  GODWIT_ASSIGN_OR_RETURN(const int64_t count, change(selection));
  return Changed(count, what);
}

absl::StatusOr<Report> Retry(db::Connection& connection, const Invocation& in) {
  return Act(
      connection, in,
      [&](const QueueSelection& s) { return store::RetryQueued(connection, s, Now()); }, "due now");
}

absl::StatusOr<Report> Hold(db::Connection& connection, const Invocation& in) {
  const std::string reason = in.flag("reason").value_or("held by an operator");
  return Act(
      connection, in,
      [&](const QueueSelection& s) { return store::HoldQueued(connection, s, reason); }, "held");
}

absl::StatusOr<Report> Release(db::Connection& connection, const Invocation& in) {
  return Act(
      connection, in,
      [&](const QueueSelection& s) { return store::ReleaseQueued(connection, s, Now()); },
      "released");
}

absl::StatusOr<Report> Fail(db::Connection& connection, const Invocation& in) {
  const std::string text = in.flag("text").value_or("");
  return Act(
      connection, in,
      [&](const QueueSelection& s) { return store::FailQueued(connection, s, text, Now()); },
      "given up: the senders are told");
}

absl::StatusOr<Report> Drop(db::Connection& connection, const Invocation& in) {
  return Act(
      connection, in, [&](const QueueSelection& s) { return store::DropQueued(connection, s); },
      "dropped");
}

absl::StatusOr<Report> Check(const Invocation&) {
  GODWIT_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(absl::ZeroDuration()));
  GODWIT_ASSIGN_OR_RETURN(const auto findings, store::CheckQueue(*connection));
  Table table({"CHECK", "MESSAGE", "DETAIL"});
  boost::json::array json;
  for (const store::QueueFinding& finding : findings) {
    const std::string id = std::to_string(store::ToInt(finding.id));
    table.Add({finding.check, id, finding.detail});
    json.push_back(boost::json::object{
        {"check", finding.check}, {"queue_id", id}, {"detail", finding.detail}});
  }
  Report report(findings.empty() ? "The queue is consistent." : table.ToString(),
                boost::json::object{{"clean", findings.empty()}, {"findings", std::move(json)}});
  if (!findings.empty()) report.set_exit_code(1);
  return report;
}

std::vector<Flag> Selecting(std::vector<Flag> more = {}) {
  std::vector<Flag> flags = {{"sender", "TEXT", "whose sender contains this"},
                             {"recipient", "TEXT", "recipients whose address contains this"},
                             {"domain", "DOMAIN", "recipients of this domain"},
                             {"account", "ADDRESS", "sent by this account"},
                             {"held", "", "held ones only"}};
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

}  // namespace

std::vector<Command> QueueCommands() {
  return {
      {"queue list",
       {},
       Selecting({{"limit", "N", "at most so many (100)"}}),
       "Lists what waits to be delivered, oldest first.",
       WithDatabase(List)},
      {"queue show", {"ID"}, {}, "Shows one message with its recipients.", WithDatabase(Show)},
      {"queue retry", {"[ID...]"}, Selecting(), "Tries again now.", WithDatabase(Retry)},
      {"queue hold",
       {"[ID...]"},
       Selecting({{"reason", "TEXT", "for people"}}),
       "No attempts until release.",
       WithDatabase(Hold)},
      {"queue release", {"[ID...]"}, Selecting(), "Ends a hold; due now.", WithDatabase(Release)},
      {"queue fail",
       {"[ID...]"},
       Selecting({{"text", "TEXT", "for the bounce"}}),
       "Gives messages up; their senders get a bounce.",
       WithDatabase(Fail)},
      {"queue drop",
       {"[ID...]"},
       Selecting(),
       "Removes without a word to the sender.",
       WithDatabase(Drop)},
      {"queue check",
       {},
       {},
       "Recomputes what is kept and compares; 1 when something is wrong.",
       Check},
  };
}

}  // namespace godwit::ctl

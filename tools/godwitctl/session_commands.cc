// godwitctl session and sessions: what the id in a refusal of smtp-ingress means. On the database.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/net/endpoint.h"
#include "libs/runtime/units.h"
#include "libs/store/refused_sessions.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/database.h"

namespace godwit::ctl {
namespace {

constexpr int kDefaultLimit = 100;
constexpr int kMaxLimit = 10000;
constexpr absl::Duration kDefaultSince = absl::Hours(24);
constexpr size_t kReplyWidth = 60;

std::string When(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// Without a part of a character at its end.
std::string Shortened(std::string_view text, size_t most) {
  std::string cut(text.substr(0, most));
  while (!cut.empty() && !base::IsUtf8(cut)) cut.pop_back();
  return cut;
}

boost::json::object ToJson(const store::RefusedSession& session) {
  boost::json::array recipients;
  for (const store::RefusedRecipient& each : session.recipients) {
    recipients.push_back(boost::json::object{{"address", each.address}, {"reply", each.reply}});
  }
  boost::json::object json{{"id", session.id()},
                           {"time", When(session.at)},
                           {"client", session.client.ToString()},
                           {"greeting_name", session.greeting_name},
                           {"tls", session.tls},
                           {"reply", session.reply},
                           {"reason", session.reason}};
  if (!session.mail_from) return json;
  json["mail_from"] = *session.mail_from;
  json["recipients"] = std::move(recipients);
  json["recipient_count"] = session.recipient_count;
  json["verdict"] = session.verdict;
  return json;
}

std::string ToText(const store::RefusedSession& session) {
  const auto line = [](std::string_view name, const std::string& value) {
    return value.empty() ? "" : "  " + std::string(name) + value + "\n";
  };
  std::string text = session.id() + "  " + When(session.at) + "\n";
  text += line("client:     ", session.client.ToString());
  text += line("EHLO:       ", session.greeting_name);
  text += line("TLS:        ", session.tls.empty() ? "none" : session.tls);
  if (session.mail_from) text += line("MAIL FROM:  ", "<" + *session.mail_from + ">");
  for (const store::RefusedRecipient& each : session.recipients) {
    text += line("RCPT TO:    ",
                 "<" + each.address + ">  " + (each.reply.empty() ? "accepted" : each.reply));
  }
  const auto left = session.recipient_count - static_cast<int64_t>(session.recipients.size());
  if (left > 0) text += line("            ", "and " + std::to_string(left) + " more");
  text += line("reply:      ", session.reply);
  text += line("reason:     ", session.reason);
  text += line("verdict:    ", session.verdict);
  return text;
}

absl::StatusOr<Report> Show(db::Connection& connection, const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const auto sessions,
                          store::FindRefusedSession(connection, in.argument("ID")));
  if (sessions.empty()) {
    return base::NotFound("nothing is kept of '" + in.argument("ID") +
                          "': too old, left out by sampling, not refused, or no id of ours");
  }
  std::string text;
  boost::json::array json;
  for (const store::RefusedSession& each : sessions) {
    text += ToText(each);
    json.push_back(ToJson(each));
  }
  return Report(text, std::move(json));
}

absl::StatusOr<Report> List(db::Connection& connection, const Invocation& in) {
  const auto since = in.has("since") ? runtime::ParseDuration(*in.flag("since")) : kDefaultSince;
  if (!since) return base::InvalidArgument("--since takes a duration such as 2h or 7d");
  const auto limit = in.has("limit") ? base::ParseDecimal(*in.flag("limit")) : kDefaultLimit;
  if (!limit || *limit < 1 || *limit > kMaxLimit) {
    return base::InvalidArgument("--limit takes 1 to " + std::to_string(kMaxLimit));
  }
  const std::string client = in.flag("client").value_or("");
  if (!client.empty()) GODWIT_RETURN_IF_ERROR(net::Network::Parse(client).status());
  GODWIT_ASSIGN_OR_RETURN(
      const auto sessions,
      store::ListRefusedSessions(connection, base::Clock::System()->Now() - *since, client,
                                 static_cast<int>(*limit)));
  Table table({"TIME", "ID", "CLIENT", "MAIL FROM", "RECIPIENTS", "REASON", "REPLY"});
  boost::json::array json;
  for (const store::RefusedSession& each : sessions) {
    table.Add({When(each.at), each.id(), each.client.ToString(),
               each.mail_from ? "<" + *each.mail_from + ">" : "",
               each.mail_from ? std::to_string(each.recipient_count) : "", each.reason,
               Shortened(each.reply, kReplyWidth)});
    json.push_back(ToJson(each));
  }
  return Report(table.ToString(), std::move(json));
}

}  // namespace

std::vector<Command> SessionCommands() {
  return {
      {"session",
       {"ID"},
       {},
       "Says what the id in a refusal of smtp-ingress means.",
       WithDatabase(Show)},
      {"sessions",
       {},
       {{"since", "DURATION", "not older than this (24h)"},
        {"client", "NETWORK", "only of this address or network"},
        {"limit", "N", "at most so many (100)"}},
       "Lists what clients were refused, the latest first.",
       WithDatabase(List)},
  };
}

}  // namespace godwit::ctl

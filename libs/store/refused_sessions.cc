#include "libs/store/refused_sessions.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kAdd(
    "refused_sessions_add", Scope::kDirectory, Access::kWrite,
    "SELECT add_refused_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
    "$12)");

const db::Statement kKeep("refused_sessions_keep", Scope::kDirectory, Access::kWrite,
                          "SELECT keep_refused_sessions($1, $2)");

const db::Statement kFind("refused_sessions_find", Scope::kDirectory, Access::kRead, R"sql(
  SELECT at, session, transaction, host(client), greeting_name, tls, mail_from, recipients,
         recipient_count, reply, reason, verdict
  FROM refused_sessions WHERE session = $1 AND transaction = coalesce($2, transaction)
  ORDER BY at, transaction)sql");

const db::Statement kList("refused_sessions_list", Scope::kDirectory, Access::kRead, R"sql(
  SELECT at, session, transaction, host(client), greeting_name, tls, mail_from, recipients,
         recipient_count, reply, reason, verdict
  FROM refused_sessions WHERE at >= $1 AND ($2 = '' OR client <<= nullif($2, '')::inet)
  ORDER BY at DESC LIMIT $3)sql");

// Octets that are kept of a text.
constexpr size_t kMaxName = 128;
constexpr size_t kMaxAddress = 128;
constexpr size_t kMaxReply = 256;
constexpr size_t kMaxVerdict = 1024;
static_assert(4 * kMaxName + kMaxAddress + kMaxReply + kMaxVerdict +
                  kMaxKeptRecipients * (kMaxAddress + kMaxReply + 2) <=
              kMaxRefusedOctets);

// Where the text goes is a terminal: U+0080 to U+009F are controls there as in ASCII (ISO 6429),
// and U+202A to U+202E, U+2066 to U+2069, U+200E, U+200F turn round what stands behind them.
size_t HiddenAt(std::string_view text) {
  const auto octet = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  if (octet(0) < 0x20 || octet(0) == 0x7f) return 1;
  if (octet(0) == 0xc2 && octet(1) >= 0x80 && octet(1) <= 0x9f) return 2;
  if (octet(0) != 0xe2) return 0;
  const bool marks = octet(1) == 0x80 && (octet(2) == 0x8e || octet(2) == 0x8f);
  const bool embeddings = octet(1) == 0x80 && octet(2) >= 0xaa && octet(2) <= 0xae;
  const bool isolates = octet(1) == 0x81 && octet(2) >= 0xa6 && octet(2) <= 0xa9;
  const bool lines = octet(1) == 0x80 && (octet(2) == 0xa8 || octet(2) == 0xa9);
  return marks || embeddings || isolates || lines ? 3 : 0;
}

// One row must not have all of its batch refused.
std::string Clean(std::string_view text, size_t most) {
  std::string cut(text.substr(0, most));
  // A cut may have split a character, of at most four octets.
  for (int i = 0; i < 3 && text.size() > most && !base::IsUtf8(cut); ++i) cut.pop_back();
  const bool utf8 = base::IsUtf8(cut);
  std::string out;
  for (size_t i = 0; i < cut.size();) {
    const size_t hidden = HiddenAt(std::string_view(cut).substr(i));
    const bool foreign = !utf8 && static_cast<unsigned char>(cut[i]) >= 0x80;
    if (hidden == 0 && !foreign) {
      out += cut[i++];
    } else {
      out += cut[i] == '\t' ? ' ' : '?';
      i += foreign ? 1 : hidden;
    }
  }
  return out;
}

// A line each: the address, a tab, the reply. Clean() has left no other tabs and line ends.
std::string Lines(const std::vector<RefusedRecipient>& recipients) {
  std::string lines;
  for (const RefusedRecipient& each : recipients) {
    if (!lines.empty()) lines += '\n';
    lines += each.address + "\t" + each.reply;
  }
  return lines;
}

std::vector<RefusedRecipient> FromLines(std::string_view lines) {
  std::vector<RefusedRecipient> recipients;
  if (lines.empty()) return recipients;
  for (std::string_view line : base::Split(lines, '\n')) {
    const size_t tab = line.find('\t');
    recipients.push_back({std::string(line.substr(0, tab)),
                          tab == line.npos ? "" : std::string(line.substr(tab + 1))});
  }
  return recipients;
}

RefusedSession FromRow(const db::Row& row) {
  RefusedSession session;
  session.at = row.Time(0);
  session.session = row.Text(1);
  session.transaction = row.Int(2);
  session.client = base::IpAddress::Parse(row.Text(3)).value_or(base::IpAddress());
  session.greeting_name = row.Text(4);
  session.tls = row.Text(5);
  if (const auto from = row.OptionalText(6)) session.mail_from = std::string(*from);
  session.recipients = FromLines(row.Text(7));
  session.recipient_count = row.Int(8);
  session.reply = row.Text(9);
  session.reason = row.Text(10);
  session.verdict = row.Text(11);
  return session;
}

std::vector<RefusedSession> FromRows(const db::Result& rows) {
  std::vector<RefusedSession> sessions;
  for (db::Row row : rows) sessions.push_back(FromRow(row));
  return sessions;
}

// The columns of a batch.
struct Columns {
  std::vector<absl::Time> at;
  std::vector<int64_t> transactions, counts;
  std::vector<std::string> sessions, clients, names, tls, from, recipients, replies, reasons,
      verdicts;
  std::vector<bool> outside;

  void Add(RefusedSession each) {
    Trim(&each);
    at.push_back(each.at);
    sessions.push_back(each.session);
    transactions.push_back(each.transaction);
    clients.push_back(each.client.ToString());
    names.push_back(each.greeting_name);
    tls.push_back(each.tls);
    from.push_back(each.mail_from.value_or(""));
    outside.push_back(!each.mail_from.has_value());
    recipients.push_back(Lines(each.recipients));
    counts.push_back(each.recipient_count);
    replies.push_back(each.reply);
    reasons.push_back(each.reason);
    verdicts.push_back(each.verdict);
  }
};

}  // namespace

std::string RefusedSession::id() const {
  return transaction == 0 ? session : session + "." + std::to_string(transaction);
}

void Trim(RefusedSession* session) {
  session->session = Clean(session->session, kMaxName);
  session->greeting_name = Clean(session->greeting_name, kMaxName);
  session->tls = Clean(session->tls, kMaxName);
  if (session->mail_from) session->mail_from = Clean(*session->mail_from, kMaxAddress);
  if (session->recipients.size() > kMaxKeptRecipients) {
    session->recipients.resize(kMaxKeptRecipients);
  }
  for (RefusedRecipient& each : session->recipients) {
    each = {Clean(each.address, kMaxAddress), Clean(each.reply, kMaxReply)};
  }
  session->reply = Clean(session->reply, kMaxReply);
  session->reason = Clean(session->reason, kMaxName);
  session->verdict = Clean(session->verdict, kMaxVerdict);
}

absl::Status AddRefusedSessions(db::Connection& connection,
                                const std::vector<RefusedSession>& sessions) {
  if (sessions.empty()) return absl::OkStatus();
  Columns columns;
  for (const RefusedSession& each : sessions) columns.Add(each);
  std::vector<std::optional<std::string_view>> from(columns.from.begin(), columns.from.end());
  for (size_t i = 0; i < from.size(); ++i) {
    if (columns.outside[i]) from[i].reset();
  }
  Params params;
  params.Times(columns.at).Texts(columns.sessions).Ints(columns.transactions);
  params.Texts(columns.clients).Texts(columns.names).Texts(columns.tls).OptionalTexts(from);
  params.Texts(columns.recipients).Ints(columns.counts).Texts(columns.replies);
  params.Texts(columns.reasons).Texts(columns.verdicts);
  return connection.Execute(kAdd, params).status();
}

absl::StatusOr<int64_t> KeepRefusedSessions(db::Connection& connection, absl::Time now,
                                            absl::Time oldest) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kKeep, Params().Time(now).Time(oldest)));
  return rows[0].Int(0);
}

absl::StatusOr<std::vector<RefusedSession>> FindRefusedSession(db::Connection& connection,
                                                               std::string_view id) {
  const size_t dot = id.find('.');
  std::optional<int64_t> transaction;
  if (dot != id.npos) {
    const auto number = base::ParseDecimal(id.substr(dot + 1));
    if (!number || *number > INT32_MAX) return std::vector<RefusedSession>();
    transaction = static_cast<int64_t>(*number);
  }
  Params params;
  params.Text(id.substr(0, dot)).OptionalInt(transaction);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFind, params));
  return FromRows(rows);
}

absl::StatusOr<std::vector<RefusedSession>> ListRefusedSessions(db::Connection& connection,
                                                                absl::Time since,
                                                                std::string_view network,
                                                                int limit) {
  Params params;
  params.Time(since).Text(network).Int(limit);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, params));
  return FromRows(rows);
}

}  // namespace godwit::store

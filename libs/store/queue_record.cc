#include "libs/store/queue_record.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;
using Numbers = std::vector<int64_t>;
using Records = std::vector<const AttemptRecord*>;

const db::Statement kRecord("queue_record", Scope::kQueue, Access::kWrite, R"sql(
  SELECT message, code, pending
  FROM queue_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12))sql");

std::string_view StateName(const RecipientRecord& record) {
  switch (record.state) {
    case RecipientState::kPending: return record.counted ? "pending" : "again";
    case RecipientState::kDelivered: return "delivered";
    case RecipientState::kFailed: return "failed";
  }
  return "";
}

// A server may say anything; the column takes UTF-8 without NUL.
std::string CleanReply(std::string_view reply) {
  std::string text(reply.substr(0, kMaxReply));
  const bool utf8 = base::IsUtf8(text);
  for (char& c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 32 || octet == 127 || (!utf8 && octet > 127)) c = '?';
  }
  return text;
}

Params ToParams(const Records& records, WorkerId worker) {
  Numbers id, epoch, message, number;
  std::vector<bool> last, delayed;
  std::vector<std::string_view> state, site;
  std::vector<std::string> reply;
  std::vector<absl::Time> next;
  absl::Time at = absl::InfinitePast();
  for (const AttemptRecord* record : records) {
    id.push_back(ToInt(record->id));
    epoch.push_back(record->epoch);
    last.push_back(record->last);
    at = std::max(at, record->at);
    for (const RecipientRecord& recipient : record->recipients) {
      message.push_back(std::ssize(id));
      number.push_back(recipient.number);
      state.push_back(StateName(recipient));
      next.push_back(recipient.next_attempt);
      reply.push_back(CleanReply(recipient.reply));
      site.push_back(recipient.site);
      delayed.push_back(recipient.delayed_dsn_sent);
    }
  }
  Params params;
  params.Ints(id).Ints(epoch).Bools(last).Ints(message).Ints(number).Texts(state).Times(next);
  params.Texts(reply).Texts(site).Bools(delayed).Int(ToInt(worker)).Time(at);
  return params;
}

RecordCode CodeFrom(int64_t code) {
  if (code == 404) return RecordCode::kGone;
  if (code == 409) return RecordCode::kStale;
  return RecordCode::kWritten;
}

// Records of different messages; `where` says which of `*results` is whose.
absl::Status WriteRecords(db::Connection& connection, const Records& records,
                          const std::vector<size_t>& where, WorkerId worker,
                          std::vector<RecordResult>* results) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRecord, ToParams(records, worker)));
  for (db::Row row : rows) {
    (*results)[where[static_cast<size_t>(row.Int(0) - 1)]] = {CodeFrom(row.Int(1)),
                                                              static_cast<int>(row.Int(2))};
  }
  return absl::OkStatus();
}

// queue_record takes a message once a call: the second record of one goes into a later round.
absl::Status WriteInRounds(db::Connection& connection, std::span<const AttemptRecord* const> all,
                           WorkerId worker, std::vector<RecordResult>* results) {
  std::vector<bool> done(all.size());
  for (size_t left = all.size(); left > 0;) {
    absl::flat_hash_set<int64_t> seen;
    Records round;
    std::vector<size_t> where;
    for (size_t i = 0; i < all.size(); ++i) {
      if (done[i] || !seen.insert(ToInt(all[i]->id)).second) continue;
      done[i] = true;
      round.push_back(all[i]);
      where.push_back(i);
    }
    left -= round.size();
    GODWIT_RETURN_IF_ERROR(WriteRecords(connection, round, where, worker, results));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<RecordResult>> RecordGroup(db::Connection& connection,
                                                      std::span<const AttemptRecord* const> records,
                                                      WorkerId worker,
                                                      const EnqueueOptions& options) {
  using Results = absl::StatusOr<std::vector<RecordResult>>;
  return db::RunTransaction(connection, [&](db::Connection& c) -> Results {
    std::vector<RecordResult> results(records.size());
    GODWIT_RETURN_IF_ERROR(WriteInRounds(c, records, worker, &results));
    std::vector<const NewQueueMessage*> notices;
    std::vector<size_t> whose;
    for (size_t i = 0; i < records.size(); ++i) {
      if (results[i].code != RecordCode::kWritten) continue;
      for (const NewQueueMessage& notice : records[i]->notices) {
        notices.push_back(&notice);
        whose.push_back(i);
      }
    }
    if (notices.empty()) return results;
    GODWIT_ASSIGN_OR_RETURN(const auto enqueued, EnqueueGroup(c, notices, options));
    for (size_t i = 0; i < enqueued.size(); ++i) {
      if (enqueued[i].id != notices[i]->id) ++results[whose[i]].notices_lost;
    }
    return results;
  });
}

}  // namespace godwit::store

#include "libs/store/queue.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/store/blob.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;
using Views = std::vector<std::string_view>;
using Numbers = std::vector<int64_t>;

const db::Statement kEnqueue("queue_enqueue", Scope::kQueue, Access::kWrite, R"sql(
  SELECT message, code, queue_id
  FROM queue_enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                     $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30))sql");

const db::Statement kStage("queue_stage", Scope::kQueue, Access::kWrite,
                           "INSERT INTO queue_staged (queue_id, expires_at) VALUES ($1, $2)");

const db::Statement kStageChunk("queue_stage_chunk", Scope::kQueue, Access::kWrite, R"sql(
  WITH staged AS (UPDATE queue_staged SET expires_at = greatest(expires_at, $6) WHERE queue_id = $1
                  RETURNING queue_id)
  INSERT INTO queue_chunks (queue_id, seq, size, codec, data)
  SELECT queue_id, $2, $3, $4, $5 FROM staged)sql");

const db::Statement kDropStaged("queue_drop_staged", Scope::kQueue, Access::kWrite, R"sql(
  WITH staged AS (DELETE FROM queue_staged WHERE queue_id = $1 RETURNING queue_id)
  DELETE FROM queue_chunks c USING staged s WHERE c.queue_id = s.queue_id)sql");

const db::Statement kSweep("queue_sweep", Scope::kQueue, Access::kWrite,
                           "SELECT queue_sweep($1, $2)");

const db::Statement kReadChunk("queue_read_chunk", Scope::kQueue, Access::kRead,
                               "SELECT seq, size, codec, data FROM queue_chunks "
                               "WHERE queue_id = $1 AND seq = $2");

const db::Statement kAccount("queue_account", Scope::kOneAccount, Access::kRead,
                             "SELECT disabled FROM accounts WHERE account_id = $1");

constexpr int64_t kRequireTls = 1;
constexpr int64_t kSmtpUtf8 = 2;
constexpr int64_t kEightBit = 4;
constexpr int64_t kStaged = 8;
constexpr int64_t kClaimed = 16;

// The arrays of queue_enqueue, in its order. Views are into the messages and `encoded`.
struct Arguments {
  Numbers id;
  Views key, origin;
  Numbers account;
  Views client, user, reverse_path, ret, envid;
  Numbers flags;
  std::vector<std::optional<absl::Time>> hold_until;
  Views trace;
  Numbers size, header_size;
  std::vector<absl::Time> at, expires;
  Numbers c_message;
  std::vector<Chunk> encoded;
  Numbers r_message, r_no;
  Views r_local, r_domain, r_orcpt;
  Numbers r_notify;
};

int64_t FlagsOf(const NewQueueMessage& message) {
  int64_t flags = 0;
  if (message.envelope.requiretls) flags |= kRequireTls;
  if (message.envelope.smtputf8) flags |= kSmtpUtf8;
  if (message.envelope.body_8bit) flags |= kEightBit;
  if (message.staged) flags |= kStaged;
  if (message.claim && !message.envelope.hold_until) flags |= kClaimed;
  return flags;
}

void AddContent(const NewQueueMessage& message, int64_t number, Arguments* arguments) {
  auto add = [&](int32_t seq, std::string_view octets) {
    arguments->c_message.push_back(number);
    arguments->encoded.push_back(EncodeChunk(seq, octets));
  };
  add(0, message.header);
  int32_t seq = 1;
  const std::string_view body = message.body;
  for (size_t at = 0; at < body.size(); at += kChunkSize) add(seq++, body.substr(at, kChunkSize));
}

void AddRecipients(const NewQueueMessage& message, int64_t number, Arguments* arguments) {
  int64_t no = 0;
  for (const NewQueueRecipient& recipient : message.recipients) {
    arguments->r_message.push_back(number);
    arguments->r_no.push_back(++no);
    arguments->r_local.push_back(recipient.local_part);
    arguments->r_domain.push_back(recipient.domain);
    arguments->r_orcpt.push_back(recipient.orcpt);
    arguments->r_notify.push_back(recipient.notify);
  }
}

void AddMessage(const NewQueueMessage& message, int64_t number, Arguments* arguments) {
  const QueueEnvelope& envelope = message.envelope;
  const int64_t body = message.staged ? message.staged->size : std::ssize(message.body);
  arguments->id.push_back(ToInt(message.id));
  arguments->key.push_back(message.idempotency_key);
  arguments->origin.push_back(QueueOriginName(envelope.origin));
  arguments->account.push_back(ToInt(envelope.account));
  arguments->client.push_back(envelope.client_address);
  arguments->user.push_back(envelope.user);
  arguments->reverse_path.push_back(envelope.reverse_path);
  arguments->ret.push_back(envelope.ret);
  arguments->envid.push_back(envelope.envid);
  arguments->flags.push_back(FlagsOf(message));
  arguments->hold_until.push_back(envelope.hold_until);
  arguments->trace.push_back(envelope.trace_id);
  arguments->size.push_back(std::ssize(message.header) + body);
  arguments->header_size.push_back(std::ssize(message.header));
  arguments->at.push_back(envelope.enqueued_at);
  arguments->expires.push_back(envelope.expires_at);
  AddContent(message, number, arguments);
  AddRecipients(message, number, arguments);
}

Params ToParams(const Arguments& a, const EnqueueOptions& options) {
  Numbers seq, size, codec;
  Views data;
  for (const Chunk& chunk : a.encoded) {
    seq.push_back(chunk.seq);
    size.push_back(chunk.size);
    codec.push_back(chunk.codec);
    data.push_back(chunk.data);
  }
  Params params;
  params.Ints(a.id).BytesArray(a.key).Texts(a.origin).Ints(a.account).Texts(a.client).Texts(a.user);
  params.Texts(a.reverse_path).Texts(a.ret).Texts(a.envid).Ints(a.flags);
  params.OptionalTimes(a.hold_until).Texts(a.trace).Ints(a.size).Ints(a.header_size);
  params.Times(a.at).Times(a.expires);
  params.Ints(a.c_message).Ints(seq).Ints(size).Ints(codec).BytesArray(data);
  params.Ints(a.r_message).Ints(a.r_no).Texts(a.r_local).Texts(a.r_domain).Texts(a.r_orcpt);
  params.Ints(a.r_notify);
  params.Double(absl::ToDoubleSeconds(options.keep_keys)).Int(ToInt(options.worker));
  params.Double(absl::ToDoubleSeconds(options.claim));
  return params;
}

EnqueueCode CodeFrom(int64_t code) {
  if (code == 208) return EnqueueCode::kDuplicate;
  if (code == 412) return EnqueueCode::kExpired;
  return EnqueueCode::kTaken;
}

}  // namespace

QueueId NewQueueId(base::RandomSource* random) { return QueueId{random->Id63()}; }

std::string_view QueueOriginName(QueueOrigin origin) {
  switch (origin) {
    case QueueOrigin::kSubmission: return "submission";
    case QueueOrigin::kForward: return "forward";
    case QueueOrigin::kDsn: return "dsn";
    case QueueOrigin::kReport: return "report";
    case QueueOrigin::kLocal: return "local";
    case QueueOrigin::kRelay: return "relay";
  }
  return "";
}

absl::StatusOr<std::vector<EnqueueResult>> EnqueueGroup(
    db::Connection& connection, std::span<const NewQueueMessage* const> messages,
    const EnqueueOptions& options) {
  Arguments arguments;
  int64_t number = 0;
  for (const NewQueueMessage* message : messages) {
    if (message->recipients.empty()) return base::InvalidArgument("a message without recipients");
    if (message->header.size() > kMaxHeaderSize) return base::InvalidArgument("header too large");
    AddMessage(*message, ++number, &arguments);
  }
  const Params params = ToParams(arguments, options);
  using Results = absl::StatusOr<std::vector<EnqueueResult>>;
  return db::RetryAborted(connection, [&](db::Connection& c) -> Results {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kEnqueue, params));
    std::vector<EnqueueResult> results(messages.size());
    for (db::Row row : rows) {
      results[static_cast<size_t>(row.Int(0) - 1)] = {CodeFrom(row.Int(1)), QueueId{row.Int(2)}};
    }
    return results;
  });
}

absl::StatusOr<StagedQueueBody> StageQueueBody(db::Connection& connection, QueueId id,
                                               absl::Time expires) {
  GODWIT_RETURN_IF_ERROR(
      connection.Execute(kStage, Params().Int(ToInt(id)).Time(expires)).status());
  return StagedQueueBody{};
}

absl::Status StageQueueChunk(db::Connection& connection, QueueId id, StagedQueueBody* staged,
                             std::string_view octets, absl::Time expires) {
  const bool short_before = staged->size % static_cast<int64_t>(kChunkSize) != 0;
  if (octets.empty() || octets.size() > kChunkSize || short_before) {
    return base::InvalidArgument("chunks are whole but the last one");
  }
  const Chunk chunk = EncodeChunk(staged->next_seq, octets);
  Params params;
  params.Int(ToInt(id)).Int(chunk.seq).Int(chunk.size).Int(chunk.codec).Bytes(chunk.data);
  params.Time(expires);
  GODWIT_ASSIGN_OR_RETURN(auto written, connection.Execute(kStageChunk, params));
  if (written.affected() == 0) return base::FailedPrecondition("the staged body is gone");
  ++staged->next_seq;
  staged->size += std::ssize(octets);
  return absl::OkStatus();
}

absl::Status DropStagedQueueBody(db::Connection& connection, QueueId id) {
  return connection.Execute(kDropStaged, Params().Int(ToInt(id))).status();
}

absl::StatusOr<int64_t> SweepQueue(db::Connection& connection, absl::Time now, int limit) {
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kSweep, Params().Time(now).Int(limit)));
    return rows[0].Int(0);
  });
}

absl::StatusOr<std::string> ReadQueueChunk(db::Connection& connection, QueueId id, int32_t seq) {
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kReadChunk, Params().Int(ToInt(id)).Int(seq)));
  if (rows.empty()) return base::NotFound("no such chunk");
  const db::Row row = rows[0];
  return DecodeChunk({static_cast<int32_t>(row.Int(0)), static_cast<int32_t>(row.Int(1)),
                      static_cast<int16_t>(row.Int(2)), std::string(row.Bytes(3))});
}

absl::StatusOr<SendingAccount> LookupSendingAccount(db::Connection& connection, AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccount, Params().Int(ToInt(account))));
  if (rows.empty()) return SendingAccount::kUnknown;
  return rows[0].Bool(0) ? SendingAccount::kDisabled : SendingAccount::kMaySend;
}

}  // namespace godwit::store

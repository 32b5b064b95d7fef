#include "libs/store/delivery.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "libs/base/check.h"
#include "libs/base/random.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;
using Views = std::vector<std::string_view>;
using Numbers = std::vector<int64_t>;

const db::Statement kDeliver("deliver_group", Scope::kBatch, Access::kWrite, R"sql(
  SELECT target, code, mailbox_id, uidvalidity, uid, email_id, thread_id, modseq, watchers
  FROM deliver_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                     $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33,
                     $34, $35, $36, $37, $38, $39))sql");

constexpr size_t kMaxReferences = 30;

// The arrays of deliver_group, in its order; see 0005_delivery.sql. Views are into the deliveries
// and into `chunks`.
struct Arguments {
  // Messages.
  Numbers blob;
  std::vector<absl::Time> received;
  std::vector<std::optional<absl::Time>> sent;
  Numbers body_size;
  Views summary, message_id, subject_base, subject, from, to, cc, bcc, preview;
  std::vector<bool> attachment, enforce_quota;
  Numbers staged_account;
  // Body chunks.
  Numbers c_message;
  std::vector<Chunk> body_chunks;
  // Targets.
  Numbers t_message, t_account, t_mailbox;
  Views t_role;
  Numbers t_flags, t_prefix_size, t_header_size;
  std::vector<Chunk> header_chunks;
  Numbers t_leader;
  // Keywords of targets, message ids of messages.
  Numbers k_target;
  Views k_name;
  Numbers r_message;
  Views r_text;
  absl::Time at = absl::InfinitePast();
};

void AddBody(const Delivery& delivery, int64_t message, Arguments* arguments) {
  int32_t seq = 1;
  for (size_t at = 0; at < delivery.body.size(); at += kChunkSize) {
    arguments->c_message.push_back(message);
    arguments->body_chunks.push_back(
        EncodeChunk(seq++, std::string_view(delivery.body).substr(at, kChunkSize)));
  }
}

void AddMessage(const Delivery& delivery, int64_t message, Arguments* arguments) {
  const auto& staged = delivery.staged;
  arguments->blob.push_back(
      ToInt(staged ? staged->blob : BlobId{base::RandomSource::System()->Id63()}));
  arguments->received.push_back(delivery.received);
  arguments->sent.push_back(delivery.sent);
  arguments->body_size.push_back(staged ? staged->body_size
                                        : static_cast<int64_t>(delivery.body.size()));
  arguments->summary.push_back(delivery.summary);
  arguments->message_id.push_back(delivery.message_id);
  arguments->subject_base.push_back(delivery.subject_base);
  arguments->subject.push_back(delivery.subject);
  arguments->from.push_back(delivery.from);
  arguments->to.push_back(delivery.to);
  arguments->cc.push_back(delivery.cc);
  arguments->bcc.push_back(delivery.bcc);
  arguments->preview.push_back(delivery.preview);
  arguments->attachment.push_back(delivery.has_attachment);
  arguments->enforce_quota.push_back(delivery.enforce_quota);
  arguments->staged_account.push_back(staged ? ToInt(staged->account) : 0);
  arguments->at = std::max(arguments->at, delivery.now.value_or(delivery.received));
  AddBody(delivery, message, arguments);
}

void AddReferences(const Delivery& delivery, int64_t message, Arguments* arguments) {
  absl::flat_hash_set<std::string_view> references;
  if (!delivery.message_id.empty()) references.insert(delivery.message_id);
  const size_t count = delivery.references.size();
  for (size_t i = count > kMaxReferences ? count - kMaxReferences : 0; i < count; ++i) {
    if (!delivery.references[i].empty()) references.insert(delivery.references[i]);
  }
  for (std::string_view reference : references) {
    arguments->r_message.push_back(message);
    arguments->r_text.push_back(reference);
  }
}

void AddTarget(const Delivery& delivery, const DeliveryTarget& target, int64_t message,
               Arguments* arguments) {
  arguments->t_message.push_back(message);
  arguments->t_account.push_back(ToInt(target.account));
  arguments->t_mailbox.push_back(ToInt(target.mailbox));
  arguments->t_role.push_back(target.role == Role::kNone ? "inbox" : RoleName(target.role));
  arguments->t_flags.push_back(target.flags);
  arguments->t_prefix_size.push_back(static_cast<int64_t>(target.header_prefix.size()));
  const std::string header = target.header_prefix + delivery.header;
  arguments->t_header_size.push_back(static_cast<int64_t>(header.size()));
  arguments->header_chunks.push_back(EncodeChunk(0, header));
  const auto number = static_cast<int64_t>(arguments->t_message.size());
  for (const std::string& keyword : target.keywords) {
    arguments->k_target.push_back(number);
    arguments->k_name.push_back(keyword);
  }
}

// Finds, for each target, the first of its account that it shares a thread with, through any chain
// of message ids within the group: the database knows only those that came before.
class Leaders {
 public:
  explicit Leaders(size_t targets) : parent_(targets) {
    for (size_t i = 0; i < targets; ++i) parent_[i] = i;
  }
  void Join(size_t a, size_t b) {
    a = Find(a);
    b = Find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }
  size_t Find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

 private:
  std::vector<size_t> parent_;
};

void FindLeaders(Arguments* arguments) {
  const size_t targets = arguments->t_message.size();
  Leaders leaders(targets);
  absl::flat_hash_map<int64_t, std::vector<std::string_view>> references;  // by message
  for (size_t i = 0; i < arguments->r_message.size(); ++i) {
    references[arguments->r_message[i]].push_back(arguments->r_text[i]);
  }
  using Key = std::pair<int64_t, std::pair<std::string_view, std::string_view>>;
  absl::flat_hash_map<Key, size_t> first;  // (account, (message id, base subject)) -> target
  for (size_t i = 0; i < targets; ++i) {
    const int64_t message = arguments->t_message[i];
    const std::string_view subject = arguments->subject_base[static_cast<size_t>(message) - 1];
    for (std::string_view reference : references[message]) {
      const auto [it, added] =
          first.try_emplace({arguments->t_account[i], {reference, subject}}, i);
      if (!added) leaders.Join(it->second, i);
    }
  }
  for (size_t i = 0; i < targets; ++i) {
    arguments->t_leader.push_back(static_cast<int64_t>(leaders.Find(i)) + 1);
  }
}

// Four parameters but the seq, which only the body has.
void AppendChunks(const std::vector<Chunk>& chunks, bool with_seq_and_size, Params* params) {
  Numbers seq;
  Numbers size;
  Numbers codec;
  Views data;
  for (const Chunk& chunk : chunks) {
    seq.push_back(chunk.seq);
    size.push_back(chunk.size);
    codec.push_back(chunk.codec);
    data.push_back(chunk.data);
  }
  if (with_seq_and_size) params->Ints(seq).Ints(size);
  params->Ints(codec).BytesArray(data);
}

Params ToParams(const Arguments& a, WhenLocked when_locked) {
  Params params;
  params.Ints(a.blob).Times(a.received).OptionalTimes(a.sent).Ints(a.body_size);
  params.BytesArray(a.summary);
  for (const Views* texts :
       {&a.message_id, &a.subject_base, &a.subject, &a.from, &a.to, &a.cc, &a.bcc, &a.preview}) {
    params.Texts(*texts);
  }
  params.Bools(a.attachment).Bools(a.enforce_quota).Ints(a.staged_account).Ints(a.c_message);
  AppendChunks(a.body_chunks, true, &params);
  params.Ints(a.t_message).Ints(a.t_account).Ints(a.t_mailbox).Texts(a.t_role).Ints(a.t_flags);
  params.Ints(a.t_prefix_size).Ints(a.t_header_size);
  AppendChunks(a.header_chunks, false, &params);
  params.Ints(a.t_leader).Ints(a.k_target).Texts(a.k_name).Int(kMaxKeywordsPerAccount);
  params.Ints(a.r_message).Texts(a.r_text).Time(a.at);
  const bool briefly = when_locked == WhenLocked::kBriefly;
  params.Text(briefly ? std::to_string(absl::ToInt64Milliseconds(kBriefWait)) : "");
  params.Bool(when_locked == WhenLocked::kSkip);
  return params;
}

absl::Status ValidateTarget(const Delivery& delivery, const DeliveryTarget& target) {
  if (target.header_prefix.size() + delivery.header.size() > kMaxHeaderSize) {
    return base::InvalidArgument("header too long");
  }
  if (target.keywords.size() > static_cast<size_t>(kMaxKeywordsPerChange)) {
    return base::OutOfRange("too many keywords");
  }
  for (const std::string& keyword : target.keywords) {
    if (keyword.empty() || keyword.size() > static_cast<size_t>(kMaxKeywordLength)) {
      return base::InvalidArgument("bad keyword");
    }
  }
  return absl::OkStatus();
}

absl::Status Validate(const Delivery& delivery) {
  if (delivery.targets.empty() || delivery.targets.size() > kMaxTargets) {
    return base::InvalidArgument("a delivery has 1 to 1,000 targets");
  }
  if (delivery.body.size() > kMaxInlineBody) return base::InvalidArgument("body not staged");
  if (delivery.staged && !delivery.body.empty()) return base::InvalidArgument("two bodies");
  absl::flat_hash_set<int64_t> accounts;
  for (const DeliveryTarget& target : delivery.targets) {
    if (!accounts.insert(ToInt(target.account)).second) {
      return base::InvalidArgument("two targets of one account");
    }
    GODWIT_RETURN_IF_ERROR(ValidateTarget(delivery, target));
  }
  return absl::OkStatus();
}

absl::Status StatusFromCode(int64_t code) {
  switch (code) {
    case 404: return base::NotFound("no such account or mailbox");
    case 412: return base::FailedPrecondition("account disabled, or staged blob expired");
    case 423: return base::Aborted("the account is locked");
    case 429: return base::ResourceExhausted("over quota");
    default: return base::Internal("delivery refused with code " + std::to_string(code));
  }
}

Delivered DeliveredFrom(const db::Row& row, int64_t account) {
  Delivered delivered;
  delivered.account = AccountId{account};
  delivered.mailbox = MailboxId{row.Int(2)};
  delivered.uidvalidity = static_cast<uint32_t>(row.Int(3));
  delivered.uid = static_cast<Uid>(row.Int(4));
  delivered.email = EmailId{row.Int(5)};
  delivered.thread = ThreadId{row.Int(6)};
  delivered.change.modseq = row.Int(7);
  delivered.change.watchers = row.Texts(8);
  return delivered;
}

using Results = std::vector<absl::StatusOr<DeliveryResult>>;

// Each row to its target; the targets stand in the order of their deliveries.
void FillResults(const db::Result& rows, const Arguments& arguments,
                 const std::vector<size_t>& positions, Results* results) {
  std::vector<std::optional<db::Row>> by_target(arguments.t_message.size());
  for (db::Row row : rows) by_target[static_cast<size_t>(row.Int(0)) - 1] = row;
  for (size_t position : positions) (*results)[position] = DeliveryResult();
  for (size_t i = 0; i < by_target.size(); ++i) {
    GODWIT_CHECK(by_target[i].has_value());
    auto& result = (*results)[positions[static_cast<size_t>(arguments.t_message[i]) - 1]];
    const int64_t code = by_target[i]->Int(1);
    if (code != 0) result = StatusFromCode(code);
    if (result.ok()) result->push_back(DeliveredFrom(*by_target[i], arguments.t_account[i]));
  }
}

}  // namespace

absl::StatusOr<Results> DeliverGroup(db::Connection& connection,
                                     std::span<const Delivery* const> group,
                                     WhenLocked when_locked) {
  Results results(group.size(), absl::StatusOr<DeliveryResult>(DeliveryResult()));
  std::vector<size_t> positions;  // of the messages that are valid, by message number - 1
  Arguments arguments;
  for (size_t i = 0; i < group.size(); ++i) {
    absl::Status valid = Validate(*group[i]);
    if (!valid.ok()) {
      results[i] = valid;
      continue;
    }
    positions.push_back(i);
    const auto message = static_cast<int64_t>(positions.size());
    AddMessage(*group[i], message, &arguments);
    AddReferences(*group[i], message, &arguments);
    for (const DeliveryTarget& target : group[i]->targets) {
      AddTarget(*group[i], target, message, &arguments);
    }
  }
  if (positions.empty()) return results;
  FindLeaders(&arguments);
  const Params params = ToParams(arguments, when_locked);
  GODWIT_ASSIGN_OR_RETURN(auto rows, db::RetryAborted(connection, [&](db::Connection& c) {
                            return c.Execute(kDeliver, params);
                          }));
  FillResults(rows, arguments, positions, &results);
  return results;
}

absl::StatusOr<DeliveryResult> Deliver(db::Connection& connection, const Delivery& delivery,
                                       WhenLocked when_locked) {
  const Delivery* const group[] = {&delivery};
  GODWIT_ASSIGN_OR_RETURN(auto results, DeliverGroup(connection, group, when_locked));
  return std::move(results[0]);
}

}  // namespace godwit::store

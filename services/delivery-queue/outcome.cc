#include "services/delivery-queue/outcome.h"

#include <algorithm>
#include <utility>

#include "libs/smtp/path.h"

namespace godwit::delivery_queue {
namespace {

using State = RecipientResult::State;

std::string StatusOf(const smtp::Reply& reply, bool given_up) {
  // RFC 3463 §3.5: X.4.7, delivery time expired.
  if (given_up) return "4.4.7";
  if (!reply.enhanced.empty()) return reply.enhanced;
  return std::to_string(reply.code / 100) + ".0.0";
}

// RFC 5321 §4.5.3.1.10: too many for one transaction. The others come in the next, at once.
bool TakenInParts(const JobResult& result, const RecipientResult& one) {
  return one.state == State::kDeferred && one.reply.code == 452 && !one.ours &&
         std::any_of(result.recipients.begin(), result.recipients.end(),
                     [](const RecipientResult& r) { return r.state == State::kDelivered; });
}

dsn::Recipient Tell(const store::DueRecipient& recipient, const RecipientResult& result,
                    dsn::Action action, absl::Time now) {
  dsn::Recipient out;
  out.action = action;
  const smtp::Address address{recipient.local_part, recipient.domain};
  out.final_recipient = dsn::MakeAddress(address.ToString());
  out.original_recipient = dsn::ParseOrcpt(recipient.orcpt);
  out.status = StatusOf(result.reply, false);
  if (result.ours) {
    out.explanation = ReplyLine(result.reply);
  } else {
    out.remote_mta = result.host;
    out.diagnostic = ReplyLine(result.reply);
  }
  out.last_attempt = absl::FromUnixSeconds(absl::ToUnixSeconds(now));
  return out;
}

class Maker {
 public:
  Maker(const Job& job, const JobResult& result, absl::Time now, const RetryPolicy& policy,
        base::RandomSource* random)
      : message_(job.attempt->message),
        job_(job),
        result_(result),
        now_(now),
        policy_(policy),
        random_(random) {}

  Outcome Make() {
    outcome_.record.id = message_.id;
    outcome_.record.epoch = job_.attempt->epoch;
    outcome_.record.at = now_;
    for (const RecipientResult& one : result_.recipients) Add(one);
    return std::move(outcome_);
  }

 private:
  void Add(const RecipientResult& one) {
    const store::DueRecipient& recipient = message_.recipients[one.recipient];
    store::RecipientRecord record;
    record.number = recipient.number;
    record.reply = ReplyLine(one.reply);
    record.site = one.host;
    record.next_attempt = now_;
    switch (one.state) {
      case State::kDelivered: AddDelivered(recipient, one, &record); break;
      case State::kFailed:
        record.state = store::RecipientState::kFailed;
        TellIfWanted(recipient, Tell(recipient, one, dsn::Action::kFailed, now_));
        break;
      case State::kDeferred: AddDeferred(recipient, one, &record); break;
    }
    outcome_.record.recipients.push_back(std::move(record));
  }

  // RFC 3461 §5.2.2: who hands over to a server without DSN says "relayed"; our own ingress has put
  // it into the mailbox.
  void AddDelivered(const store::DueRecipient& recipient, const RecipientResult& one,
                    store::RecipientRecord* record) {
    record->state = store::RecipientState::kDelivered;
    if (one.dsn_taken) return;
    const bool own = job_.route != nullptr && job_.route->kind == RouteKind::kInternal;
    TellIfWanted(recipient,
                 Tell(recipient, one, own ? dsn::Action::kDelivered : dsn::Action::kRelayed, now_));
  }

  void AddDeferred(const store::DueRecipient& recipient, const RecipientResult& one,
                   store::RecipientRecord* record) {
    if (TakenInParts(result_, one)) {
      record->counted = false;  // it stays due, and was not asked for in earnest
      return;
    }
    const absl::Time expires = message_.envelope.expires_at;
    const Deferral deferral = Defer(recipient.attempts + 1, now_, expires, policy_, random_);
    if (deferral.give_up) {
      record->state = store::RecipientState::kFailed;
      dsn::Recipient told = Tell(recipient, one, dsn::Action::kFailed, now_);
      told.status = StatusOf(one.reply, true);
      TellIfWanted(recipient, std::move(told));
      return;
    }
    record->next_attempt = deferral.next_attempt;
    if (!DelayIsDue(now_, message_.envelope.enqueued_at, recipient.delayed_dsn_sent, policy_))
      return;
    record->delayed_dsn_sent = true;
    dsn::Recipient told = Tell(recipient, one, dsn::Action::kDelayed, now_);
    told.will_retry_until = absl::FromUnixSeconds(absl::ToUnixSeconds(expires));
    TellIfWanted(recipient, std::move(told));
  }

  void TellIfWanted(const store::DueRecipient& recipient, dsn::Recipient told) {
    if (!dsn::Wanted(told.action, message_.envelope.reverse_path, NotifyFrom(recipient.notify))) {
      return;
    }
    outcome_.told.push_back(std::move(told));
  }

  const store::DueMessage& message_;
  const Job& job_;
  const JobResult& result_;
  const absl::Time now_;
  const RetryPolicy& policy_;
  base::RandomSource* const random_;
  Outcome outcome_;
};

}  // namespace

Outcome MakeOutcome(const Job& job, const JobResult& result, absl::Time now,
                    const RetryPolicy& policy, base::RandomSource* random) {
  return Maker(job, result, now, policy, random).Make();
}

std::string NoticeKey(const Attempt& attempt, const Outcome& outcome) {
  std::string key = "dsn:" + std::to_string(store::ToInt(attempt.id()));
  for (const store::RecipientRecord& record : outcome.record.recipients) {
    if (!record.counted) continue;
    for (const store::DueRecipient& recipient : attempt.message.recipients) {
      if (recipient.number != record.number) continue;
      return key + ":" + std::to_string(record.number) + ":" + std::to_string(recipient.attempts);
    }
  }
  return key;
}

std::string ReplyLine(const smtp::Reply& reply) {
  std::string line = std::to_string(reply.code);
  if (!reply.enhanced.empty()) line += ' ' + reply.enhanced;
  for (const std::string& text : reply.lines) {
    if (!text.empty()) line += ' ' + text;
  }
  if (line.size() <= store::kMaxReply) return line;
  // Not in the middle of a character.
  size_t end = store::kMaxReply;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;
  line.resize(end);
  return line;
}

smtp::DsnNotify NotifyFrom(int mask) {
  smtp::DsnNotify notify;
  notify.given = mask != 0;
  notify.never = (mask & store::kNotifyNever) != 0;
  notify.success = (mask & store::kNotifySuccess) != 0;
  notify.failure = (mask & store::kNotifyFailure) != 0;
  notify.delay = (mask & store::kNotifyDelay) != 0;
  return notify;
}

}  // namespace godwit::delivery_queue

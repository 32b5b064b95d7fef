// What an attempt means: retry.h, outcome.h.

#include "services/delivery-queue/outcome.h"

#include <catch2/catch.hpp>

namespace godwit::delivery_queue {
namespace {

using State = RecipientResult::State;

const absl::Time kEnqueued = absl::FromUnixSeconds(1'790'000'000);
const absl::Time kExpires = kEnqueued + absl::Hours(120);
const RetryPolicy kPolicy;

TEST_CASE("Pauses double up to the longest", "[delivery-queue][unit]") {
  base::RandomSource* random = base::RandomSource::System();
  for (const auto& [attempts, minutes] :
       std::vector<std::pair<int, int>>{{1, 5}, {2, 10}, {3, 20}, {6, 160}, {7, 240}, {50, 240}}) {
    const absl::Duration pause = PauseAfter(attempts, kPolicy, random);
    CAPTURE(attempts);
    CHECK(pause >= absl::Minutes(minutes));
    CHECK(pause <= absl::Minutes(minutes) * 1.2);
  }
}

TEST_CASE("The last attempt is at the time of expiry, and there is always one",
          "[delivery-queue][unit]") {
  base::RandomSource* random = base::RandomSource::System();
  const absl::Time late = kExpires - absl::Minutes(1);
  CHECK_FALSE(Defer(20, late, kExpires, kPolicy, random).give_up);
  CHECK(Defer(20, late, kExpires, kPolicy, random).next_attempt == kExpires);
  CHECK(Defer(1, kExpires, kExpires, kPolicy, random).give_up);
  // A whole life: five days are some thirty attempts.
  absl::Time now = kEnqueued;
  int attempts = 0;
  for (Deferral d; !d.give_up; now = d.next_attempt) {
    d = Defer(++attempts, now, kExpires, kPolicy, random);
    if (d.give_up) break;
    CHECK(d.next_attempt > now);
  }
  CHECK(now == kExpires);
  CHECK(attempts > 25);
  CHECK(attempts < 45);
}

struct Case {
  State state;
  smtp::Reply reply;
  int notify = 0;
  std::string reverse_path = "a@y.example";
  absl::Duration age = absl::Minutes(1);
  bool dsn_taken = false;
  RouteKind kind = RouteKind::kDirect;
  bool told_before = false;
};

Outcome Make(const Case& c) {
  Job job;
  job.attempt = std::make_shared<Attempt>();
  store::DueMessage& message = job.attempt->message;
  message.id = store::QueueId{7};
  message.envelope.reverse_path = c.reverse_path;
  message.envelope.enqueued_at = kEnqueued;
  message.envelope.expires_at = kExpires;
  message.recipients.push_back({.number = 3,
                                .local_part = "b c",
                                .domain = "x.example",
                                .orcpt = "rfc822;b@z.example",
                                .notify = c.notify,
                                .delayed_dsn_sent = c.told_before});
  auto route = std::make_shared<Route>();
  route->kind = c.kind;
  job.route = route;
  job.recipients = {0};
  JobResult result;
  result.recipients.push_back({.recipient = 0,
                               .state = c.state,
                               .reply = c.reply,
                               .ours = false,
                               .host = "mx.x.example",
                               .dsn_taken = c.dsn_taken,
                               .at = ""});
  return MakeOutcome(job, result, kEnqueued + c.age, kPolicy, base::RandomSource::System());
}

const smtp::Reply kGone{550, "5.1.1", {"No such", "user"}};
const smtp::Reply kLater{451, "", {"Later"}};
const smtp::Reply kTaken{250, "2.0.0", {"Ok"}};

TEST_CASE("Who is told what", "[delivery-queue][unit]") {
  SECTION("a failure, by default and by NOTIFY") {
    const Outcome outcome = Make({State::kFailed, kGone});
    CHECK(outcome.record.recipients.at(0).state == store::RecipientState::kFailed);
    CHECK(outcome.record.recipients.at(0).reply == "550 5.1.1 No such user");
    const dsn::Recipient& told = outcome.told.at(0);
    CHECK(told.action == dsn::Action::kFailed);
    CHECK(told.status == "5.1.1");
    CHECK(told.final_recipient.address == "\"b c\"@x.example");
    CHECK(told.original_recipient->address == "b@z.example");
    CHECK(told.remote_mta == "mx.x.example");
    CHECK(told.diagnostic == "550 5.1.1 No such user");
    CHECK(Make({State::kFailed, kGone, store::kNotifyNever}).told.empty());
    CHECK(Make({State::kFailed, kGone, store::kNotifySuccess}).told.empty());
    CHECK(Make({State::kFailed, kGone, store::kNotifyFailure}).told.size() == 1);
    // Never about a message from <>.
    CHECK(Make({State::kFailed, kGone, 0, ""}).told.empty());
  }
  SECTION("a delay, once") {
    Outcome outcome = Make({State::kDeferred, kLater});
    CHECK(outcome.record.recipients.at(0).state == store::RecipientState::kPending);
    CHECK(outcome.told.empty());
    outcome = Make({.state = State::kDeferred, .reply = kLater, .age = absl::Hours(5)});
    CHECK(outcome.told.at(0).action == dsn::Action::kDelayed);
    CHECK(outcome.told.at(0).will_retry_until == kExpires);
    CHECK(outcome.told.at(0).status == "4.0.0");
    CHECK(outcome.record.recipients.at(0).delayed_dsn_sent);
    CHECK(Make({.state = State::kDeferred,
                .reply = kLater,
                .age = absl::Hours(5),
                .told_before = true})
              .told.empty());
    outcome = Make({.state = State::kDeferred,
                    .reply = kLater,
                    .notify = store::kNotifyFailure,
                    .age = absl::Hours(5)});
    CHECK(outcome.told.empty());
  }
  SECTION("the end of patience is a failure") {
    const Outcome outcome =
        Make({.state = State::kDeferred, .reply = kLater, .age = absl::Hours(120)});
    CHECK(outcome.record.recipients.at(0).state == store::RecipientState::kFailed);
    CHECK(outcome.told.at(0).action == dsn::Action::kFailed);
    CHECK(outcome.told.at(0).status == "4.4.7");
    CHECK(outcome.told.at(0).diagnostic == "451 Later");
  }
  SECTION("success, only when asked for and nobody else tells") {
    CHECK(Make({State::kDelivered, kTaken}).told.empty());
    CHECK(Make({State::kDelivered, kTaken, store::kNotifySuccess}).told.at(0).action ==
          dsn::Action::kRelayed);
    CHECK(Make({.state = State::kDelivered,
                .reply = kTaken,
                .notify = store::kNotifySuccess,
                .dsn_taken = true})
              .told.empty());
    CHECK(Make({.state = State::kDelivered,
                .reply = kTaken,
                .notify = store::kNotifySuccess,
                .kind = RouteKind::kInternal})
              .told.at(0)
              .action == dsn::Action::kDelivered);
  }
}

// RFC 5321 §4.5.3.1.10: a server that takes 100 recipients a transaction gets the others at once,
// not after a pause.
TEST_CASE("Recipients beyond a server's bound come in the next transaction",
          "[delivery-queue][unit]") {
  Job job;
  job.attempt = std::make_shared<Attempt>();
  job.attempt->message.envelope.expires_at = kExpires;
  job.attempt->message.recipients.resize(2);
  job.recipients = {0, 1};
  JobResult result;
  result.recipients.push_back({.recipient = 0, .state = State::kDelivered, .reply = kTaken});
  result.recipients.push_back(
      {.recipient = 1, .state = State::kDeferred, .reply = {452, "4.5.3", {"Too many"}}});
  Outcome outcome = MakeOutcome(job, result, kEnqueued, kPolicy, base::RandomSource::System());
  CHECK(outcome.record.recipients.at(1).next_attempt == kEnqueued);
  // Nor are the transactions counted that it takes until their turn comes: a hundred recipients
  // with ten a transaction were at their tenth attempt, and its pause of hours, at the first true
  // answer.
  CHECK_FALSE(outcome.record.recipients.at(1).counted);
  CHECK(outcome.record.recipients.at(0).counted);
  // Not when nobody was taken: then it is no bound.
  result.recipients[0].state = State::kDeferred;
  outcome = MakeOutcome(job, result, kEnqueued, kPolicy, base::RandomSource::System());
  CHECK(outcome.record.recipients.at(1).next_attempt > kEnqueued);
  CHECK(outcome.record.recipients.at(1).counted);
}

// The number was that of another recipient, so that two notices about different attempts could have
// one key: the second was taken for known, and the sender was never told.
TEST_CASE("Each notice has a key of its own", "[delivery-queue][unit]") {
  Job job;
  job.attempt = std::make_shared<Attempt>();
  store::DueMessage& message = job.attempt->message;
  message.id = store::QueueId{7};
  message.envelope.expires_at = kExpires;
  message.recipients = {{.number = 1, .attempts = 3}, {.number = 2, .attempts = 1}};
  auto key = [&](std::vector<State> states, int code) {
    JobResult result;
    job.recipients.clear();
    for (size_t i = message.recipients.size() - states.size(); i < message.recipients.size(); ++i) {
      const State state = states[job.recipients.size()];
      job.recipients.push_back(i);
      result.recipients.push_back({.recipient = i, .state = state, .reply = {code, "", {}}});
    }
    return NoticeKey(*job.attempt,
                     MakeOutcome(job, result, kEnqueued, kPolicy, base::RandomSource::System()));
  };
  // The job of the second recipient in an attempt of both, and later when he is alone.
  CHECK(key({State::kFailed}, 550) == "dsn:7:2:1");
  message.recipients[1].attempts = 3;
  CHECK(key({State::kFailed}, 550) == "dsn:7:2:3");
  CHECK(key({State::kFailed, State::kFailed}, 550) == "dsn:7:1:3");
  // Whose attempt is not counted may come with the same number again.
  message.recipients.insert(message.recipients.begin(), {.number = 9, .attempts = 0});
  CHECK(key({State::kDeferred, State::kDelivered, State::kFailed}, 452) == "dsn:7:1:3");
}

TEST_CASE("A reply is told in bounds", "[delivery-queue][unit]") {
  CHECK(ReplyLine({550, "5.1.1", {std::string(5000, 'x')}}).size() == store::kMaxReply);
  std::string text(store::kMaxReply - 5, 'x');
  CHECK(ReplyLine({550, "", {text + "\xc3\xa4"}}) == "550 " + text);
}

}  // namespace
}  // namespace godwit::delivery_queue

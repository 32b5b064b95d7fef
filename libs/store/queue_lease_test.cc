// Leases, claims and fencing: who may work on what, and what one that comes too late can do.

#include <atomic>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "libs/store/queue_test_fixture.h"

namespace godwit::store {
namespace {

TEST_CASE_METHOD(QueueFixture, "Shards go to the living, in fair shares",
                 "[store][queue][integration]") {
  QueueLeases ann = Beat(kAnn);
  CHECK(ann.shards.size() == 256);
  CHECK(ann.share == 256);
  // Ben finds nothing free; Ann learns that she has too many and gives some up.
  CHECK(Beat(kBen).shards.empty());
  ann = Beat(kAnn);
  CHECK(ann.share == 128);
  std::vector<int64_t> surplus = Numbers(ann);
  surplus.resize(128);
  MustOk(ReleaseShards(*connection, kAnn, surplus));
  CHECK(Beat(kBen).shards.size() == 128);
  CHECK(Beat(kAnn).shards.size() == 128);
  // Ben leaves: all is Ann's at her next beat.
  MustOk(LeaveQueue(*connection, kBen, {}, now));
  ann = Beat(kAnn);
  CHECK(ann.shards.size() == 256);
  CHECK(Count("queue_workers") == "1");
}

TEST_CASE_METHOD(QueueFixture, "A stale worker's write changes nothing and says so",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("fenced");
  Enqueue(message);
  const QueueLeases ann = Beat(kAnn, absl::ZeroDuration());  // over at once: Ann is away
  const QueueLeases ben = Beat(kBen);
  REQUIRE(ben.shards.size() == 256);
  CHECK(EpochOf(ben, message.id) == EpochOf(ann, message.id) + 1);

  AttemptRecord late = Outcome(message.id, EpochOf(ann, message.id), RecipientState::kDelivered);
  CHECK(Record(late, kAnn).code == RecordCode::kStale);
  // Not with the present epoch either: it is another's.
  late.epoch = EpochOf(ben, message.id);
  CHECK(Record(late, kAnn).code == RecordCode::kStale);
  CHECK(Must(ShowQueued(*connection, message.id)).recipients.at(0).attempts == 0);
  // Back again, Ann has nothing.
  CHECK(Beat(kAnn).shards.empty());
  CHECK(Record(late, kBen).code == RecordCode::kWritten);
}

TEST_CASE_METHOD(QueueFixture, "A lease that is over but nobody's still counts",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("alone");
  Enqueue(message);
  const QueueLeases ann = Beat(kAnn, absl::ZeroDuration());
  CHECK(Record(Outcome(message.id, EpochOf(ann, message.id), RecipientState::kDelivered), kAnn)
            .code == RecordCode::kWritten);
}

TEST_CASE_METHOD(QueueFixture, "A shard is not taken over while a record is written",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("writing");
  Enqueue(message);
  const QueueLeases ann = Beat(kAnn, absl::ZeroDuration());
  // Ann's record is written and not committed yet.
  auto slow = database.Connect("godwit_delivery_queue");
  MustOk(slow->Begin());
  const AttemptRecord record =
      Outcome(message.id, EpochOf(ann, message.id), RecipientState::kDelivered);
  const AttemptRecord* const group[] = {&record};
  CHECK(Must(RecordGroup(*slow, group, kAnn, {})).at(0).code == RecordCode::kWritten);

  QueueLeases ben = Beat(kBen);
  CHECK(ben.shards.size() == 255);
  CHECK(EpochOf(ben, message.id) == -1);
  MustOk(slow->Commit());
  ben = Beat(kBen);
  CHECK(ben.shards.size() == 256);
  // What Ben gets to see is what Ann has left: nothing.
  CHECK(Load(ben).messages.empty());
}

TEST_CASE_METHOD(QueueFixture, "A claim keeps others away until it ends",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("claimed");
  message.claim = true;
  const absl::Time later = now + absl::Minutes(2);

  SECTION("its owner ends it") {
    Enqueue(message, kAnn);
    const QueueLeases ben = Beat(kBen);
    CHECK(Load(ben, later).messages.empty());
    CHECK(Record(Outcome(message.id, EpochOf(ben, message.id), RecipientState::kDelivered), kBen)
              .code == RecordCode::kStale);
    CHECK(Must(RenewClaims(*connection, kAnn, std::vector<int64_t>{ToInt(message.id)}, now,
                           absl::Seconds(30))) == std::vector<QueueId>{message.id});
    CHECK(Record(Outcome(message.id, 0, RecipientState::kPending), kAnn).pending == 1);
    // From here on it is the shard's worker's, at its time.
    CHECK(Load(ben, later).messages.empty());
    CHECK(Load(ben, now + absl::Minutes(5)).messages.size() == 1);
    CHECK(Record(Outcome(message.id, 0, RecipientState::kDelivered), kAnn).code ==
          RecordCode::kStale);
  }
  SECTION("its owner dies, and comes back too late") {
    Enqueue(message, kAnn, absl::ZeroDuration());
    const QueueLeases ben = Beat(kBen);
    CHECK(Load(ben, later).messages.size() == 1);
    CHECK(Record(Outcome(message.id, 0, RecipientState::kDelivered), kAnn).code ==
          RecordCode::kStale);
    CHECK(Must(RenewClaims(*connection, kAnn, std::vector<int64_t>{ToInt(message.id)}, now,
                           absl::Seconds(30)))
              .empty());
  }
  SECTION("its owner is late, and nobody has looked") {
    Enqueue(message, kAnn, absl::ZeroDuration());
    CHECK(Record(Outcome(message.id, 0, RecipientState::kDelivered), kAnn).code ==
          RecordCode::kWritten);
  }
  // The worker's own look at what is due took the claim from its own attempt when the database had
  // been away for longer than the claim: the outcome was stale, and the message went out twice.
  SECTION("its owner has the shard, too, and is at it still") {
    Enqueue(message, kAnn, absl::ZeroDuration());
    const QueueLeases ann = Beat(kAnn);
    const std::vector<int64_t> busy = {ToInt(message.id)};
    CHECK(Must(LoadDue(*connection, Numbers(ann), {}, later, 10, busy)).messages.empty());
    CHECK(Record(Outcome(message.id, 0, RecipientState::kDelivered), kAnn).code ==
          RecordCode::kWritten);
  }
  SECTION("its owner leaves in order") {
    Enqueue(message, kAnn);
    const absl::Time left = now + absl::Minutes(10);
    MustOk(LeaveQueue(*connection, kAnn, std::vector<int64_t>{ToInt(message.id)}, left));
    // It is due when it is left, not when it was enqueued: a worker that is at work looks there.
    const DueCursor behind{left - absl::Seconds(1), QueueId::kNone};
    CHECK(Load(Beat(kBen), left, 10, behind).messages.size() == 1);
  }
  SECTION("its owner has no room for it") {
    Enqueue(message, kAnn);
    AttemptRecord none;
    none.id = message.id;
    none.at = later;
    CHECK(Record(none, kAnn).pending == 1);
    const DueCursor behind{later - absl::Seconds(1), QueueId::kNone};
    CHECK(Load(Beat(kBen), later, 10, behind).messages.size() == 1);
  }
  SECTION("an operator releases it after its owner died") {
    Enqueue(message, kAnn, absl::ZeroDuration());
    CHECK(Must(HoldQueued(*connection, {.ids = {message.id}}, "")) == 1);
    CHECK(Must(ReleaseQueued(*connection, {.ids = {message.id}}, later)) == 1);
    const DueCursor behind{later - absl::Seconds(1), QueueId::kNone};
    CHECK(Load(Beat(kBen), later, 10, behind).messages.size() == 1);
  }
  SECTION("an attempt in parts keeps its claim to the last") {
    NewQueueMessage pair = Message("claimed-pair", 2);
    pair.claim = true;
    Enqueue(pair, kAnn);
    AttemptRecord first = Outcome(pair.id, 0, RecipientState::kPending, 1);
    first.last = false;
    CHECK(Record(first, kAnn).code == RecordCode::kWritten);
    CHECK(Load(Beat(kBen), later).messages.empty());
    CHECK(Record(Outcome(pair.id, 0, RecipientState::kDelivered, 2), kAnn).pending == 1);
    Enqueue(message);
  }
}

TEST_CASE_METHOD(QueueFixture, "A claim is not taken over while its record is written",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("claim-writing");
  message.claim = true;
  Enqueue(message, kAnn, absl::ZeroDuration());
  const QueueLeases ben = Beat(kBen);
  auto slow = database.Connect("godwit_delivery_queue");
  MustOk(slow->Begin());
  const AttemptRecord record = Outcome(message.id, 0, RecipientState::kDelivered);
  const AttemptRecord* const group[] = {&record};
  CHECK(Must(RecordGroup(*slow, group, kAnn, {})).at(0).code == RecordCode::kWritten);

  DuePage page;
  std::thread other([&] {
    auto own = database.Connect("godwit_delivery_queue");
    page = Must(LoadDue(*own, Numbers(ben), {}, now + absl::Minutes(2), 10));
  });
  while (database.Ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
         "0") {
  }
  MustOk(slow->Commit());
  other.join();
  CHECK(page.messages.empty());
}

TEST_CASE_METHOD(QueueFixture, "The schedule is read by pages", "[store][queue][integration]") {
  std::vector<NewQueueMessage> messages;
  for (int i = 0; i < 25; ++i) {
    messages.push_back(Message("page-" + std::to_string(i), 1 + i % 3));
    messages.back().envelope.enqueued_at = now - absl::Seconds(i / 5);
    Enqueue(messages.back());
  }
  const QueueLeases leases = Beat(kAnn);
  DueCursor at;
  absl::flat_hash_map<int64_t, size_t> seen;
  for (bool more = true; more;) {
    const DuePage page = Load(leases, now, 10, at);
    for (const DueMessage& message : page.messages) {
      seen[ToInt(message.id)] = message.recipients.size();
      CHECK(message.envelope.reverse_path == "alice@b.example");
    }
    more = page.more;
    at = page.end;
  }
  CHECK(seen.size() == 25);
  for (size_t i = 0; i < messages.size(); ++i) {
    CHECK(seen[ToInt(messages[i].id)] == 1 + i % 3);
  }
  // Other shards than one's own do not appear.
  const QueueLeases one{{leases.shards.at(static_cast<size_t>(ShardOf(messages[0].id)))}, 1};
  for (const DueMessage& message : Load(one).messages) {
    CHECK(ShardOf(message.id) == ShardOf(messages[0].id));
  }
  const QueueDepth depth = Must(MeasureQueue(*connection, Numbers(leases)));
  CHECK(depth.messages == 25);
  CHECK(depth.oldest == now - absl::Seconds(4));
}

TEST_CASE_METHOD(QueueFixture, "What was put aside is loaded by its ids",
                 "[store][queue][integration]") {
  std::vector<int64_t> ids;
  for (int i = 0; i < 6; ++i) {
    NewQueueMessage message = Message("aside-" + std::to_string(i));
    message.envelope.enqueued_at = now + absl::Seconds(i);
    message.claim = i == 5;
    Enqueue(message, kAnn);
    ids.push_back(ToInt(message.id));
  }
  const std::vector<int64_t> shards = Numbers(Beat(kAnn));
  Must(HoldQueued(*connection, {.ids = {QueueId{ids[2]}}}, ""));
  std::vector<int64_t> asked(ids.rbegin(), ids.rend());
  asked.push_back(1);  // there is none
  const auto found = Must(LoadQueued(*connection, shards, asked, now + absl::Seconds(3)));
  REQUIRE(found.size() == 3);
  CHECK(ToInt(found[0].id) == ids[0]);
  CHECK(ToInt(found[1].id) == ids[1]);
  CHECK(ToInt(found[2].id) == ids[3]);
  CHECK(found[0].recipients.size() == 1);
  CHECK(Must(LoadQueued(*connection, {}, ids, now + absl::Seconds(3))).empty());
}

// A worker as the daemon has it: beats, loads, delivers, records; now and then it sleeps over its
// lease, or dies without a word.
class Racer {
 public:
  Racer(QueueFixture* fixture, int64_t id, std::atomic<bool>* stop)
      : fixture_(fixture), next_id_(id), stop_(stop) {}

  void Run() {
    auto c = fixture_->database.Connect("godwit_delivery_queue");
    while (!*stop_) {
      const WorkerId worker{next_id_ += 100};
      for (int round = 0; round < 5 && !*stop_; ++round) Work(*c, worker);
    }
  }
  // Outcomes that were written, by queue id.
  absl::flat_hash_map<int64_t, int> written;
  int stale = 0;

 private:
  void Work(db::Connection& c, WorkerId worker) {
    const QueueLeases leases = Must(BeatQueue(c, worker, "x", absl::Milliseconds(30)));
    const auto shards = QueueFixture::Numbers(leases);
    const DuePage page = Must(LoadDue(c, shards, {}, QueueFixture::now, 20));
    // Longer than the lease, sometimes.
    std::this_thread::sleep_for(std::chrono::milliseconds(page.messages.size() * 3));
    for (const DueMessage& message : page.messages) {
      const AttemptRecord record = QueueFixture::Outcome(
          message.id, QueueFixture::EpochOf(leases, message.id), RecipientState::kDelivered);
      const AttemptRecord* const group[] = {&record};
      const RecordResult result = Must(RecordGroup(c, group, worker, {})).at(0);
      if (result.code == RecordCode::kWritten) ++written[ToInt(message.id)];
      if (result.code == RecordCode::kStale) ++stale;
    }
  }
  QueueFixture* const fixture_;
  int64_t next_id_;
  std::atomic<bool>* const stop_;
};

TEST_CASE_METHOD(QueueFixture, "Of workers that race and die each message is ended by one",
                 "[store][queue][integration]") {
  constexpr int kCount = 200;
  std::vector<NewQueueMessage> messages;
  for (int i = 0; i < kCount; ++i) {
    messages.push_back(Message("race-" + std::to_string(i)));
    Enqueue(messages.back());
  }
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<Racer>> racers;
  std::vector<std::thread> threads;
  for (int i = 1; i <= 3; ++i) {
    racers.push_back(std::make_unique<Racer>(this, i, &stop));
    threads.emplace_back([racer = racers.back().get()] { racer->Run(); });
  }
  for (int i = 0; i < 3000 && Count("queue_messages") != "0"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(Count("queue_messages") == "0");
  for (const NewQueueMessage& message : messages) {
    int written = 0;
    for (const auto& racer : racers) written += racer->written[ToInt(message.id)];
    CHECK(written == 1);
  }
  CHECK(racers[0]->stale + racers[1]->stale + racers[2]->stale > 0);
}

}  // namespace
}  // namespace godwit::store

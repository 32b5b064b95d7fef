// Taking messages, writing outcomes down, and what an operator does.

#include <thread>

#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/store/blob.h"
#include "libs/store/maintenance.h"
#include "libs/store/queue_group.h"
#include "libs/store/queue_test_fixture.h"

namespace godwit::store {
namespace {

TEST_CASE_METHOD(QueueFixture, "A key leads to one message, also when that is delivered",
                 "[store][queue][integration]") {
  const NewQueueMessage message = Message("key-one!");
  const EnqueueResult first = Enqueue(message, kAnn);
  CHECK(first.code == EnqueueCode::kTaken);
  CHECK(first.id == message.id);
  NewQueueMessage again = Message("key-one!");
  EnqueueResult second = Enqueue(again, kAnn);
  CHECK(second.code == EnqueueCode::kDuplicate);
  CHECK(second.id == message.id);
  CHECK(Count("queue_messages") == "1");

  auto claimed = Message("key-two!");
  claimed.claim = true;
  Enqueue(claimed, kAnn);
  CHECK(Record(Outcome(claimed.id, 0, RecipientState::kDelivered), kAnn).pending == 0);
  CHECK(Count("queue_messages") == "1");
  CHECK(Count("queue_chunks") == "2");
  CHECK(Count("queue_recipients") == "1");
  // A caller whose answer was lost, after the delivery.
  second = Enqueue(Message("key-two!"), kAnn);
  CHECK(second.code == EnqueueCode::kDuplicate);
  CHECK(second.id == claimed.id);

  // Keys are forgotten when their time is over and their message is gone.
  CHECK(Must(SweepQueue(*connection, now + absl::Hours(5))) == 0);
  CHECK(Must(SweepQueue(*connection, now + absl::Hours(7))) == 1);
  CHECK(Count("queue_keys") == "1");
}

TEST_CASE_METHOD(QueueFixture, "Two of one key at the same moment make one message",
                 "[store][queue][integration]") {
  // Two groups that share their keys in opposite order, at the same time, many times.
  std::vector<std::thread> threads;
  std::vector<std::vector<EnqueueResult>> results(4);
  std::vector<std::vector<NewQueueMessage>> messages(4);
  for (size_t t = 0; t < results.size(); ++t) {
    for (int i = 0; i < 50; ++i) {
      messages[t].push_back(Message("key-" + std::to_string(t % 2 == 0 ? i : 49 - i)));
    }
    threads.emplace_back([&, t] {
      auto own = database.Connect("godwit_delivery_queue");
      for (size_t at = 0; at < 50; at += 10) {
        std::vector<const NewQueueMessage*> group;
        for (size_t i = at; i < at + 10; ++i) group.push_back(&messages[t][i]);
        for (const auto& result : Must(EnqueueGroup(*own, group, {}))) {
          results[t].push_back(result);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(Count("queue_messages") == "50");
  int taken = 0;
  for (size_t t = 0; t < results.size(); ++t) {
    for (size_t i = 0; i < 50; ++i) taken += results[t][i].code == EnqueueCode::kTaken;
  }
  CHECK(taken == 50);
}

TEST_CASE_METHOD(QueueFixture, "A large body is staged and read again by chunks",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("staged-1");
  std::string body(kChunkSize + 100, 'x');
  message.staged = Must(StageQueueBody(*connection, message.id, now + absl::Hours(1)));
  const auto chunk = std::string_view(body).substr(0, kChunkSize);
  MustOk(StageQueueChunk(*connection, message.id, &*message.staged, chunk, now));
  MustOk(StageQueueChunk(*connection, message.id, &*message.staged, body.substr(kChunkSize), now));
  CHECK(StageQueueChunk(*connection, message.id, &*message.staged, "y", now).code() ==
        absl::StatusCode::kInvalidArgument);
  message.body.clear();

  SECTION("enqueued") {
    CHECK(Enqueue(message).code == EnqueueCode::kTaken);
    CHECK(Must(ReadQueueChunk(*connection, message.id, 0)) == message.header);
    CHECK(Must(ReadQueueChunk(*connection, message.id, 1)) == chunk);
    CHECK(Must(ReadQueueChunk(*connection, message.id, 2)).size() == 100);
    CHECK(ReadQueueChunk(*connection, message.id, 3).status().code() ==
          absl::StatusCode::kNotFound);
    CHECK(Must(SweepQueue(*connection, now + absl::Hours(2))) == 0);
    CHECK(Must(ListQueued(*connection, {}, {}, 10)).at(0).size ==
          std::ssize(message.header) + std::ssize(body));
  }
  SECTION("abandoned") {
    CHECK(Must(SweepQueue(*connection, now)) == 0);
    CHECK(Must(SweepQueue(*connection, now + absl::Hours(2))) == 1);
    CHECK(Count("queue_chunks") == "0");
    // Its last piece and its enqueueing come too late; the key is free again.
    CHECK(StageQueueChunk(*connection, message.id, &*message.staged, "", now).code() ==
          absl::StatusCode::kInvalidArgument);
    CHECK(Enqueue(message).code == EnqueueCode::kExpired);
    CHECK(Enqueue(Message("staged-1")).code == EnqueueCode::kTaken);
  }
  SECTION("a duplicate's staged body is given up") {
    Enqueue(Message("staged-1"));
    CHECK(Enqueue(message).code == EnqueueCode::kDuplicate);
    MustOk(DropStagedQueueBody(*connection, message.id));
    CHECK(Count("queue_chunks") == "2");
  }
}

TEST_CASE_METHOD(QueueFixture, "What is no message is refused", "[store][queue][integration]") {
  NewQueueMessage message = Message("no-recipients", 0);
  const NewQueueMessage* const group[] = {&message};
  CHECK(EnqueueGroup(*connection, group, {}).status().code() == absl::StatusCode::kInvalidArgument);
  message = Message("large-header");
  message.header = std::string(kMaxHeaderSize + 1, 'x');
  CHECK(EnqueueGroup(*connection, group, {}).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE_METHOD(QueueFixture, "Recipients end one by one, and the message with the last",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("three", 3);
  Enqueue(message);
  const QueueLeases leases = Beat(kAnn);
  const int64_t epoch = EpochOf(leases, message.id);
  REQUIRE(Load(leases).messages.size() == 1);

  CHECK(Record(Outcome(message.id, epoch, RecipientState::kDelivered, 1), kAnn).pending == 2);
  CHECK(Record(Outcome(message.id, epoch, RecipientState::kPending, 2), kAnn).pending == 2);
  QueueMessageStatus status = Must(ShowQueued(*connection, message.id));
  CHECK(status.recipients.at(0).state == "delivered");
  CHECK(status.recipients.at(1).attempts == 1);
  CHECK(status.recipients.at(1).last_reply == "reply");
  CHECK(status.recipients.at(1).last_site == "mx.d.example");
  // The third is due, the second later.
  CHECK(Load(leases).messages.at(0).recipients.size() == 1);
  CHECK(Record(Outcome(message.id, epoch, RecipientState::kFailed, 3), kAnn).pending == 1);
  CHECK(Load(leases).messages.empty());
  CHECK(Load(leases, now + absl::Minutes(5)).messages.at(0).recipients.at(0).attempts == 1);
  CHECK(Record(Outcome(message.id, epoch, RecipientState::kFailed, 2), kAnn).pending == 0);
  CHECK(Record(Outcome(message.id, epoch, RecipientState::kFailed, 2), kAnn).code ==
        RecordCode::kGone);
}

TEST_CASE_METHOD(QueueFixture, "Two outcomes of one message in one group are both counted",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("pair", 2);
  Enqueue(message);
  const int64_t epoch = EpochOf(Beat(kAnn), message.id);
  const AttemptRecord one = Outcome(message.id, epoch, RecipientState::kDelivered, 1);
  const AttemptRecord two = Outcome(message.id, epoch, RecipientState::kDelivered, 2);
  const AttemptRecord* const group[] = {&one, &two};
  const auto results = Must(RecordGroup(*connection, group, kAnn, {}));
  CHECK(results.at(0).pending == 1);
  CHECK(results.at(1).pending == 0);
  CHECK(Count("queue_messages") == "0");
}

TEST_CASE_METHOD(QueueFixture, "A notice is enqueued with the outcome, once, or not at all",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("bounced");
  Enqueue(message);
  const int64_t epoch = EpochOf(Beat(kAnn), message.id);
  AttemptRecord record = Outcome(message.id, epoch, RecipientState::kFailed);
  record.notices.push_back(Message("notice-of-bounced"));
  record.notices.back().envelope.reverse_path = "";
  record.notices.back().envelope.origin = QueueOrigin::kDsn;

  // Stale: neither the outcome nor the notice.
  CHECK(Record(record, kBen).code == RecordCode::kStale);
  CHECK(Count("queue_messages") == "1");
  CHECK(Record(record, kAnn).code == RecordCode::kWritten);
  CHECK(database.Ask("SELECT string_agg(origin, ',') FROM queue_messages") == "dsn");
  // The worker did not hear of the commit and writes again.
  CHECK(Record(record, kAnn).code == RecordCode::kGone);
  CHECK(Count("queue_messages") == "1");

  SECTION("a notice whose key is another message's is told of") {
    NewQueueMessage other = Message("other");
    Enqueue(other);
    AttemptRecord record2 =
        Outcome(other.id, EpochOf(Beat(kAnn), other.id), RecipientState::kFailed);
    record2.notices.push_back(Message("notice-of-bounced"));
    const RecordResult result = Record(record2, kAnn);
    CHECK(result.code == RecordCode::kWritten);
    CHECK(result.notices_lost == 1);
  }
  SECTION("a notice that can not be taken undoes the outcome") {
    NewQueueMessage other = Message("other");
    Enqueue(other);
    AttemptRecord poison = Outcome(other.id, epoch, RecipientState::kFailed);
    poison.epoch = EpochOf(Beat(kAnn), other.id);
    poison.notices.push_back(Message("no recipients", 0));
    const AttemptRecord* const group[] = {&poison};
    CHECK_FALSE(RecordGroup(*connection, group, kAnn, {}).ok());
    CHECK(Must(ShowQueued(*connection, other.id)).recipients_pending == 1);
  }
}

TEST_CASE_METHOD(QueueFixture, "What a server says is stored whatever it is",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("odd-reply");
  Enqueue(message);
  AttemptRecord record =
      Outcome(message.id, EpochOf(Beat(kAnn), message.id), RecipientState::kPending);
  record.recipients[0].reply = std::string("a\0b\xff\r\n", 6) + std::string(5000, 'x');
  CHECK(Record(record, kAnn).code == RecordCode::kWritten);
  const auto status = Must(ShowQueued(*connection, message.id));
  CHECK(status.recipients.at(0).last_reply.substr(0, 7) == "a?b???x");
  CHECK(status.recipients.at(0).last_reply.size() == kMaxReply);
}

TEST_CASE_METHOD(QueueFixture, "A message of the future waits", "[store][queue][integration]") {
  NewQueueMessage message = Message("future");
  message.envelope.hold_until = now + absl::Hours(3);
  message.claim = true;
  Enqueue(message, kAnn);
  const QueueLeases leases = Beat(kAnn);
  CHECK(Load(leases, now + absl::Hours(2)).messages.empty());
  CHECK(Load(leases, now + absl::Hours(3)).messages.size() == 1);
  CHECK(Must(RetryQueued(*connection, {.ids = {message.id}}, now)) == 1);
  CHECK(Load(leases, now + absl::Hours(2)).messages.empty());
  CHECK(Must(ReleaseQueued(*connection, {.ids = {message.id}}, now)) == 1);
  CHECK(Load(leases).messages.size() == 1);
}

TEST_CASE_METHOD(QueueFixture, "An operator holds, releases, retries, gives up and drops",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("operated", 2);
  message.recipients[1].domain = "e.example";
  Enqueue(message);
  const QueueLeases leases = Beat(kAnn);
  const int64_t epoch = EpochOf(leases, message.id);
  const QueueSelection whole{.ids = {message.id}};
  CHECK(RetryQueued(*connection, {}, now).status().code() == absl::StatusCode::kInvalidArgument);

  SECTION("hold and release") {
    CHECK(Must(HoldQueued(*connection, whole, "review")) == 1);
    CHECK(Load(leases).messages.empty());
    CHECK(Must(StillDue(*connection, message.id)).empty());
    const auto held = Must(ListQueued(*connection, {.only_held = true}, {}, 10));
    CHECK(held.at(0).hold_reason == "review");
    CHECK(held.at(0).next_due == absl::InfiniteFuture());
    // An attempt that was under way defers: it stays held.
    Record(Outcome(message.id, epoch, RecipientState::kPending), kAnn);
    CHECK(Load(leases, now + absl::Hours(1)).messages.empty());
    CHECK(Must(ReleaseQueued(*connection, whole, now)) == 1);
    CHECK(Load(leases).messages.at(0).recipients.size() == 2);
  }
  SECTION("one domain") {
    CHECK(Must(HoldQueued(*connection, {.recipient_domain = "e.example"}, "")) == 1);
    CHECK(Load(leases).messages.at(0).recipients.size() == 1);
    CHECK(Must(StillDue(*connection, message.id)) == std::vector<int>{1});
    CHECK(Must(DropQueued(*connection, {.recipient = "R1@D"})) == 1);
    CHECK(Load(leases).messages.empty());
    CHECK(Must(ReleaseQueued(*connection, {.recipient_domain = "e.example"}, now)) == 1);
    CHECK(Must(DropQueued(*connection, {.recipient_domain = "e.example"})) == 1);
    CHECK(Count("queue_messages") == "0");
    CHECK(Count("queue_chunks") == "0");
  }
  SECTION("retry") {
    Record(Outcome(message.id, epoch, RecipientState::kPending), kAnn);
    Record(Outcome(message.id, epoch, RecipientState::kPending, 2), kAnn);
    CHECK(Load(leases).messages.empty());
    CHECK(Must(RetryQueued(*connection, {.sender = "ALICE"}, now)) == 1);
    CHECK(Load(leases).messages.at(0).recipients.size() == 2);
    CHECK(Must(RetryQueued(*connection, {.sender = "bob"}, now)) == 0);
  }
  SECTION("give up") {
    CHECK(Must(FailQueued(*connection, whole, "not wanted", now)) == 1);
    CHECK(Load(leases).messages.at(0).give_up == "not wanted");
    CHECK(Must(StillDue(*connection, message.id)).empty());
    CHECK_FALSE(FailQueued(*connection, {.recipient = "x"}, "", now).ok());
  }
  // Workers look at what has become due: what an operator made due at a time that was over waited
  // for their look at everything, which is every five minutes.
  SECTION("what was due long ago is due now, not then") {
    const absl::Time later = now + absl::Hours(2);
    const DueCursor behind{later - absl::Seconds(1), QueueId::kNone};
    CHECK(Must(HoldQueued(*connection, whole, "review")) == 1);
    CHECK(Must(ReleaseQueued(*connection, whole, later)) == 1);
    CHECK(Load(leases, later, 10, behind).messages.at(0).recipients.size() == 2);
    const absl::Time last = later + absl::Hours(1);
    CHECK(Must(FailQueued(*connection, whole, "", last)) == 1);
    CHECK(Load(leases, last, 10, {last - absl::Seconds(1), QueueId::kNone}).messages.size() == 1);
  }
  // Its next attempt was hours away, and only then the sender was told.
  SECTION("give up during an attempt") {
    CHECK(Must(FailQueued(*connection, whole, "not wanted", now)) == 1);
    AttemptRecord under_way = Outcome(message.id, epoch, RecipientState::kPending);
    under_way.recipients[0].next_attempt = now + absl::Hours(4);
    CHECK(Record(under_way, kAnn).pending == 2);
    CHECK(Load(leases).messages.at(0).recipients.size() == 2);
  }
  SECTION("who was not asked for has made no attempt") {
    AttemptRecord parts = Outcome(message.id, epoch, RecipientState::kPending);
    parts.recipients[0].counted = false;
    parts.recipients[0].next_attempt = now;
    CHECK(Record(parts, kAnn).pending == 2);
    const auto status = Must(ShowQueued(*connection, message.id));
    CHECK(status.recipients.at(0).attempts == 0);
    CHECK(status.recipients.at(0).state == "pending");
    CHECK(status.recipients.at(0).last_reply == "reply");
    CHECK(Load(leases).messages.at(0).recipients.size() == 2);
  }
  SECTION("drop") {
    CHECK(Must(DropQueued(*connection, whole)) == 1);
    CHECK(Count("queue_recipients") == "0");
    CHECK(Record(Outcome(message.id, epoch, RecipientState::kDelivered), kAnn).code ==
          RecordCode::kGone);
  }
}

TEST_CASE_METHOD(QueueFixture, "The list goes by pages, oldest first",
                 "[store][queue][integration]") {
  for (int i = 0; i < 5; ++i) {
    NewQueueMessage message = Message("page-" + std::to_string(i));
    message.envelope.enqueued_at = now - absl::Minutes(i / 2);
    Enqueue(message);
  }
  QueuePosition at;
  int seen = 0;
  absl::Time last = absl::InfinitePast();
  for (;;) {
    const auto page = Must(ListQueued(*connection, {}, at, 2));
    if (page.empty()) break;
    for (const auto& message : page) {
      CHECK(message.envelope.enqueued_at >= last);
      last = message.envelope.enqueued_at;
      ++seen;
    }
    at = {page.back().envelope.enqueued_at, page.back().id};
  }
  CHECK(seen == 5);
  CHECK(ShowQueued(*connection, QueueId{1}).status().code() == absl::StatusCode::kNotFound);
}

// Every replica of the version before died of it.
TEST_CASE_METHOD(QueueFixture, "A row of a newer version's origin can be read",
                 "[store][queue][integration]") {
  const NewQueueMessage message = Message("newer-origin");
  Enqueue(message);
  MustOk(
      database.Connect()
          ->ExecuteScript("ALTER TABLE queue_messages DROP CONSTRAINT queue_messages_origin_check;"
                          "UPDATE queue_messages SET origin = 'carrier-pigeon'")
          .status());
  const auto page = Must(ListQueued(*connection, {}, {}, 10));
  REQUIRE(page.size() == 1);
  CHECK(page[0].envelope.origin == QueueOrigin::kForward);
}

TEST_CASE_METHOD(QueueFixture, "After a restore the queue is held for review",
                 "[store][queue][integration]") {
  NewQueueMessage message = Message("restored");
  message.claim = true;
  Enqueue(message, kAnn);
  Beat(kAnn);
  auto owner = database.Connect();
  CHECK(Must(MarkRestored(*owner)).held_messages == 1);
  const QueueLeases leases = Beat(kAnn);
  CHECK(leases.shards.size() == 256);
  CHECK(leases.shards.at(0).epoch > 1000000);
  CHECK(Load(leases, now + absl::Hours(1)).messages.empty());
  CHECK(Record(Outcome(message.id, 0, RecipientState::kDelivered), kAnn).code ==
        RecordCode::kStale);
  CHECK(Must(ReleaseQueued(*connection, {.only_held = true}, now)) == 1);
  CHECK(Load(leases).messages.size() == 1);
}

TEST_CASE_METHOD(QueueFixture, "The check finds what is wrong", "[store][queue][integration]") {
  struct Row {
    const char* sql;
    const char* check;
  };
  const Row row = GENERATE(values<Row>({
      {"DELETE FROM queue_chunks WHERE seq = 1", "queue-content"},
      {"DELETE FROM queue_messages", "queue-stray-chunks"},
      {"DELETE FROM queue_recipients", "queue-recipients"},
      {"UPDATE queue_recipients SET state = 'failed'", "queue-recipients"},
      {"UPDATE queue_messages SET next_due = 'infinity'", "queue-schedule"},
      {"UPDATE queue_messages SET shard = (shard + 1) % 256", "queue-shards"},
      {"DELETE FROM queue_keys", "queue-keys"},
  }));
  CAPTURE(row.sql);
  Enqueue(Message("broken"));
  auto owner = database.Connect();
  MustOk(owner->Begin());
  MustOk(owner->ExecuteScript(row.sql).status());
  bool found = false;
  for (const QueueFinding& finding : Must(CheckQueue(*owner))) found |= finding.check == row.check;
  CHECK(found);
  owner->Rollback();
}

// --- Groups
// ---------------------------------------------------------------------------------------

base::Task<void> EnqueueOne(QueueGroup<NewQueueMessage, EnqueueResult>* group,
                            NewQueueMessage message, absl::Status* out, int* left,
                            base::RunLoop* loop) {
  auto result = co_await group->Run(&message, message.body.size());
  *out = result.status();
  if (--*left == 0) loop->Stop();
}

TEST_CASE_METHOD(QueueFixture, "A poisonous message of a group fails alone",
                 "[store][queue][integration]") {
  db::Pool pool(database.PoolOptions(2, "godwit_delivery_queue"));
  int groups = 0;
  QueueGroup<NewQueueMessage, EnqueueResult> enqueuer(&pool, {.max_groups = 1},
                                                      [&](db::Connection& c, auto items) {
                                                        ++groups;
                                                        return EnqueueGroup(c, items, {});
                                                      });
  base::RunLoop loop;
  constexpr int kCount = 40;
  std::vector<absl::Status> answers(kCount);
  int left = kCount;
  for (int i = 0; i < kCount; ++i) {
    NewQueueMessage message = Message("group-" + std::to_string(i));
    if (i == 17) message.envelope.reverse_path = "bad\xff";
    base::SpawnOn(&loop, EnqueueOne(&enqueuer, std::move(message), &answers[i], &left, &loop));
  }
  loop.Run();
  for (int i = 0; i < kCount; ++i) CHECK(answers[i].ok() == (i != 17));
  CHECK(Count("queue_messages") == "39");
  CHECK(groups < 60);
}

}  // namespace
}  // namespace godwit::store

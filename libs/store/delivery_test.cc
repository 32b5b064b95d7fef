#include "libs/store/delivery.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "libs/store/deliverer.h"
#include "libs/store/entries.h"
#include "libs/store/maintenance.h"
#include "libs/store/store_fixture.h"
#include "libs/store/watch.h"

namespace godwit::store {
namespace {

std::vector<const Delivery*> Pointers(const std::vector<Delivery>& deliveries) {
  std::vector<const Delivery*> pointers;
  for (const Delivery& delivery : deliveries) pointers.push_back(&delivery);
  return pointers;
}

TEST_CASE_METHOD(StoreFixture, "A delivery is an entry, an email and its octets",
                 "[store][integration]") {
  Delivery delivery = Message(alice, "Grüße");
  delivery.targets[0].header_prefix = "Return-Path: <bob@c.example>\r\n";
  delivery.targets[0].flags = kFlagged;
  delivery.targets[0].keywords = {"$Label1", "Work", "work"};
  delivery.sent = now - absl::Hours(1);
  delivery.preview = "Hello.";
  const Delivered delivered = DeliverOne(delivery);
  CHECK(delivered.uid == 1);
  CHECK(delivered.change.modseq == 2);
  CHECK(delivered.uidvalidity == absl::ToUnixSeconds(now));

  const Mailbox inbox = Find("inbox");
  CHECK(inbox.id == delivered.mailbox);
  CHECK((inbox.total == 1 && inbox.unseen == 1 && inbox.uidnext == 2));
  CHECK(inbox.highest_modseq == 2);

  auto fetched = Must(
      FetchEntries(*connection, alice, inbox.id, {kAllUids}, {.summary = true, .search = true}));
  REQUIRE(fetched.entries.size() == 1);
  const Entry& entry = fetched.entries[0];
  CHECK((entry.uid == 1 && entry.email == delivered.email && entry.thread == delivered.thread));
  CHECK(entry.flags.mask == kFlagged);
  CHECK(entry.flags.keywords.size() == 2);
  CHECK(entry.received == now);
  CHECK(entry.sent == now - absl::Hours(1));
  CHECK(entry.subject == "Grüße");
  CHECK(entry.preview == "Hello.");
  CHECK(entry.summary == "summary");
  CHECK(entry.prefix_size == 30);
  const std::string whole = delivery.targets[0].header_prefix + delivery.header + delivery.body;
  CHECK(entry.size == static_cast<int64_t>(whole.size()));
  CHECK(Must(ReadBlob(*connection, alice, entry.blob, 0, 1000)) == whole);
  CHECK(Must(ReadBlob(*connection, alice, entry.blob, 7, 9)) == whole.substr(7, 9));
  CHECK(Must(ReadBlob(*connection, alice, entry.blob, 10'000, 9)).empty());
  const BlobId ids[] = {entry.blob.blob, BlobId{12345}};
  const auto headers = Must(ReadHeaders(*connection, alice, ids));
  CHECK(headers[0] == delivery.targets[0].header_prefix + delivery.header);
  CHECK(headers[1].empty());
}

TEST_CASE_METHOD(StoreFixture, "A group is one transaction, and each of it gets its own answer",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  const AccountId carol = MakeAccount("carol@b.example");
  MustOk(SetAccountDisabled(*connection, carol, true));
  std::vector<Delivery> group;
  group.push_back(Message(alice, "one"));
  group.push_back(Message(bob, "two"));
  group[1].targets.push_back({.account = alice, .role = Role::kJunk});
  group.push_back(Message(carol, "to a disabled account"));
  group[2].targets.push_back({.account = alice});
  group.push_back(Message(AccountId{1}, "to nobody"));
  group.push_back(Message(alice, "three"));
  group.push_back(Message(alice, "twice"));
  group[5].targets.push_back({.account = alice});
  auto results = Must(DeliverGroup(*connection, Pointers(group)));
  REQUIRE(results.size() == 6);
  CHECK(Must(results[0])[0].uid == 1);
  CHECK(Must(results[1])[0].account == bob);
  CHECK(Must(results[1])[1].mailbox == Find("Junk").id);
  CHECK(results[2].status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(results[3].status().code() == absl::StatusCode::kNotFound);
  CHECK(Must(results[4])[0].uid == 2);
  CHECK(results[5].status().code() == absl::StatusCode::kInvalidArgument);
  // Nothing of the message whose other recipient is disabled.
  CHECK(Find("INBOX").total == 2);
  CHECK(Must(results[0])[0].change.modseq == Must(results[4])[0].change.modseq);
}

TEST_CASE_METHOD(StoreFixture, "Quota refuses what it is asked to, counting the group",
                 "[store][integration]") {
  MustOk(SetQuota(*connection, alice, 3000));
  std::vector<Delivery> group(3, Message(alice, "big", std::string(1400, 'x')));
  group.push_back(Message(alice, "in flight", std::string(2000, 'y')));
  group[3].enforce_quota = false;
  auto results = Must(DeliverGroup(*connection, Pointers(group)));
  CHECK(results[0].ok());
  CHECK(results[1].ok());
  CHECK(results[2].status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(results[3].ok());
  CHECK(Must(GetQuota(*connection, alice)).emails == 3);
}

TEST_CASE_METHOD(StoreFixture, "Bodies are read in the chunks needed", "[store][integration]") {
  std::string body;
  while (body.size() < kMaxInlineBody) body += "line " + std::to_string(body.size()) + "\r\n";
  body.resize(kMaxInlineBody - 3);
  DeliverOne(Message(alice, "large", body));
  const auto entry =
      Must(FetchEntries(*connection, alice, Find("INBOX").id, {kAllUids}, {.summary = true}))
          .entries.at(0);
  const std::string whole = "Subject: large\r\n\r\n" + body;
  std::string read;
  while (read.size() < whole.size()) {
    read += Must(
        ReadBlob(*connection, alice, entry.blob, static_cast<int64_t>(read.size()), kMaxBlobRead));
  }
  CHECK((read == whole));
  const size_t at = 18 + kChunkSize - 5;
  CHECK(Must(ReadBlob(*connection, alice, entry.blob, static_cast<int64_t>(at), 10)) ==
        whole.substr(at, 10));
  MustOk(connection->ExecuteScript("DELETE FROM blob_chunks WHERE seq = 2").status());
  CHECK(ReadBlob(*connection, alice, entry.blob, 0, kMaxBlobRead).status().code() ==
        absl::StatusCode::kDataLoss);
  // `store check` sees it, too; then it is mended for the fixture's own check.
  const auto findings = Must(CheckStore(*connection));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].check == "blobs");
  MustOk(ExpungeEntries(*connection, alice, Find("INBOX").id, {kAllUids}, now, true).status());
}

TEST_CASE_METHOD(StoreFixture, "A staged body is adopted by one account and copied to others",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  auto* random = base::RandomSource::System();
  StagedBlob staged = Must(StageBlob(*connection, alice, random, now + absl::Hours(1)));
  const std::string chunk(kChunkSize, 'a');
  MustOk(StageChunk(*connection, &staged, chunk));
  MustOk(StageChunk(*connection, &staged, "the end\r\n"));
  CHECK_FALSE(StageChunk(*connection, &staged, "more").ok());

  Delivery delivery = Message(alice, "staged", "");
  delivery.targets.push_back({.account = bob});
  delivery.staged = staged;
  const auto delivered = Must(Deliver(*connection, delivery));
  for (const AccountId account : {alice, bob}) {
    const MailboxId inbox = Must(FindMailbox(*connection, account, "INBOX")).id;
    const auto entry =
        Must(FetchEntries(*connection, account, inbox, {kAllUids}, {.summary = true}))
            .entries.at(0);
    CHECK(entry.size == static_cast<int64_t>(19 + kChunkSize + 9));
    CHECK(Must(ReadBlob(*connection, account, entry.blob, entry.size - 9, 100)) == "the end\r\n");
  }
  // It can not be delivered again, and the sweep leaves it alone.
  CHECK(Deliver(*connection, delivery).status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(Must(SweepBlobs(*connection, now + absl::Hours(2), now)) == 0);

  StagedBlob forgotten = Must(StageBlob(*connection, alice, random, now + absl::Hours(1)));
  MustOk(StageChunk(*connection, &forgotten, "x"));
  StagedBlob dropped = Must(StageBlob(*connection, bob, random, now + absl::Hours(1)));
  MustOk(StageChunk(*connection, &dropped, "x"));
  MustOk(DropStagedBlob(*connection, dropped));
  CHECK(Must(SweepBlobs(*connection, now, now)) == 1);
  CHECK(Must(SweepBlobs(*connection, now + absl::Hours(2), now)) == 1);
  CHECK(database.Ask("SELECT count(*) FROM blob_chunks") == "6");
}

// A chunk that came after the sweep had taken the row belonged to nobody, for ever.
TEST_CASE_METHOD(StoreFixture, "A chunk for a body that has expired is refused",
                 "[store][integration]") {
  auto* random = base::RandomSource::System();
  StagedBlob staged = Must(StageBlob(*connection, alice, random, now + absl::Hours(1)));
  const std::string chunk(kChunkSize, 'a');
  // While it arrives it is kept.
  MustOk(StageChunk(*connection, &staged, chunk, now + absl::Hours(3)));
  CHECK(Must(SweepBlobs(*connection, now + absl::Hours(2), now)) == 0);
  MustOk(StageChunk(*connection, &staged, chunk));

  auto sweeper = database.Connect();
  MustOk(sweeper->Begin());
  CHECK(Must(SweepBlobs(*sweeper, now + absl::Hours(4), now)) == 1);
  absl::Status late;
  std::thread arriving([&] {
    auto own = database.Connect();
    StagedBlob copy = staged;
    late = StageChunk(*own, &copy, chunk);
  });
  while (database.Ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                      "AND datname = current_database()") != "1") {
    std::this_thread::yield();
  }
  MustOk(sweeper->Commit());
  arriving.join();
  CHECK(late.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(database.Ask("SELECT count(*) FROM blob_chunks") == "0");
}

TEST_CASE_METHOD(StoreFixture, "The sweep leaves alone what an email has, whatever the lists say",
                 "[store][integration]") {
  DeliverOne(Message(alice, "alive"));
  MustOk(connection
             ->ExecuteScript("INSERT INTO dead_blobs SELECT account_id, blob_id, thread_id, "
                             "'-infinity' FROM emails")
             .status());
  MustOk(connection
             ->ExecuteScript("INSERT INTO staged_blobs SELECT account_id, blob_id, '-infinity' "
                             "FROM emails")
             .status());
  Must(SweepBlobs(*connection, now, now));
  CHECK(database.Ask("SELECT count(*) FROM blob_chunks") == "2");
}

TEST_CASE_METHOD(StoreFixture, "What is to be swept is swept in as many calls as it takes",
                 "[store][integration]") {
  for (int i = 0; i < 5; ++i) {
    StagedBlob staged = Must(StageBlob(*connection, alice, base::RandomSource::System(), now));
    MustOk(StageChunk(*connection, &staged, "x"));
  }
  const absl::Time later = now + absl::Hours(1);
  CHECK(Must(SweepBlobs(*connection, later, now, 2)) == 2);
  CHECK(Must(SweepBlobs(*connection, later, now, 2)) == 2);
  CHECK(Must(SweepBlobs(*connection, later, now, 2)) == 1);
}

TEST_CASE_METHOD(StoreFixture, "A body staged for an account that is no recipient is swept",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  StagedBlob staged =
      Must(StageBlob(*connection, alice, base::RandomSource::System(), now + absl::Hours(1)));
  MustOk(StageChunk(*connection, &staged, "body"));
  Delivery delivery = Message(bob, "staged", "");
  delivery.staged = staged;
  DeliverOne(delivery);
  CHECK(Must(SweepBlobs(*connection, now, now)) == 1);
}

TEST_CASE_METHOD(StoreFixture, "Replies join the thread, within a group and over time",
                 "[store][integration]") {
  auto message = [&](std::string id, std::vector<std::string> references, std::string subject) {
    Delivery delivery = Message(alice, subject);
    delivery.message_id = std::move(id);
    delivery.references = std::move(references);
    return delivery;
  };
  const Delivered first = DeliverOne(message("1@x", {}, "plan"));
  std::vector<Delivery> group;
  group.push_back(message("2@x", {"1@x"}, "plan"));
  group.push_back(message("4@x", {"3@x"}, "other"));  // its parent comes later
  group.push_back(message("5@x", {"2@x"}, "plan"));   // knows its parent only, same group
  group.push_back(message("6@x", {"1@x"}, "changed subject"));
  auto results = Must(DeliverGroup(*connection, Pointers(group)));
  CHECK(Must(results[0])[0].thread == first.thread);
  CHECK(Must(results[2])[0].thread == first.thread);
  CHECK(Must(results[3])[0].thread != first.thread);
  CHECK(DeliverOne(message("3@x", {}, "other")).thread == Must(results[1])[0].thread);
  // What came in a group is found by what comes later.
  CHECK(DeliverOne(message("7@x", {"5@x"}, "plan")).thread == first.thread);
  // Another account has threads of its own.
  const AccountId bob = MakeAccount("bob@b.example");
  Delivery other = message("8@x", {"1@x"}, "plan");
  other.targets[0].account = bob;
  other.targets.push_back({.account = alice});
  const auto both = Must(Deliver(*connection, other));
  CHECK(both[1].thread == first.thread);
  CHECK(database.Ask("SELECT count(*) FROM threads") == "4");
}

TEST_CASE_METHOD(StoreFixture, "The two-step read: a delivery that waited sees what it waited for",
                 "[store][integration]") {
  // A single statement keeps the snapshot from before its lock wait. Tried: duplicate UIDs, and the
  // hint for a watcher that had registered meanwhile was lost.
  MustOk(RegisterGateway(*connection, GatewayId{7}, "imap-gateway", "gw:1"));
  auto blocker = database.Connect();
  MustOk(blocker->Begin());
  const Delivered first = Must(Deliver(*blocker, Message(alice, "first"))).at(0);
  CHECK(Must(WatchAccount(*blocker, alice, GatewayId{7})) == first.change.modseq);

  Delivered second;
  std::thread waiter([&] {
    auto own = database.Connect();
    second = Must(Deliver(*own, Message(alice, "second"))).at(0);
  });
  while (database.Ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                      "AND datname = current_database()") != "1") {
    std::this_thread::yield();
  }
  MustOk(blocker->Commit());
  waiter.join();
  CHECK(second.uid == first.uid + 1);
  CHECK(second.email != first.email);
  CHECK(second.change.modseq == first.change.modseq + 1);
  CHECK(second.change.watchers == std::vector<std::string>{"imap-gateway@gw:1"});
}

TEST_CASE_METHOD(StoreFixture, "Transactions on two accounts in opposite orders do not deadlock",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  constexpr int kRounds = 60;
  auto run = [&](AccountId first, AccountId second) {
    auto own = database.Connect();
    for (int i = 0; i < kRounds; ++i) {
      Delivery delivery = Message(first, "to both");
      delivery.targets.push_back({.account = second});
      Must(Deliver(*own, delivery));
    }
  };
  std::thread one([&] { run(alice, bob); });
  std::thread two([&] { run(bob, alice); });
  one.join();
  two.join();
  CHECK(Find("INBOX").total == 2 * kRounds);
  CHECK(database.Ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") ==
        "0");
}

// Whether two of them meet in the test above is chance; what each does is not.
TEST_CASE_METHOD(StoreFixture, "A delivery locks its accounts in the order of their ids",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  const AccountId low = std::min(alice, bob);
  const AccountId high = std::max(alice, bob);
  auto lock = [](db::Connection& c, AccountId account) {
    return c
        .ExecuteScript("SELECT FROM accounts WHERE account_id = " + std::to_string(ToInt(account)) +
                       " FOR NO KEY UPDATE NOWAIT")
        .status();
  };
  auto holder = database.Connect();
  MustOk(holder->Begin());
  MustOk(lock(*holder, low));
  std::thread delivering([&] {
    auto own = database.Connect();
    Delivery delivery = Message(high, "to both");
    delivery.targets.push_back({.account = low});
    Must(Deliver(*own, delivery));
  });
  while (database.Ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                      "AND datname = current_database()") != "1") {
    std::this_thread::yield();
  }
  // It waits for the first and has not got the second yet.
  CHECK(lock(*connection, high).ok());
  MustOk(holder->Commit());
  delivering.join();
}

// --- Deliverer -----------------------------------------------------------------------------------

base::Task<void> CountDelivered(Deliverer* deliverer, Delivery delivery, std::atomic<int>* count) {
  const auto result = co_await deliverer->Deliver(std::move(delivery));
  if (result.ok()) ++*count;
}

base::Task<void> DeliverInto(Deliverer* deliverer, Delivery delivery,
                             absl::StatusOr<DeliveryResult>* out, int* left, base::RunLoop* loop) {
  *out = co_await deliverer->Deliver(std::move(delivery));
  if (--*left == 0) loop->Stop();
}

// All at the same moment, from one thread.
std::vector<absl::StatusOr<DeliveryResult>> DeliverAll(
    Deliverer* deliverer, std::vector<Delivery> deliveries,
    const std::function<void()>& then = [] {}) {
  base::RunLoop loop;
  std::vector<absl::StatusOr<DeliveryResult>> results(deliveries.size());
  int left = static_cast<int>(deliveries.size());
  loop.Post([&] {
    for (size_t i = 0; i < deliveries.size(); ++i) {
      base::Spawn(DeliverInto(deliverer, std::move(deliveries[i]), &results[i], &left, &loop));
    }
    then();
  });
  loop.Run();
  return results;
}

TEST_CASE_METHOD(StoreFixture, "The deliverer groups what waits and loses nothing",
                 "[store][integration]") {
  db::Pool pool(database.PoolOptions(2, "godwit_smtp_ingress"));
  Deliverer deliverer(&pool, {.max_group = 10, .max_groups = 1});
  std::vector<Delivery> deliveries;
  for (int i = 0; i < 100; ++i) deliveries.push_back(Message(alice, std::to_string(i)));
  for (const auto& result : DeliverAll(&deliverer, std::move(deliveries))) {
    CHECK(result.ok());
  }
  CHECK(Find("INBOX").total == 100);
  const DelivererStats stats = deliverer.Stats();
  CHECK(stats.deliveries_total == 100);
  CHECK(stats.groups_total <= 20);
  CHECK(stats.failed_groups_total == 0);
}

TEST_CASE_METHOD(StoreFixture, "A second group begins when it is full", "[store][integration]") {
  db::PoolOptions options = database.PoolOptions(3, "godwit_smtp_ingress");
  options.connect.lock_timeout = absl::Seconds(60);  // nothing is put aside
  options.connect.statement_timeout = absl::Seconds(60);
  db::Pool pool(options);
  Deliverer deliverer(&pool, {.max_group = 3});
  auto blocker = database.Connect();
  const AccountId bob = MakeAccount("bob@b.example");
  MustOk(blocker->Begin());
  MustOk(blocker->ExecuteScript("LOCK TABLE emails IN ACCESS EXCLUSIVE MODE").status());
  base::RunLoop loop;
  std::thread thread([&] { loop.Run(); });
  std::atomic<int> delivered{0};
  const auto deliver = [&](int number) {
    // The first group keeps its account locked.
    const AccountId account = number == 0 ? alice : bob;
    base::SpawnOn(&loop,
                  CountDelivered(&deliverer, Message(account, std::to_string(number)), &delivered));
  };
  const auto groups = [&](int64_t count) {
    for (int i = 0; i < 500 && deliverer.Stats().groups_total < count; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    return deliverer.Stats().groups_total;
  };
  deliver(0);
  REQUIRE(groups(1) == 1);
  deliver(1);
  deliver(2);
  while (deliverer.Stats().waiting < 2) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(100));
  CHECK(deliverer.Stats().groups_total == 1);  // they gather
  deliver(3);
  REQUIRE(groups(2) == 2);
  CHECK(deliverer.Stats().waiting == 0);
  // The second runner is there still: what comes now waits for either.
  deliver(4);
  while (deliverer.Stats().waiting < 1) absl::SleepFor(absl::Milliseconds(1));
  blocker->Rollback();
  for (int i = 0; i < 1000 && delivered < 5; ++i) absl::SleepFor(absl::Milliseconds(10));
  CHECK(delivered == 5);
  CHECK(deliverer.Stats().groups_total == 3);
  loop.Stop();
  thread.join();
  CHECK(Find("INBOX").total == 1);
}

TEST_CASE_METHOD(StoreFixture, "A poisonous message fails alone", "[store][integration]") {
  db::Pool pool(database.PoolOptions(1, "godwit_smtp_ingress"));
  Deliverer deliverer(&pool);
  std::vector<Delivery> deliveries;
  for (int i = 0; i < 20; ++i) deliveries.push_back(Message(alice, std::to_string(i)));
  deliveries[13].preview = "not UTF-8: \xff";
  const auto results = DeliverAll(&deliverer, std::move(deliveries));
  for (size_t i = 0; i < results.size(); ++i) {
    CAPTURE(i);
    if (i == 13) {
      CHECK(results[i].status().code() == absl::StatusCode::kInvalidArgument);
    } else {
      CHECK(results[i].ok());
    }
  }
  CHECK(Find("INBOX").total == 19);
}

TEST_CASE_METHOD(StoreFixture, "The deliverer refuses when too much waits",
                 "[store][integration]") {
  db::Pool pool(database.PoolOptions(1));
  Deliverer deliverer(&pool, {.max_groups = 1, .max_waiting = 5});
  auto blocker = database.Connect();
  MustOk(blocker->Begin());
  MustOk(blocker->ExecuteScript("SELECT * FROM accounts FOR UPDATE").status());
  base::RunLoop loop;
  std::vector<absl::StatusOr<DeliveryResult>> results(50);
  int left = 50;
  loop.Post([&] {
    for (auto& result : results) {
      base::Spawn(DeliverInto(&deliverer, Message(alice, "x"), &result, &left, &loop));
    }
    blocker->Rollback();
  });
  loop.Run();
  int refused = 0;
  for (const auto& result : results) {
    if (result.status().code() == absl::StatusCode::kUnavailable) ++refused;
  }
  CHECK(refused > 0);
  CHECK(Find("INBOX").total == 50 - refused);
}

struct Locked {
  std::unique_ptr<db::Connection> blocker;  // holds the account of the others
  int waited_for = 6;                       // deliveries that have to come while it is held
  int left = 12;
  base::RunLoop loop;
};

base::Task<void> DeliverBeside(Locked* locked, Deliverer* deliverer, Delivery delivery,
                               bool waited_for, absl::StatusOr<DeliveryResult>* out) {
  *out = co_await deliverer->Deliver(std::move(delivery));
  if (waited_for && --locked->waited_for == 0) locked->blocker->Rollback();
  if (--locked->left == 0) locked->loop.Stop();
}

// Two runners that waited for one locked account stopped the deliveries of everybody: bob's mail
// failed after half a minute.
TEST_CASE_METHOD(StoreFixture, "A locked account delays its own mail and nobody else's",
                 "[store][integration]") {
  const AccountId bob = MakeAccount("bob@b.example");
  db::Pool pool(database.PoolOptions(3, "godwit_smtp_ingress"));
  Deliverer deliverer(&pool, {.max_group = 3});
  Locked locked;
  locked.blocker = database.Connect();
  MustOk(locked.blocker->Begin());
  const std::string id = std::to_string(ToInt(alice));
  MustOk(
      locked.blocker->ExecuteScript("UPDATE accounts SET disabled = false WHERE account_id = " + id)
          .status());
  std::vector<absl::StatusOr<DeliveryResult>> results(12);
  locked.loop.Post([&] {
    for (size_t i = 0; i < results.size(); ++i) {
      const bool bobs = i % 2 == 1;
      Delivery delivery = Message(bobs ? bob : alice, std::to_string(i));
      base::Spawn(DeliverBeside(&locked, &deliverer, std::move(delivery), bobs, &results[i]));
    }
  });
  locked.loop.Run();
  for (const auto& result : results) CHECK(result.ok());
  CHECK(Find("INBOX").total == 6);
  CHECK(deliverer.Stats().postponed_total >= 6);
}

TEST_CASE_METHOD(StoreFixture, "Mail for an account that stays locked is answered in the end",
                 "[store][integration]") {
  db::Pool pool(database.PoolOptions(1, "godwit_smtp_ingress"));
  auto blocker = database.Connect();
  MustOk(blocker->Begin());
  MustOk(blocker->ExecuteScript("UPDATE accounts SET disabled = false").status());
  Deliverer deliverer(&pool);
  const auto begin = std::chrono::steady_clock::now();
  const auto results = DeliverAll(&deliverer, {Message(alice, "x")});
  CHECK(results[0].status().code() == absl::StatusCode::kUnavailable);
  CHECK(std::chrono::steady_clock::now() - begin > std::chrono::seconds(5));
}

// What was refused counted: a large message over quota refused the small ones behind it.
TEST_CASE_METHOD(StoreFixture, "A message over quota refuses no other of its group",
                 "[store][integration]") {
  MustOk(SetQuota(*connection, alice, 10'000));
  db::Pool pool(database.PoolOptions(1, "godwit_smtp_ingress"));
  Deliverer deliverer(&pool, {.max_groups = 1});
  // The pool's only thread waits until all are there: one group.
  std::atomic<bool> go = false;
  MustOk(pool.Submit([&](db::Connection*, const absl::Status&) {
    while (!go) std::this_thread::yield();
    return absl::OkStatus();
  }));
  std::vector<Delivery> deliveries;
  deliveries.push_back(Message(alice, "large", std::string(20'000, 'x')));
  for (int i = 0; i < 5; ++i) deliveries.push_back(Message(alice, "small"));
  const auto results = DeliverAll(&deliverer, std::move(deliveries), [&] { go = true; });
  CHECK(results[0].status().code() == absl::StatusCode::kResourceExhausted);
  for (size_t i = 1; i < results.size(); ++i) CHECK(results[i].ok());
  CHECK(deliverer.Stats().groups_total == 1);
}

}  // namespace
}  // namespace godwit::store

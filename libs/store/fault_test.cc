// What a restart of PostgreSQL does to those who use the store.

#include <chrono>
#include <thread>

#include "libs/db/pool.h"
#include "libs/store/deliverer.h"
#include "libs/store/entries.h"
#include "libs/store/store_fixture.h"
#include "libs/store/watch.h"

namespace godwit::store {
namespace {

using testing::Durability;
using testing::ScratchDatabase;

absl::StatusOr<Modseq> AskModseq(db::Pool* pool, AccountId account) {
  return base::RunBlocking(
      pool->Run([account](db::Connection& c) { return GetModseq(c, account); }));
}

struct Durable {
  Durable() : database(Durability::kDurable) {
    auto c = database.Connect();
    MustOk(AddDomain(*c, "b.example", StoreFixture::now));
    alice =
        Must(AddAccount(*c, "alice@b.example", base::RandomSource::System(), StoreFixture::now));
  }
  ~Durable() {
    auto c = database.Connect();
    const auto findings = Must(CheckStore(*c));
    CHECK(findings.empty());
  }
  ScratchDatabase database;
  AccountId alice;
};

TEST_CASE_METHOD(Durable, "A restart is Unavailable while it lasts, and then it works again",
                 "[store][fault]") {
  db::PoolOptions options = database.PoolOptions(2);
  options.max_backoff = absl::Milliseconds(100);
  db::Pool pool(options);
  Must(AskModseq(&pool, alice));
  ScratchDatabase::StopCluster();
  CHECK(AskModseq(&pool, alice).status().code() == absl::StatusCode::kUnavailable);
  CHECK(AskModseq(&pool, alice).status().code() == absl::StatusCode::kUnavailable);
  ScratchDatabase::StartCluster();
  absl::StatusOr<Modseq> modseq;
  for (int i = 0; i < 200 && !(modseq = AskModseq(&pool, alice)).ok(); ++i) {
    CHECK(modseq.status().code() == absl::StatusCode::kUnavailable);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(modseq.ok());
  CHECK(pool.Stats().connect_failures_total >= 1);

  // A restart while everything is idle is not noticed by the next job at all.
  ScratchDatabase::StopCluster();
  ScratchDatabase::StartCluster();
  CHECK(AskModseq(&pool, alice).ok());
}

TEST_CASE_METHOD(Durable, "A crash empties the watchers, and the gateway learns it",
                 "[store][fault]") {
  {
    auto c = database.Connect();
    MustOk(RegisterGateway(*c, GatewayId{1}, "imap-gateway", "x:1"));
    Must(WatchAccount(*c, alice, GatewayId{1}));
  }
  ScratchDatabase::StopCluster(ScratchDatabase::StopMode::kImmediate);
  ScratchDatabase::StartCluster();
  auto c = database.Connect();
  CHECK(Heartbeat(*c, GatewayId{1}).code() == absl::StatusCode::kNotFound);
  CHECK(database.Ask("SELECT count(*) FROM watchers") == "0");
}

// Delivers messages one after the other, each with a subject of its own; notes how each went.
base::Task<void> Session(Deliverer* deliverer, AccountId account, int first, int count,
                         std::vector<absl::Status>* answers, int* left, base::RunLoop* loop) {
  for (int i = first; i < first + count; ++i) {
    auto result = co_await deliverer->Deliver(StoreFixture::Message(account, std::to_string(i)));
    (*answers)[static_cast<size_t>(i)] = result.status();
  }
  if (--*left == 0) loop->Stop();
}

TEST_CASE_METHOD(Durable, "A crash amid deliveries loses none that was answered with OK",
                 "[store][fault]") {
  constexpr int kSessions = 10;
  constexpr int kEach = 100;
  db::PoolOptions options = database.PoolOptions(2, "godwit_smtp_ingress");
  options.max_backoff = absl::Milliseconds(50);
  db::Pool pool(options);
  Deliverer deliverer(&pool);
  std::vector<absl::Status> answers(kSessions * kEach);
  base::RunLoop loop;
  int left = kSessions;
  for (int s = 0; s < kSessions; ++s) {
    base::SpawnOn(&loop, Session(&deliverer, alice, s * kEach, kEach, &answers, &left, &loop));
  }
  std::thread chaos([&] {
    while (deliverer.Stats().deliveries_total < 100) std::this_thread::yield();
    ScratchDatabase::StopCluster(ScratchDatabase::StopMode::kImmediate);
    ScratchDatabase::StartCluster();
  });
  loop.Run();
  chaos.join();

  auto c = database.Connect();
  const MailboxId inbox = Must(FindMailbox(*c, alice, "INBOX")).id;
  std::vector<int> there(answers.size());
  const auto fetched = Must(FetchEntries(*c, alice, inbox, {kAllUids}, {.search = true}, 10'000));
  for (const Entry& entry : fetched.entries) ++there.at(std::stoul(entry.subject));
  int delivered = 0;
  int failed = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    CAPTURE(i, base::ToString(answers[i]));
    (answers[i].ok() ? delivered : failed) += 1;
    if (answers[i].ok()) {
      CHECK(there[i] == 1);
    } else if (answers[i].code() == absl::StatusCode::kUnknown) {
      CHECK(there[i] <= 1);
    } else {
      CHECK(answers[i].code() == absl::StatusCode::kUnavailable);
      CHECK(there[i] == 0);
    }
  }
  CHECK(delivered > 0);
  CHECK(failed > 0);
}

}  // namespace
}  // namespace godwit::store

#pragma once

// QueueFixture: a migrated database, messages to put into its queue, and the check at the end.

#include <string>
#include <vector>

#include "libs/base/random.h"
#include "libs/store/queue.h"
#include "libs/store/queue_admin.h"
#include "libs/store/queue_check.h"
#include "libs/store/queue_lease.h"
#include "libs/store/queue_record.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {

class QueueFixture {
 public:
  QueueFixture() : connection(database.Connect("godwit_delivery_queue")) {}
  ~QueueFixture() {
    connection->Rollback();
    auto reader = database.Connect("godwit_reader");
    const auto findings = CheckQueue(*reader);
    CHECK(findings.ok());
    if (!findings.ok()) return;
    for (const QueueFinding& finding : *findings) {
      INFO(finding.check << ": " << finding.detail);
      CHECK(finding.check.empty());
    }
  }

  static NewQueueMessage Message(const std::string& key, int recipients = 1) {
    NewQueueMessage message;
    message.id = NewQueueId(base::RandomSource::System());
    message.idempotency_key = key;
    message.envelope.reverse_path = "alice@b.example";
    message.envelope.enqueued_at = now;
    message.envelope.expires_at = now + absl::Hours(120);
    message.header = "Subject: " + key + "\r\n\r\n";
    message.body = "Hello.\r\n";
    for (int i = 0; i < recipients; ++i) {
      message.recipients.push_back({.local_part = "r" + std::to_string(i + 1),
                                    .domain = "d.example",
                                    .orcpt = "",
                                    .notify = 0});
    }
    return message;
  }

  EnqueueResult Enqueue(const NewQueueMessage& message, WorkerId worker = WorkerId::kNone,
                        absl::Duration claim = absl::Seconds(60)) {
    const NewQueueMessage* const group[] = {&message};
    return Must(EnqueueGroup(*connection, group, {.worker = worker, .claim = claim})).at(0);
  }

  QueueLeases Beat(WorkerId worker, absl::Duration lease = absl::Seconds(60)) {
    return Must(BeatQueue(*connection, worker, "x:1", lease));
  }
  // What the worker's next page would be.
  DuePage Load(const QueueLeases& leases, absl::Time until = now, int limit = 1000,
               const DueCursor& from = {}) {
    return Must(LoadDue(*connection, Numbers(leases), from, until, limit));
  }
  static std::vector<int64_t> Numbers(const QueueLeases& leases) {
    std::vector<int64_t> shards;
    for (const ShardLease& lease : leases.shards) shards.push_back(lease.shard);
    return shards;
  }
  static int64_t EpochOf(const QueueLeases& leases, QueueId id) {
    for (const ShardLease& lease : leases.shards) {
      if (lease.shard == ShardOf(id)) return lease.epoch;
    }
    return -1;
  }

  // One recipient's outcome, by `worker` under `epoch` (0: a claim).
  static AttemptRecord Outcome(QueueId id, int64_t epoch, RecipientState state, int number = 1) {
    AttemptRecord record;
    record.id = id;
    record.epoch = epoch;
    record.at = now;
    record.recipients.push_back({.number = number,
                                 .state = state,
                                 .next_attempt = now + absl::Minutes(5),
                                 .reply = "reply",
                                 .site = "mx.d.example"});
    return record;
  }
  RecordResult Record(const AttemptRecord& record, WorkerId worker) {
    const AttemptRecord* const group[] = {&record};
    return Must(RecordGroup(*connection, group, worker, {})).at(0);
  }

  std::string Count(const std::string& table) {
    return database.Ask("SELECT count(*) FROM " + table);
  }

  static inline const absl::Time now = StoreFixture::now;
  static constexpr WorkerId kAnn{11};
  static constexpr WorkerId kBen{22};

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
};

}  // namespace godwit::store

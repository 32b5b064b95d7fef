#pragma once

// Worker: the queue's work in this process. It leases shards, loads what is due, splits messages
// into jobs, has connections deliver them, and writes down what came of it.
//
//   Worker worker(parts);
//   worker.Start(&connection_parts);
//   ... EnqueueGroup() with worker.enqueue_options(), then worker.TakeFirst(message, until) ...
//   worker.Drain(grace);                         // from the main thread
//
// Its state belongs to one reactor, the first of the pool; connections run on all of them and come
// back through ConnectionOwner. In memory are at most Settings::max_messages messages; what is
// beyond waits in the database and is loaded when there is room. docs/queue-states.md tells the
// durable side.
//
// A message that finds its site full goes out of memory again; its id is kept, and it is loaded
// when there is room.
//
// A message is in memory once: what is loaded again while its attempt is open, or has been since
// the page was asked for, is passed over (the page may be older than the attempt's outcome). When
// an outcome can not be written because the database is away, it is tried again until it is written
// or refused as stale; the message stays in memory until then.

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/db/pool.h"
#include "libs/net/reactor.h"
#include "libs/store/queue_group.h"
#include "libs/store/queue_lease.h"
#include "libs/store/queue_record.h"
#include "services/delivery-queue/connection.h"
#include "services/delivery-queue/notice.h"
#include "services/delivery-queue/outcome.h"
#include "services/delivery-queue/router.h"
#include "services/delivery-queue/scheduler.h"

namespace godwit::delivery_queue {

class Worker : public ConnectionOwner {
 public:
  struct Parts {
    const Settings* settings = nullptr;
    const base::Clock* clock = nullptr;
    base::RandomSource* random = nullptr;
    db::Pool* pool = nullptr;
    net::ReactorPool* reactors = nullptr;
    Router* router = nullptr;
    NoticeWriter* notices = nullptr;
    Metrics* metrics = nullptr;
    std::string address;  // of this replica, for operators
  };
  explicit Worker(const Parts& parts);

  // `connections` outlives the worker's reactors.
  void Start(const ConnectionParts* connections);
  // Takes nothing more, lets what is in flight end within `grace`, gives back leases and claims.
  // Blocks; once, from the main thread.
  void Drain(absl::Duration grace);

  // For those who enqueue; any thread.
  store::EnqueueOptions enqueue_options() const;
  // Whether a first attempt would find room; if not, enqueue without a claim.
  bool HasRoom() const;
  // A message that was enqueued under our claim, which began at `claimed` (monotonic, before the
  // call).
  void TakeFirst(store::NewQueueMessage message, absl::Duration claimed);

  // ConnectionOwner.
  base::Task<std::unique_ptr<Job>> NextJob(int64_t connection) override;
  void OnResult(std::unique_ptr<Job> job, JobResult result) override;
  void OnRequeue(std::unique_ptr<Job> job) override;
  void OnUnreachable(int64_t connection, smtp::Reply why, const char* at) override;
  void OnClosed(int64_t connection, bool reached) override;
  bool MayFinish(const Attempt& attempt) override;
  base::Task<bool> StillWanted(Job* job) override;

 private:
  using Recorder = store::QueueGroup<store::AttemptRecord, store::RecordResult>;

  absl::Duration Now() const { return parts_.clock->Monotonic(); }
  base::Task<void> BeatLoop();
  base::Task<void> LoadLoop();
  base::Task<void> TendLoop();
  base::Task<void> Beat();
  void TakeLeases(const store::QueueLeases& leases);
  base::Task<void> ReleaseSurplus(int share);
  base::Task<void> RenewClaims();
  base::Task<void> Load();
  base::Task<void> LoadAside();
  std::vector<int64_t> TakeAside();
  void SetAside(const Attempt& attempt);
  std::vector<int64_t> Shards() const;
  size_t Admit(std::vector<store::DueMessage> messages);
  void Add(AttemptPtr attempt);
  // Recipients of one lane, or of no route with one reply.
  struct Group {
    RouteAnswer answer;
    std::vector<RoutePtr> routes;  // of each domain
    std::vector<size_t> recipients;
  };
  using Groups = std::map<std::string, Group>;
  struct Search {
    std::vector<std::string> domains;
    bool sent_on = false;
    std::vector<RouteAnswer> answers;
    size_t next = 0;
  };

  base::Task<void> Begin(AttemptPtr attempt);
  void Distribute(const AttemptPtr& attempt, const Groups& groups);
  base::Task<std::vector<RouteAnswer>> FindRoutes(std::vector<std::string> domains, bool sent_on);
  base::Task<bool> FindSome(std::shared_ptr<Search> search);
  std::vector<std::unique_ptr<Job>> Split(const AttemptPtr& attempt, const Group& group) const;
  void Offer(std::unique_ptr<Job> job);
  void PutAside(std::unique_ptr<Job> job);
  void Act();
  void Give(int64_t connection, std::unique_ptr<Job> job);
  base::Task<void> Finish(std::unique_ptr<Job> job, JobResult result);
  base::Task<void> Write(AttemptPtr attempt, Outcome* outcome);
  base::Task<absl::Status> WriteOnce(AttemptPtr attempt, Outcome* outcome);
  base::Task<absl::Status> WriteNotice(AttemptPtr attempt, Outcome* outcome);
  void LoseNotice(const AttemptPtr& attempt, const absl::Status& why, Outcome* outcome);
  base::Task<void> EndWithoutOutcome(AttemptPtr attempt);
  base::Task<void> WriteInOrder(AttemptPtr attempt, Outcome* outcome);
  void CountAndLog(const Job& job, const JobResult& result, const Outcome& outcome);
  void Close(const AttemptPtr& attempt);
  void ForgetOctets(const Attempt& attempt);
  base::Task<absl::Status> Leave();
  void KeepOctets(Attempt* attempt, store::NewQueueMessage* message);

  const Parts parts_;
  const Settings& settings_;
  const store::WorkerId id_;
  net::Reactor* const reactor_;
  const ConnectionParts* connections_ = nullptr;
  Recorder recorder_;

  // The worker's reactor only.
  Scheduler scheduler_;
  absl::flat_hash_map<int64_t, AttemptPtr> attempts_;
  absl::flat_hash_map<int64_t, base::Completion<std::unique_ptr<Job>>> waiting_;
  absl::flat_hash_map<int, int64_t> epochs_;  // our shards
  // Attempts that ended since the page that is on its way was asked for.
  absl::flat_hash_set<int64_t> ended_meanwhile_;
  store::DueCursor cursor_;
  int64_t generation_ = 0;  // grows when shards come, with which the cursor begins anew
  absl::Duration rescan_at_;
  // Due messages that are not in memory because their site was full, by site.
  struct Aside {
    RoutePtr route;
    std::deque<int64_t> ids;
  };
  std::map<std::string, Aside> aside_;
  absl::flat_hash_set<int64_t> aside_ids_;  // all of them
  bool beating_ = false;
  base::Completion<bool> beat_;  // the end of the beat that is under way
  bool draining_ = false;

  // Any thread.
  std::atomic<int64_t> lease_until_{0};  // monotonic, nanoseconds
  std::atomic<size_t> in_memory_{0};
  std::atomic<int64_t> memory_{0};
  std::atomic<bool> closed_{false};  // no first attempts any more
};

}  // namespace godwit::delivery_queue

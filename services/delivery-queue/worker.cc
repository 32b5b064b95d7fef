#include "services/delivery-queue/worker.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "services/delivery-queue/outcome.h"

namespace godwit::delivery_queue {
namespace {

// Times at which everything that is due is looked at again, for what a page passed over: a commit
// that took its time, a clock that is behind.
constexpr absl::Duration kRescan = absl::Minutes(5);
constexpr absl::Duration kOverlap = absl::Minutes(1);
// After a message was passed over whose id could not be kept.
constexpr absl::Duration kRescanSoon = absl::Seconds(30);
constexpr size_t kMaxAside = 200'000;
constexpr int kPage = 500;
constexpr size_t kRoutesAtOnce = 50;
constexpr absl::Duration kTend = absl::Seconds(15);
constexpr int kSweepBatch = 500;
constexpr absl::Duration kDrainStep = absl::Milliseconds(20);
constexpr absl::Duration kLeaveTime = absl::Seconds(2);
// Of an outcome that the database refuses for what it is; then it is written without its notices.
constexpr int kTriesWithNotice = 5;

int64_t Nanos(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

}  // namespace

Worker::Worker(const Parts& parts)
    : parts_(parts),
      settings_(*parts.settings),
      id_(store::WorkerId{parts.random->Id63()}),
      reactor_(parts.reactors->at(0)),
      recorder_(parts.pool, {},
                [this](db::Connection& c, std::span<const store::AttemptRecord* const> records) {
                  return store::RecordGroup(c, records, id_, enqueue_options());
                }),
      scheduler_(parts.settings->scheduler) {}

void Worker::Start(const ConnectionParts* connections) {
  connections_ = connections;
  base::SpawnOn(reactor_, BeatLoop());
  base::SpawnOn(reactor_, LoadLoop());
  base::SpawnOn(reactor_, TendLoop());
}

store::EnqueueOptions Worker::enqueue_options() const {
  store::EnqueueOptions options;
  options.worker = id_;
  options.claim = settings_.lease;
  options.keep_keys = settings_.keep_keys;
  return options;
}

bool Worker::HasRoom() const { return !closed_ && in_memory_ < settings_.max_messages; }

// --- Leases

base::Task<void> Worker::BeatLoop() {
  for (bool running = true; running;) {
    beating_ = true;
    beat_ = {};
    co_await Beat();
    beating_ = false;
    beat_.Set(true);
    running = co_await reactor_->Sleep(settings_.beat);
  }
}

base::Task<void> Worker::Beat() {
  if (closed_) co_return;  // leaving
  // What the database counts from the moment it works, we count from before we asked.
  const absl::Duration before = Now();
  absl::StatusOr<store::QueueLeases> leases = co_await parts_.pool->Run([this](db::Connection& c) {
    return store::BeatQueue(c, id_, parts_.address, settings_.lease);
  });
  if (!leases.ok()) {
    parts_.metrics->database_failures.Add();
    obs::Log(obs::Level::kWarning, "lease not prolonged", {{"status", leases.status()}});
    co_return;
  }
  // First what is another's by now: after a lapse nobody may see the new lease with an old attempt.
  TakeLeases(*leases);
  lease_until_ = Nanos(before + settings_.lease);
  if (closed_) co_return;
  co_await ReleaseSurplus(leases->share);
  co_await RenewClaims();
}

void Worker::TakeLeases(const store::QueueLeases& leases) {
  absl::flat_hash_map<int, int64_t> epochs;
  bool gained = false;
  for (const store::ShardLease& lease : leases.shards) {
    epochs[lease.shard] = lease.epoch;
    const auto had = epochs_.find(lease.shard);
    gained |= had == epochs_.end() || had->second != lease.epoch;
  }
  if (gained) {
    cursor_ = {};
    ++generation_;
  }
  if (epochs.size() != epochs_.size()) {
    obs::Log(obs::Level::kInfo, "shards leased", {{"shards", epochs.size()}});
  }
  epochs_ = std::move(epochs);
  for (const auto& [id, attempt] : attempts_) {
    if (attempt->epoch == 0) continue;
    const auto now = epochs_.find(store::ShardOf(attempt->id()));
    if (now == epochs_.end() || now->second != attempt->epoch) attempt->lost = true;
  }
  parts_.metrics->shards.Set(static_cast<double>(epochs_.size()));
  parts_.metrics->share.Set(leases.share);
}

// Others want their share. A shard with a message in work is kept until it is idle.
base::Task<void> Worker::ReleaseSurplus(int share) {
  if (share <= 0 || std::ssize(epochs_) <= share) co_return;
  std::set<int> busy;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt->epoch != 0) busy.insert(store::ShardOf(attempt->id()));
  }
  std::vector<int64_t> surplus;
  for (const auto& [shard, epoch] : epochs_) {
    if (std::ssize(epochs_) - std::ssize(surplus) <= share) break;
    if (!busy.contains(shard)) surplus.push_back(shard);
  }
  // From here on nothing of them is loaded.
  for (int64_t shard : surplus) epochs_.erase(static_cast<int>(shard));
  absl::Status released = co_await parts_.pool->Run(
      [this, surplus](db::Connection& c) { return store::ReleaseShards(c, id_, surplus); });
  if (!released.ok()) parts_.metrics->database_failures.Add();
}

base::Task<void> Worker::RenewClaims() {
  const absl::Duration before = Now();
  std::vector<int64_t> claims;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt->epoch != 0 || attempt->lost) continue;
    if (attempt->claim_until - Nanos(before) < Nanos(settings_.lease * 2 / 3)) claims.push_back(id);
  }
  if (claims.empty()) co_return;
  const absl::Time now = parts_.clock->Now();
  auto renewed = co_await parts_.pool->Run([this, claims, now](db::Connection& c) {
    return store::RenewClaims(c, id_, claims, now, settings_.lease);
  });
  if (!renewed.ok()) {
    parts_.metrics->database_failures.Add();
    co_return;
  }
  std::set<int64_t> ours;
  for (store::QueueId id : *renewed) ours.insert(store::ToInt(id));
  for (int64_t id : claims) {
    const auto attempt = attempts_.find(id);
    if (attempt == attempts_.end()) continue;
    if (ours.contains(id)) {
      attempt->second->claim_until = Nanos(before + settings_.lease);
    } else {
      attempt->second->lost = true;
    }
  }
}

bool Worker::MayFinish(const Attempt& attempt) {
  if (attempt.lost) return false;
  const int64_t until = attempt.epoch == 0 ? attempt.claim_until.load() : lease_until_.load();
  return Nanos(Now() + settings_.margin) < until;
}

// --- Loading

base::Task<void> Worker::LoadLoop() {
  for (bool running = true; running;) {
    co_await Load();
    co_await LoadAside();
    scheduler_.Tick(Now());
    Act();
    parts_.metrics->in_memory.Set(static_cast<double>(attempts_.size()));
    parts_.metrics->connections.Set(static_cast<double>(scheduler_.connections()));
    running = co_await reactor_->Sleep(settings_.poll);
  }
}

std::vector<int64_t> Worker::Shards() const {
  std::vector<int64_t> shards;
  for (const auto& [shard, epoch] : epochs_) shards.push_back(shard);
  return shards;
}

base::Task<void> Worker::Load() {
  ended_meanwhile_.clear();
  if (draining_ || epochs_.empty()) co_return;
  if (Now() >= rescan_at_) {
    cursor_ = {};
    rescan_at_ = Now() + kRescan;
  }
  const absl::Time until = parts_.clock->Now();
  store::DueCursor from = cursor_;
  if (from.due > until - kOverlap) from = {until - kOverlap, store::QueueId::kNone};
  for (bool more = true; more && attempts_.size() < settings_.max_messages && !draining_;) {
    const std::vector<int64_t> shards = Shards();
    const int64_t generation = generation_;
    std::vector<int64_t> busy;
    for (const auto& [id, attempt] : attempts_) {
      if (attempt->epoch == 0) busy.push_back(id);
    }
    ended_meanwhile_.clear();
    absl::StatusOr<store::DuePage> page =
        co_await parts_.pool->Run([shards, busy, from, until](db::Connection& c) {
          return store::LoadDue(c, shards, from, until, kPage, busy);
        });
    if (!page.ok()) {
      parts_.metrics->database_failures.Add();
      obs::Log(obs::Level::kWarning, "nothing loaded", {{"status", page.status()}});
      co_return;
    }
    const store::DueCursor end = page->end;
    const size_t refused = Admit(std::move(page->messages));
    more = page->more && refused == 0;
    // Shards came meanwhile: from the beginning, which is not where this page ends.
    if (generation != generation_) co_return;
    // What found no room is loaded again from where this page began.
    if (refused == 0) from = cursor_ = end;
  }
}

// What was put aside, as far as there is room for it now.
std::vector<int64_t> Worker::TakeAside() {
  std::vector<int64_t> ids;
  const size_t most = settings_.max_messages - std::min(settings_.max_messages, attempts_.size());
  for (auto aside = aside_.begin(); aside != aside_.end() && ids.size() < most;) {
    std::deque<int64_t>& all = aside->second.ids;
    const size_t room = std::min(scheduler_.Room(*aside->second.route), most - ids.size());
    // Not one by one: a good part of what a site takes, or all there is.
    if (room >= std::min(all.size(), settings_.scheduler.jobs_per_site / 4)) {
      for (size_t i = 0; i < room && !all.empty(); ++i) {
        ids.push_back(all.front());
        aside_ids_.erase(all.front());
        all.pop_front();
      }
    }
    aside = all.empty() ? aside_.erase(aside) : std::next(aside);
  }
  return ids;
}

base::Task<void> Worker::LoadAside() {
  if (draining_ || epochs_.empty() || aside_.empty()) co_return;
  const std::vector<int64_t> all = TakeAside();
  const absl::Time until = parts_.clock->Now();
  for (size_t at = 0; at < all.size(); at += kPage) {
    const size_t count = std::min<size_t>(kPage, all.size() - at);
    const auto first = all.begin() + static_cast<ptrdiff_t>(at);
    const std::vector<int64_t> ids(first, first + static_cast<ptrdiff_t>(count));
    const std::vector<int64_t> shards = Shards();
    ended_meanwhile_.clear();
    auto messages = co_await parts_.pool->Run([shards, ids, until](db::Connection& c) {
      return store::LoadQueued(c, shards, ids, until);
    });
    if (!messages.ok()) parts_.metrics->database_failures.Add();
    if (messages.ok() && Admit(*std::move(messages)) == 0) continue;
    // They are due still: found with everything else.
    rescan_at_ = std::min(rescan_at_, Now() + kRescanSoon);
    co_return;
  }
}

// It is out of memory now, and due; of a shard that is another's, that one looks after it.
void Worker::SetAside(const Attempt& attempt) {
  const int64_t id = store::ToInt(attempt.id());
  if (draining_ || !epochs_.contains(store::ShardOf(attempt.id()))) return;
  if (aside_ids_.size() >= kMaxAside) {
    rescan_at_ = std::min(rescan_at_, Now() + kRescanSoon);
    return;
  }
  if (!aside_ids_.insert(id).second) return;
  Aside& aside = aside_[attempt.full->site];
  aside.route = attempt.full;
  aside.ids.push_back(id);
}

// Returns how many found no room.
size_t Worker::Admit(std::vector<store::DueMessage> messages) {
  size_t refused = 0;
  for (store::DueMessage& message : messages) {
    const int64_t id = store::ToInt(message.id);
    const auto epoch = epochs_.find(store::ShardOf(message.id));
    if (attempts_.contains(id) || epoch == epochs_.end()) continue;
    if (ended_meanwhile_.contains(id)) continue;
    // What is given up needs no room.
    if (aside_ids_.contains(id) && !message.give_up) continue;
    if (attempts_.size() >= settings_.max_messages) {
      ++refused;
      continue;
    }
    auto attempt = std::make_shared<Attempt>();
    attempt->message = std::move(message);
    attempt->epoch = epoch->second;
    attempt->loaded_at = Now();
    Add(std::move(attempt));
  }
  return refused;
}

void Worker::Add(AttemptPtr attempt) {
  attempts_[store::ToInt(attempt->id())] = attempt;
  in_memory_ = attempts_.size();
  base::Spawn(Begin(std::move(attempt)));
}

void Worker::KeepOctets(Attempt* attempt, store::NewQueueMessage* message) {
  const auto size = static_cast<int64_t>(message->header.size() + message->body.size());
  if (message->staged || memory_ + size > settings_.max_memory) return;
  memory_ += size;
  attempt->header = std::move(message->header);
  attempt->body = std::move(message->body);
  parts_.metrics->memory_bytes.Set(static_cast<double>(memory_));
}

void Worker::TakeFirst(store::NewQueueMessage message, absl::Duration claimed) {
  auto attempt = std::make_shared<Attempt>();
  store::DueMessage& due = attempt->message;
  due.id = message.id;
  due.envelope = message.envelope;
  due.header_size = std::ssize(message.header);
  due.size = due.header_size + (message.staged ? message.staged->size : std::ssize(message.body));
  int number = 0;
  for (store::NewQueueRecipient& recipient : message.recipients) {
    due.recipients.push_back({.number = ++number,
                              .local_part = std::move(recipient.local_part),
                              .domain = std::move(recipient.domain),
                              .orcpt = std::move(recipient.orcpt),
                              .notify = recipient.notify});
  }
  attempt->loaded_at = attempt->enqueued_at = Now();
  attempt->claim_until = Nanos(claimed + settings_.lease);
  KeepOctets(attempt.get(), &message);
  reactor_->Post([this, attempt = std::move(attempt)]() mutable {
    // The answer to our commit was late: the claim was over, and we have loaded it meanwhile.
    if (attempts_.contains(store::ToInt(attempt->id()))) {
      ForgetOctets(*attempt);
      return;
    }
    if (!draining_) {
      Add(std::move(attempt));
      return;
    }
    attempts_[store::ToInt(attempt->id())] = attempt;
    base::Spawn(EndWithoutOutcome(std::move(attempt)));
  });
}

// --- Splitting

// A domain that takes its time holds up one of kRoutesAtOnce, not all.
base::Task<bool> Worker::FindSome(std::shared_ptr<Search> search) {
  while (search->next < search->domains.size()) {
    const size_t at = search->next++;
    search->answers[at] = co_await parts_.router->Find(search->domains[at], search->sent_on);
  }
  co_return true;
}

base::Task<std::vector<RouteAnswer>> Worker::FindRoutes(std::vector<std::string> domains,
                                                        bool sent_on) {
  auto search = std::make_shared<Search>();
  search->sent_on = sent_on;
  search->answers.resize(domains.size());
  search->domains = std::move(domains);
  std::vector<base::Task<bool>> tasks;
  for (size_t i = 0; i < std::min(search->domains.size(), kRoutesAtOnce); ++i) {
    tasks.push_back(FindSome(search));
  }
  co_await base::WhenAll(std::move(tasks));
  co_return std::move(search->answers);
}

std::vector<std::unique_ptr<Job>> Worker::Split(const AttemptPtr& attempt,
                                                const Group& group) const {
  std::vector<std::unique_ptr<Job>> jobs;
  const RoutePtr& route = group.answer.route;
  const std::vector<size_t>& recipients = group.recipients;
  const size_t most = route == nullptr ? recipients.size() : settings_.recipients_per_transaction;
  for (size_t at = 0; at < recipients.size(); at += most) {
    auto job = std::make_unique<Job>();
    job->attempt = attempt;
    job->route = route;
    if (group.routes.size() > 1) job->also = group.routes;
    const size_t end = std::min(recipients.size(), at + most);
    job->recipients.assign(recipients.begin() + static_cast<ptrdiff_t>(at),
                           recipients.begin() + static_cast<ptrdiff_t>(end));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

base::Task<void> Worker::Begin(AttemptPtr attempt) {
  const auto& recipients = attempt->message.recipients;
  std::map<std::string, std::vector<size_t>> by_domain;
  for (size_t i = 0; i < recipients.size(); ++i) by_domain[recipients[i].domain].push_back(i);
  std::vector<std::string> domains;
  for (const auto& [domain, list] : by_domain) domains.push_back(domain);
  std::vector<RouteAnswer> routes;
  if (attempt->message.give_up) {
    RouteAnswer none;
    const std::string& text = *attempt->message.give_up;
    none.refusal = {550, "5.7.0", {text.empty() ? "Given up by an administrator" : text}};
    routes.assign(domains.size(), none);
  } else {
    const bool sent_on = attempt->message.envelope.origin == store::QueueOrigin::kRelay;
    routes = co_await FindRoutes(domains, sent_on);
  }
  Groups groups;
  for (size_t i = 0; i < domains.size(); ++i) {
    const bool routed = routes[i].route != nullptr;
    Group& group = groups[routed ? routes[i].route->lane : ReplyLine(routes[i].refusal)];
    group.answer = routes[i];
    if (routed) group.routes.push_back(routes[i].route);
    const std::vector<size_t>& list = by_domain[domains[i]];
    group.recipients.insert(group.recipients.end(), list.begin(), list.end());
  }
  Distribute(attempt, groups);
}

void Worker::Distribute(const AttemptPtr& attempt, const Groups& groups) {
  std::vector<std::unique_ptr<Job>> jobs;
  std::vector<std::pair<std::unique_ptr<Job>, smtp::Reply>> settled;
  for (const auto& [name, group] : groups) {
    for (auto& job : Split(attempt, group)) {
      if (group.answer.route != nullptr) {
        jobs.push_back(std::move(job));
      } else {
        settled.emplace_back(std::move(job), group.answer.refusal);
      }
    }
  }
  attempt->open_jobs = static_cast<int>(jobs.size() + settled.size());
  for (auto& [job, refusal] : settled) {
    const auto state =
        refusal.permanent() ? RecipientResult::State::kFailed : RecipientResult::State::kDeferred;
    JobResult result = AllOf(*job, state, refusal, kAtRoute);
    base::Spawn(Finish(std::move(job), std::move(result)));
  }
  for (auto& job : jobs) Offer(std::move(job));
  Act();
}

void Worker::Offer(std::unique_ptr<Job> job) {
  if (scheduler_.Offer(&job, Now())) return;
  job->attempt->full = job->route;
  PutAside(std::move(job));
}

// Without an outcome: it is loaded again later.
void Worker::PutAside(std::unique_ptr<Job> job) {
  AttemptPtr attempt = job->attempt;
  if (attempt->full == nullptr) rescan_at_ = std::min(rescan_at_, Now() + kRescanSoon);
  if (--attempt->open_jobs > 0) return;
  base::Spawn(EndWithoutOutcome(std::move(attempt)));
}

// For a claim a record without recipients: it ends, and the message is due as it was.
base::Task<void> Worker::EndWithoutOutcome(AttemptPtr attempt) {
  if (attempt->writing > 0) co_await attempt->written;
  if (attempt->epoch == 0) {
    Outcome outcome;
    outcome.record.id = attempt->id();
    outcome.record.at = parts_.clock->Now();
    co_await Write(attempt, &outcome);
  }
  Close(attempt);
}

// --- Connections

void Worker::Act() {
  for (Scheduler::Action& action : scheduler_.TakeActions()) {
    if (auto* open = std::get_if<Scheduler::Open>(&action)) {
      base::SpawnOn(parts_.reactors->Next(),
                    RunConnection(connections_, open->connection, open->route));
    } else if (auto* give = std::get_if<Scheduler::Give>(&action)) {
      Give(give->connection, std::move(give->job));
    } else {
      Give(std::get<Scheduler::Close>(action).connection, nullptr);
    }
  }
}

void Worker::Give(int64_t connection, std::unique_ptr<Job> job) {
  if (job != nullptr) {
    Attempt& attempt = *job->attempt;
    const absl::Duration since = std::exchange(attempt.enqueued_at, absl::InfiniteDuration());
    if (since != absl::InfiniteDuration()) {
      parts_.metrics->first_attempt_seconds.Observe(absl::ToDoubleSeconds(Now() - since));
    }
  }
  const auto waiting = waiting_.find(connection);
  base::Completion<std::unique_ptr<Job>> next = waiting->second;
  waiting_.erase(waiting);
  next.Set(std::move(job));
}

base::Task<std::unique_ptr<Job>> Worker::NextJob(int64_t connection) {
  base::Completion<std::unique_ptr<Job>> next;
  reactor_->Post([this, connection, next] {
    waiting_.emplace(connection, next);
    scheduler_.OnWants(connection, Now());
    Act();
  });
  std::unique_ptr<Job> job = co_await next;
  co_return job;
}

void Worker::OnResult(std::unique_ptr<Job> job, JobResult result) {
  reactor_->Post([this, job = std::move(job), result = std::move(result)]() mutable {
    if (result.recipients.empty()) {
      PutAside(std::move(job));
    } else {
      base::Spawn(Finish(std::move(job), std::move(result)));
    }
  });
}

void Worker::OnRequeue(std::unique_ptr<Job> job) {
  reactor_->Post([this, job = std::move(job)]() mutable {
    if (draining_) {
      PutAside(std::move(job));
      return;
    }
    scheduler_.Requeue(std::move(job), Now());
    Act();
  });
}

void Worker::OnUnreachable(int64_t connection, smtp::Reply why, const char* at) {
  reactor_->Post([this, connection, why = std::move(why), at] {
    for (std::unique_ptr<Job>& job : scheduler_.TakeAll(connection)) {
      JobResult result = AllOf(*job, RecipientResult::State::kDeferred, why, at);
      base::Spawn(Finish(std::move(job), std::move(result)));
    }
  });
}

void Worker::OnClosed(int64_t connection, bool reached) {
  reactor_->Post([this, connection, reached] {
    scheduler_.OnClosed(connection, reached, Now());
    Act();
  });
}

// An operator may have held or dropped it while it waited here; without a database nothing could be
// written down afterwards.
base::Task<bool> Worker::StillWanted(Job* job) {
  absl::StatusOr<std::vector<int>> due = co_await parts_.pool->Run(
      [id = job->attempt->id()](db::Connection& c) { return store::StillDue(c, id); });
  if (!due.ok() || job->attempt->lost) co_return false;
  const std::set<int> numbers(due->begin(), due->end());
  std::erase_if(job->recipients, [&](size_t i) {
    return !numbers.contains(job->attempt->message.recipients[i].number);
  });
  co_return !job->recipients.empty();
}

// --- Outcomes

base::Task<void> Worker::Finish(std::unique_ptr<Job> job, JobResult result) {
  AttemptPtr attempt = job->attempt;
  const absl::Time now = parts_.clock->Now();
  Outcome outcome = MakeOutcome(*job, result, now, settings_.retry, parts_.random);
  CountAndLog(*job, result, outcome);
  const bool last = --attempt->open_jobs == 0;
  outcome.record.last = last;
  co_await WriteInOrder(attempt, &outcome);
  if (last) Close(attempt);
}

// The last record of an attempt ends its claim, and with its end the message may be loaded again:
// those before it must be written by then. Written beside one another, the last was often the
// first; the others were stale, and their recipients got the message twice.
base::Task<void> Worker::WriteInOrder(AttemptPtr attempt, Outcome* outcome) {
  if (outcome->record.last && attempt->writing > 0) co_await attempt->written;
  ++attempt->writing;
  co_await Write(attempt, outcome);
  if (--attempt->writing == 0 && attempt->open_jobs == 0) attempt->written.Set(true);
}

// Until it is written, or found to be stale.
base::Task<void> Worker::Write(AttemptPtr attempt, Outcome* outcome) {
  absl::Duration pause = absl::Milliseconds(200);
  for (int refused = 0;;) {
    absl::Status written = co_await WriteOnce(attempt, outcome);
    if (written.ok()) co_return;
    parts_.metrics->database_failures.Add();
    obs::Log(obs::Level::kWarning, "outcome not written",
             {{"trace", attempt->trace()}, {"status", written}});
    // One that can never be taken must not stay for ever, and hold up those that share its groups.
    const bool away = base::IsRetryable(written) || written.code() == absl::StatusCode::kUnknown;
    if (!away && ++refused >= kTriesWithNotice && !outcome->told.empty()) {
      LoseNotice(attempt, written, outcome);
    }
    pause = std::min(pause * 2, absl::Seconds(5));
    const bool running = co_await reactor_->Sleep(pause);
    if (!running) co_return;
  }
}

void Worker::LoseNotice(const AttemptPtr& attempt, const absl::Status& why, Outcome* outcome) {
  obs::Log(obs::Level::kError, "no notice", {{"trace", attempt->trace()}, {"status", why}});
  parts_.metrics->notices_lost.Add();
  outcome->told.clear();
  outcome->record.notices.clear();
}

// The notice of `outcome` goes into its record. What can never be written must not keep the outcome
// from being written down.
base::Task<absl::Status> Worker::WriteNotice(AttemptPtr attempt, Outcome* outcome) {
  if (outcome->told.empty() || !outcome->record.notices.empty()) co_return absl::OkStatus();
  absl::StatusOr<store::NewQueueMessage> notice = co_await parts_.notices->Write(
      attempt, outcome->told, NoticeKey(*attempt, *outcome), outcome->record.at);
  if (notice.ok()) outcome->record.notices.push_back(*std::move(notice));
  if (notice.ok() || base::IsRetryable(notice.status())) co_return notice.status();
  LoseNotice(attempt, notice.status(), outcome);
  co_return absl::OkStatus();
}

base::Task<absl::Status> Worker::WriteOnce(AttemptPtr attempt, Outcome* outcome) {
  absl::Status noticed = co_await WriteNotice(attempt, outcome);
  if (!noticed.ok()) co_return noticed;
  store::AttemptRecord& record = outcome->record;
  size_t bytes = 200 * record.recipients.size();
  for (const auto& notice : record.notices) bytes += notice.header.size() + notice.body.size();
  absl::StatusOr<store::RecordResult> result = co_await recorder_.Run(&record, bytes);
  if (!result.ok()) co_return result.status();
  if (result->code == store::RecordCode::kStale) {
    parts_.metrics->stale.Add();
    obs::Log(obs::Level::kWarning, "outcome is stale", {{"trace", attempt->trace()}});
  }
  if (result->notices_lost > 0) {
    LoseNotice(attempt, base::AlreadyExists("its key is another message's"), outcome);
  }
  if (result->code == store::RecordCode::kWritten) {
    for (const dsn::Recipient& told : outcome->told) {
      parts_.metrics->notices.At({dsn::ActionName(told.action)}).Add();
    }
  }
  co_return absl::OkStatus();
}

void Worker::CountAndLog(const Job& job, const JobResult& result, const Outcome& outcome) {
  const std::string_view route = job.route == nullptr ? "none" : RouteKindName(job.route->kind);
  const store::DueMessage& message = job.attempt->message;
  for (size_t i = 0; i < result.recipients.size(); ++i) {
    const RecipientResult& one = result.recipients[i];
    const store::DueRecipient& recipient = message.recipients[one.recipient];
    std::string_view word = "delivered";
    if (outcome.record.recipients[i].state == store::RecipientState::kFailed) word = "failed";
    if (outcome.record.recipients[i].state == store::RecipientState::kPending) word = "deferred";
    parts_.metrics->recipients.At({route, word}).Add();
    if (word == "deferred") parts_.metrics->deferrals.At({one.at}).Add();
    obs::Log(obs::Level::kInfo, "attempt",
             {{"trace", job.attempt->trace()},
              {"queue_id", store::ToInt(message.id)},
              {"from", message.envelope.reverse_path},
              {"to", recipient.local_part + "@" + recipient.domain},
              {"route", route},
              {"host", one.host},
              {"attempt", recipient.attempts + 1},
              {"result", word},
              {"reply", ReplyLine(one.reply)}});
  }
}

void Worker::ForgetOctets(const Attempt& attempt) {
  if (!attempt.header) return;
  memory_ -= std::ssize(*attempt.header) + std::ssize(*attempt.body);
  parts_.metrics->memory_bytes.Set(static_cast<double>(memory_));
}

void Worker::Close(const AttemptPtr& attempt) {
  ForgetOctets(*attempt);
  if (attempt->full != nullptr) SetAside(*attempt);
  attempts_.erase(store::ToInt(attempt->id()));
  ended_meanwhile_.insert(store::ToInt(attempt->id()));
  in_memory_ = attempts_.size();
}

// --- Background and end

base::Task<void> Worker::TendLoop() {
  for (bool running = true; running;) {
    const std::vector<int64_t> shards = Shards();
    auto depth = co_await parts_.pool->Run(
        [shards](db::Connection& c) { return store::MeasureQueue(c, shards); });
    if (depth.ok()) {
      parts_.metrics->messages.Set(static_cast<double>(depth->messages));
      parts_.metrics->held.Set(static_cast<double>(depth->held));
      const absl::Time now = parts_.clock->Now();
      parts_.metrics->oldest_seconds.Set(absl::ToDoubleSeconds(now - depth->oldest.value_or(now)));
    } else {
      // Or the figures stand still without a word.
      parts_.metrics->database_failures.Add();
      obs::Log(obs::Level::kWarning, "queue not measured", {{"status", depth.status()}});
    }
    absl::StatusOr<int64_t> swept = kSweepBatch;
    while (swept.ok() && *swept >= kSweepBatch) {
      swept = co_await parts_.pool->Run([now = parts_.clock->Now()](db::Connection& c) {
        return store::SweepQueue(c, now, kSweepBatch);
      });
    }
    running = co_await reactor_->Sleep(kTend);
  }
}

base::Task<absl::Status> Worker::Leave() {
  // A beat that comes after us would bring us to life again, and our shards with us.
  if (beating_) co_await beat_;
  std::vector<int64_t> claims;
  for (const auto& [id, attempt] : attempts_) {
    // What is still in the midst of a dialogue must not send its dot any more.
    attempt->lost = true;
    if (attempt->epoch == 0) claims.push_back(id);
  }
  const absl::Time now = parts_.clock->Now();
  absl::Status left = co_await parts_.pool->Run(
      [this, claims, now](db::Connection& c) { return store::LeaveQueue(c, id_, claims, now); });
  co_return left;
}

void Worker::Drain(absl::Duration grace) {
  const absl::Duration begin = Now();
  reactor_->Post([this] {
    draining_ = true;
    for (std::unique_ptr<Job>& job : scheduler_.Stop()) PutAside(std::move(job));
    Act();
  });
  while (Now() - begin < grace - kLeaveTime && in_memory_ > 0) absl::SleepFor(kDrainStep);
  closed_ = true;
  const absl::Status left = reactor_->RunUntilDone(Leave());
  if (!left.ok()) obs::Log(obs::Level::kWarning, "leases not given back", {{"status", left}});
}

}  // namespace godwit::delivery_queue

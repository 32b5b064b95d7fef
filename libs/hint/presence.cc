#include "libs/hint/presence.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/store/directory_changes.h"

namespace godwit::hint {
namespace {

// Accounts in one job of the slow poll, logins in one look at them; unwatched in one beat.
constexpr size_t kPollBatch = 1000;
constexpr size_t kUnwatchBatch = 200;

}  // namespace

Presence::Presence(PresenceOptions options, db::Pool* database, Registry* registry,
                   const base::Clock* clock, base::RandomSource* random, PresenceMetrics metrics)
    : options_(std::move(options)),
      database_(database),
      registry_(registry),
      clock_(clock),
      random_(random),
      metrics_(metrics) {}

base::Task<absl::Status> Presence::Register() {
  const int64_t id = random_->Id63();
  absl::StatusOr<int64_t> last =
      co_await database_->Run([id, daemon = options_.daemon, address = options_.address](
                                  db::Connection& c) -> absl::StatusOr<int64_t> {
        absl::Status status = store::RegisterGateway(c, store::GatewayId{id}, daemon, address);
        if (!status.ok()) return status;
        return store::LastDirectoryChange(c);
      });
  if (!last.ok()) co_return last.status();
  gateway_ = id;
  if (directory_seen_ < 0) directory_seen_ = *last;
  co_return absl::OkStatus();
}

base::Task<absl::Status> Presence::Unregister() {
  const int64_t id = gateway_;
  absl::Status status = co_await database_->Run(
      [id](db::Connection& c) { return store::UnregisterGateway(c, store::GatewayId{id}); });
  co_return status;
}

base::Task<absl::Status> Presence::Watch(std::shared_ptr<Account> account) {
  if (account->watched == static_cast<uint64_t>(gateway_.load())) co_return absl::OkStatus();
  absl::Status status = co_await WatchAgain(account);
  co_return status;
}

base::Task<absl::Status> Presence::WatchAgain(std::shared_ptr<Account> account) {
  const int64_t id = gateway_;
  const store::AccountId account_id = account->id;
  absl::StatusOr<store::Modseq> modseq =
      co_await database_->Run([id, account_id](db::Connection& c) {
        return store::WatchAccount(c, account_id, store::GatewayId{id});
      });
  if (!modseq.ok()) co_return modseq.status();
  account->watched = static_cast<uint64_t>(id);
  registry_->Changed(account_id, *modseq);
  co_return absl::OkStatus();
}

base::Task<void> Presence::Run() {
  base::Spawn(Heal());
  net::Timer timer(net::Reactor::Current());
  absl::Duration beaten = clock_->Monotonic();
  while (co_await timer.Wait(std::min(options_.directory, options_.beat))) {
    co_await CheckDirectory();
    if (clock_->Monotonic() - beaten < options_.beat) continue;
    beaten = clock_->Monotonic();
    co_await Beat();
    co_await UnwatchIdle();
  }
}

base::Task<void> Presence::Heal() {
  net::Timer timer(net::Reactor::Current());
  absl::Duration polled = clock_->Monotonic();
  while (co_await timer.Wait(std::min(options_.directory, options_.beat))) {
    if (watch_all_) co_await WatchAll();
    if (clock_->Monotonic() - polled < options_.poll) continue;
    co_await Poll();
    polled = clock_->Monotonic();
  }
}

base::Task<void> Presence::CheckDirectory() {
  // Who was told and is still there is told again, unless he may be there again.
  unchecked_.insert(unchecked_.end(), ended_.begin(), ended_.end());
  ended_.clear();
  absl::StatusOr<store::DirectoryChanges> news =
      co_await database_->Run([after = directory_seen_.load()](db::Connection& c) {
        return store::ReadDirectoryChanges(c, after);
      });
  if (!news.ok()) {
    obs::Log(obs::Level::kWarning, "directory not read", {{"error", news.status()}});
    co_return;
  }
  // First this, then the look at who is logged in: see directory_seen().
  directory_seen_ = news->last;
  if (news->missed) unchecked_ = registry_->Logins();
  for (const store::DirectoryChange& change : news->changes) {
    for (const store::LoginRef& login : registry_->Logins(change.account)) {
      unchecked_.push_back(login);
    }
  }
  co_await CheckLogins();
}

// Sends away the sessions of those of `unchecked_` that have ended.
base::Task<void> Presence::CheckLogins() {
  while (!unchecked_.empty()) {
    const size_t left = unchecked_.size() - std::min(unchecked_.size(), kPollBatch);
    std::vector<store::LoginRef> batch(unchecked_.begin() + static_cast<std::ptrdiff_t>(left),
                                       unchecked_.end());
    absl::StatusOr<std::vector<store::LoginRef>> ended = co_await database_->Run(
        [batch = std::move(batch)](db::Connection& c) { return store::EndedLogins(c, batch); });
    if (!ended.ok()) {
      obs::Log(obs::Level::kWarning, "logins not checked", {{"error", ended.status()}});
      co_return;  // they stay unchecked, for the next time
    }
    unchecked_.resize(left);
    for (const store::LoginRef& login : *ended) {
      const bool told = std::find(ended_.begin(), ended_.end(), login) != ended_.end();
      if (!told && registry_->LockOut(login) > 0) ended_.push_back(login);
    }
  }
}

base::Task<void> Presence::Beat() {
  const int64_t id = gateway_;
  absl::Status status = co_await database_->Run(
      [id](db::Connection& c) { return store::Heartbeat(c, store::GatewayId{id}); });
  if (status.code() == absl::StatusCode::kNotFound) {
    status = co_await Register();
    watch_all_ |= status.ok();
  }
  if (!status.ok()) obs::Log(obs::Level::kWarning, "heartbeat failed", {{"error", status}});
}

base::Task<void> Presence::WatchAll() {
  obs::Log(obs::Level::kWarning, "registration was gone, watching all accounts again",
           {{"accounts", registry_->Accounts().size()}});
  watch_all_ = false;
  for (const auto& account : registry_->Accounts()) {
    absl::Status status = co_await WatchAgain(account);
    // The slow poll and the next Watch() do what is left; an account may be gone.
    if (watch_all_ || base::IsRetryable(status)) co_return;
  }
}

base::Task<void> Presence::Poll() {
  const auto accounts = registry_->Accounts();
  metrics_.accounts->Set(static_cast<double>(accounts.size()));
  for (size_t begin = 0; begin < accounts.size(); begin += kPollBatch) {
    std::vector<store::AccountId> ids;
    std::vector<store::Modseq> seen;
    for (size_t i = begin; i < std::min(accounts.size(), begin + kPollBatch); ++i) {
      ids.push_back(accounts[i]->id);
      seen.push_back(accounts[i]->latest);
    }
    absl::StatusOr<std::vector<store::Modseq>> modseqs =
        co_await database_->Run([ids](db::Connection& c) { return store::GetModseqs(c, ids); });
    if (!modseqs.ok()) co_return;
    for (size_t i = 0; i < ids.size(); ++i) {
      // An account that is gone has no modseq.
      if ((*modseqs)[i] > 0) accounts[begin + i]->Correct(seen[i], (*modseqs)[i]);
      if (registry_->Changed(ids[i], (*modseqs)[i])) metrics_.healed->Add();
      absl::Status watched = co_await Watch(accounts[begin + i]);
      watched.IgnoreError();  // the account may be gone; the next poll tries again
    }
  }
}

base::Task<void> Presence::UnwatchIdle() {
  const auto idle = registry_->TakeIdle(clock_->Monotonic() - options_.linger, kUnwatchBatch);
  const int64_t id = gateway_;
  for (const store::AccountId account : idle) {
    absl::Status status = co_await database_->Run([id, account](db::Connection& c) {
      return store::UnwatchAccount(c, account, store::GatewayId{id});
    });
    // A session that came in the meantime may have watched before we unwatched.
    auto again = registry_->Find(account);
    if (again != nullptr) {
      // If it can not be watched now, the slow poll and the next SELECT must know.
      again->watched = 0;
      status.Update(co_await WatchAgain(again));
    }
    if (!status.ok()) obs::Log(obs::Level::kWarning, "unwatching failed", {{"error", status}});
  }
}

}  // namespace godwit::hint

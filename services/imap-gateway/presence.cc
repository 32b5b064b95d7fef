#include "services/imap-gateway/presence.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/store/credentials.h"

namespace godwit::imap_gateway {
namespace {

// Accounts in one job of the slow poll; unwatched in one beat.
constexpr size_t kPollBatch = 1000;
constexpr size_t kUnwatchBatch = 200;

}  // namespace

Presence::Presence(PresenceOptions options, db::Pool* database, Registry* registry,
                   const base::Clock* clock, base::RandomSource* random, Metrics* metrics)
    : options_(std::move(options)),
      database_(database),
      registry_(registry),
      clock_(clock),
      random_(random),
      metrics_(metrics) {}

base::Task<absl::Status> Presence::Register() {
  const int64_t id = random_->Id63();
  absl::Status status =
      co_await database_->Run([id, address = options_.address](db::Connection& c) {
        return store::RegisterGateway(c, store::GatewayId{id}, "imap-gateway", address);
      });
  if (status.ok()) gateway_ = id;
  co_return status;
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
  net::Timer timer(net::Reactor::Current());
  absl::Duration polled = clock_->Monotonic();
  while (co_await timer.Wait(options_.beat)) {
    co_await Beat();
    co_await UnwatchIdle();
    if (clock_->Monotonic() - polled < options_.poll) continue;
    co_await Poll();
    polled = clock_->Monotonic();
  }
}

base::Task<void> Presence::Beat() {
  const int64_t id = gateway_;
  absl::Status status = co_await database_->Run(
      [id](db::Connection& c) { return store::Heartbeat(c, store::GatewayId{id}); });
  if (status.code() == absl::StatusCode::kNotFound) {
    status = co_await Register();
    if (status.ok()) co_await WatchAll();
  }
  if (!status.ok()) obs::Log(obs::Level::kWarning, "heartbeat failed", {{"error", status}});
}

base::Task<void> Presence::WatchAll() {
  obs::Log(obs::Level::kWarning, "registration was gone, watching all accounts again",
           {{"accounts", registry_->Accounts().size()}});
  for (const auto& account : registry_->Accounts()) {
    absl::Status status = co_await WatchAgain(account);
    if (!status.ok()) co_return;  // the slow poll and the next Watch() do what is left
  }
}

base::Task<void> Presence::Poll() {
  const auto accounts = registry_->Accounts();
  metrics_->accounts.Set(static_cast<double>(accounts.size()));
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
    absl::StatusOr<std::vector<store::AccountId>> locked =
        co_await database_->Run([ids](db::Connection& c) { return store::LockedAccounts(c, ids); });
    if (!locked.ok()) co_return;
    for (const store::AccountId account : *locked) registry_->LockOut(account);
    for (size_t i = 0; i < ids.size(); ++i) {
      // An account that is gone has no modseq.
      if ((*modseqs)[i] > 0) accounts[begin + i]->Correct(seen[i], (*modseqs)[i]);
      if (registry_->Changed(ids[i], (*modseqs)[i])) metrics_->healed.Add();
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

}  // namespace godwit::imap_gateway

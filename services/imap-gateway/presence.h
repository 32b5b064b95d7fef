#pragma once

// Presence: this gateway's row in the store, and the accounts it watches there
// (libs/store/watch.h).
//
// A beat every few seconds keeps the row. When it is gone (PostgreSQL crashed: the tables are
// UNLOGGED) the gateway registers anew and watches all its accounts again. A slow poll finds what
// lost hints did not tell, and sends the sessions of disabled and removed accounts away. Accounts
// that nobody holds any more are unwatched after a while.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/net/reactor.h"
#include "libs/store/watch.h"
#include "services/imap-gateway/metrics.h"
#include "services/imap-gateway/registry.h"

namespace godwit::imap_gateway {

struct PresenceOptions {
  std::string address;  // where hints go to
  absl::Duration beat = absl::Seconds(5);
  absl::Duration poll = absl::Seconds(60);
  // How long an account stays watched after its last session.
  absl::Duration linger = absl::Seconds(30);
};

class Presence {
 public:
  Presence(PresenceOptions options, db::Pool* database, Registry* registry,
           const base::Clock* clock, base::RandomSource* random, Metrics* metrics);

  // Registers for the first time.
  base::Task<absl::Status> Register();
  // Beats until the reactor of the calling thread stops.
  base::Task<void> Run();
  // The account is watched: from `account->latest` on no change goes untold.
  base::Task<absl::Status> Watch(std::shared_ptr<Account> account);
  base::Task<absl::Status> Unregister();

  const std::string& address() const { return options_.address; }

 private:
  base::Task<absl::Status> WatchAgain(std::shared_ptr<Account> account);
  base::Task<void> Beat();
  base::Task<void> WatchAll();
  base::Task<void> Poll();
  base::Task<void> UnwatchIdle();

  const PresenceOptions options_;
  db::Pool* const database_;
  Registry* const registry_;
  const base::Clock* const clock_;
  base::RandomSource* const random_;
  Metrics* const metrics_;
  // Of the registration; 0 before the first. Also its number for Account::watched.
  std::atomic<int64_t> gateway_{0};
};

}  // namespace godwit::imap_gateway

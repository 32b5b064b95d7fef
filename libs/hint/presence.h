#pragma once

// Presence: this gateway's row in the store, and the accounts it watches there
// (libs/store/watch.h).
//
// A beat every few seconds keeps the row. When it is gone (PostgreSQL crashed: the tables are
// UNLOGGED) the gateway registers anew and watches all its accounts again, which takes its time and
// keeps neither beats nor what follows waiting. A slow poll finds what lost hints did not tell.
// Accounts that nobody holds any more are unwatched after a while.
//
// Twice a second it asks what changed in the directory (libs/store/directory_changes.h), and sends
// away the sessions of accounts that were disabled or removed, and of passwords that were replaced.
// A session that was being let in at this moment may escape that: it compares directory_seen()
// before it read who may log in, and after it joined the registry.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/hint/registry.h"
#include "libs/net/reactor.h"
#include "libs/obs/metrics.h"
#include "libs/store/credentials.h"
#include "libs/store/watch.h"

namespace godwit::hint {

struct PresenceOptions {
  std::string daemon = "imap-gateway";  // who we are
  std::string address;                  // where hints go to, "host:port"
  absl::Duration beat = absl::Seconds(5);
  absl::Duration poll = absl::Seconds(60);
  absl::Duration directory = absl::Milliseconds(400);
  // How long an account stays watched after its last session.
  absl::Duration linger = absl::Seconds(30);
};

// What is counted; the daemon's own metrics.
struct PresenceMetrics {
  obs::Gauge* accounts = nullptr;  // that are watched
  obs::Counter* healed = nullptr;  // changes that only the slow poll found
};

class Presence {
 public:
  Presence(PresenceOptions options, db::Pool* database, Registry* registry,
           const base::Clock* clock, base::RandomSource* random, PresenceMetrics metrics);

  // Registers for the first time.
  base::Task<absl::Status> Register();
  // Beats until the reactor of the calling thread stops.
  base::Task<void> Run();
  // The account is watched: from `account->latest` on no change goes untold.
  base::Task<absl::Status> Watch(std::shared_ptr<Account> account);
  base::Task<absl::Status> Unregister();

  // As the store names us among an account's watchers.
  std::string watcher() const { return options_.daemon + "@" + options_.address; }
  // The last change of the directory that was looked at, or is being looked at.
  int64_t directory_seen() const { return directory_seen_; }

 private:
  base::Task<absl::Status> WatchAgain(std::shared_ptr<Account> account);
  base::Task<void> Beat();
  base::Task<void> Heal();
  base::Task<void> WatchAll();
  base::Task<void> Poll();
  base::Task<void> UnwatchIdle();
  base::Task<void> CheckDirectory();
  base::Task<void> CheckLogins();

  const PresenceOptions options_;
  db::Pool* const database_;
  Registry* const registry_;
  const base::Clock* const clock_;
  base::RandomSource* const random_;
  const PresenceMetrics metrics_;
  // Of the registration; 0 before the first. Also its number for Account::watched.
  std::atomic<int64_t> gateway_{0};
  std::atomic<int64_t> directory_seen_{-1};  // -1 before the first registration
  bool watch_all_ = false;                   // the registration is new
  std::vector<store::LoginRef> unchecked_;   // may have ended
  std::vector<store::LoginRef> ended_;       // whose sessions were told
};

}  // namespace godwit::hint

#pragma once

// Registry: which sessions are open in this process, and which accounts they hold, so that a change
// of an account wakes just them.
//
// Thread-safe. A session is known by its SessionHandle, which outlives it; `session` is touched on
// the executor's thread only. Waking is a Post(), at most one outstanding a session.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "libs/base/executor.h"
#include "libs/store/credentials.h"
#include "libs/store/ids.h"

namespace godwit::hint {

// What the registry can do to a session, on its thread.
class Wakeable {
 public:
  virtual ~Wakeable() = default;
  // The account has changed.
  virtual void OnChange() = 0;
  // The process ends: end as soon as nothing is in progress.
  virtual void OnDrain() = 0;
  // Who is logged in may be so no more: end as soon as nothing is in progress. Told again, a moment
  // later each time, as long as the session is there: end whatever is in progress.
  virtual void OnLockedOut() = 0;
};

struct SessionHandle {
  SessionHandle(base::Executor* e, Wakeable* s) : executor(e), session(s) {}
  base::Executor* const executor;
  Wakeable* session;  // null when it is gone
  std::atomic<bool> posted{false};
  // The registry's.
  int64_t credential = 0;  // what Join() was told
  bool drained = false;    // was told to drain
};

// An account with sessions here.
struct Account {
  explicit Account(store::AccountId i) : id(i) {}
  const store::AccountId id;
  // The highest modseq that we know of.
  std::atomic<store::Modseq> latest{0};
  // The registration of the gateway under which the account is watched; 0 when it is not.
  std::atomic<uint64_t> watched{0};

  // The store was asked after `latest` had been `seen`, and says `actual`. Changes commit before
  // they are hinted, so a greater `seen` was a false hint; kept, it would hide all true ones.
  void Correct(store::Modseq seen, store::Modseq actual) {
    if (actual < seen) latest.compare_exchange_strong(seen, actual);
  }

  // Of the registry.
  std::vector<std::shared_ptr<SessionHandle>> sessions;
  absl::Duration idle_since;
};

class Registry {
 public:
  // A session lives; for Drain.
  void Add(const std::shared_ptr<SessionHandle>& session);
  void Remove(const std::shared_ptr<SessionHandle>& session);
  size_t size() const;

  // A session holds the account until Leave(). `credential`: what it logged in with, 0 for nothing
  // that ends by itself.
  std::shared_ptr<Account> Join(store::AccountId account,
                                const std::shared_ptr<SessionHandle>& session,
                                int64_t credential = 0);
  // `now` is monotonic.
  void Leave(const std::shared_ptr<Account>& account, const std::shared_ptr<SessionHandle>& session,
             absl::Duration now);

  // The account has changed: wakes its sessions but `except`. False when it was known before or
  // nobody holds the account.
  bool Changed(store::AccountId account, store::Modseq modseq,
               const SessionHandle* except = nullptr);

  // By whom sessions are open, each once: of one account, or of all.
  std::vector<store::LoginRef> Logins(store::AccountId account) const;
  std::vector<store::LoginRef> Logins() const;
  // The login is good no more: its sessions have to go. Returns how many there are (still).
  size_t LockOut(const store::LoginRef& login);

  std::vector<std::shared_ptr<Account>> Accounts() const;
  // The account, when it is held (still or again); else nullptr.
  std::shared_ptr<Account> Find(store::AccountId account) const;
  // Forgets up to `limit` accounts that nobody has held since `before`, and names them.
  std::vector<store::AccountId> TakeIdle(absl::Duration before, size_t limit);

  // Tells some sessions to drain that were not told yet: the n-th of `slices` equal shares. The
  // last one is all that are left.
  void Drain(size_t slice, size_t slices);

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_set<std::shared_ptr<SessionHandle>> sessions_;
  absl::flat_hash_map<int64_t, std::shared_ptr<Account>> accounts_;
};

}  // namespace godwit::hint

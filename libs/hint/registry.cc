#include "libs/hint/registry.h"

#include <algorithm>

namespace godwit::hint {
namespace {

void PostChange(const std::shared_ptr<SessionHandle>& handle) {
  if (handle->posted.exchange(true)) return;
  handle->executor->Post([handle] {
    handle->posted = false;
    if (handle->session != nullptr) handle->session->OnChange();
  });
}

void PostDrain(const std::shared_ptr<SessionHandle>& handle) {
  handle->executor->Post([handle] {
    if (handle->session != nullptr) handle->session->OnDrain();
  });
}

void PostLockedOut(const std::shared_ptr<SessionHandle>& handle) {
  handle->executor->Post([handle] {
    if (handle->session != nullptr) handle->session->OnLockedOut();
  });
}

// The registry's mutex is held.
void AppendLogins(const Account& account, std::vector<store::LoginRef>* logins) {
  absl::flat_hash_set<int64_t> credentials;
  for (const auto& session : account.sessions) {
    if (!credentials.insert(session->credential).second) continue;
    logins->push_back({account.id, session->credential});
  }
}

}  // namespace

void Registry::Add(const std::shared_ptr<SessionHandle>& session) {
  std::lock_guard lock(mutex_);
  sessions_.insert(session);
}

void Registry::Remove(const std::shared_ptr<SessionHandle>& session) {
  std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

size_t Registry::size() const {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

std::shared_ptr<Account> Registry::Join(store::AccountId account,
                                        const std::shared_ptr<SessionHandle>& session,
                                        int64_t credential) {
  std::lock_guard lock(mutex_);
  session->credential = credential;
  std::shared_ptr<Account>& entry = accounts_[store::ToInt(account)];
  if (entry == nullptr) entry = std::make_shared<Account>(account);
  entry->sessions.push_back(session);
  return entry;
}

void Registry::Leave(const std::shared_ptr<Account>& account,
                     const std::shared_ptr<SessionHandle>& session, absl::Duration now) {
  std::lock_guard lock(mutex_);
  std::erase(account->sessions, session);
  account->idle_since = now;
}

bool Registry::Changed(store::AccountId account, store::Modseq modseq,
                       const SessionHandle* except) {
  std::lock_guard lock(mutex_);
  const auto at = accounts_.find(store::ToInt(account));
  if (at == accounts_.end() || at->second->latest >= modseq) return false;
  at->second->latest = modseq;
  for (const auto& session : at->second->sessions) {
    if (session.get() != except) PostChange(session);
  }
  return true;
}

std::vector<store::LoginRef> Registry::Logins(store::AccountId account) const {
  std::lock_guard lock(mutex_);
  std::vector<store::LoginRef> logins;
  const auto at = accounts_.find(store::ToInt(account));
  if (at != accounts_.end()) AppendLogins(*at->second, &logins);
  return logins;
}

std::vector<store::LoginRef> Registry::Logins() const {
  std::lock_guard lock(mutex_);
  std::vector<store::LoginRef> logins;
  for (const auto& [id, account] : accounts_) AppendLogins(*account, &logins);
  return logins;
}

size_t Registry::LockOut(const store::LoginRef& login) {
  std::lock_guard lock(mutex_);
  const auto at = accounts_.find(store::ToInt(login.account));
  if (at == accounts_.end()) return 0;
  size_t count = 0;
  for (const auto& session : at->second->sessions) {
    if (session->credential != login.credential) continue;
    PostLockedOut(session);
    ++count;
  }
  return count;
}

std::vector<std::shared_ptr<Account>> Registry::Accounts() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Account>> all;
  all.reserve(accounts_.size());
  for (const auto& [id, account] : accounts_) all.push_back(account);
  return all;
}

std::shared_ptr<Account> Registry::Find(store::AccountId account) const {
  std::lock_guard lock(mutex_);
  const auto at = accounts_.find(store::ToInt(account));
  return at == accounts_.end() ? nullptr : at->second;
}

std::vector<store::AccountId> Registry::TakeIdle(absl::Duration before, size_t limit) {
  std::lock_guard lock(mutex_);
  std::vector<store::AccountId> idle;
  for (const auto& [id, account] : accounts_) {
    if (idle.size() == limit) break;
    if (account->sessions.empty() && account->idle_since < before) idle.push_back(account->id);
  }
  for (const store::AccountId id : idle) accounts_.erase(store::ToInt(id));
  return idle;
}

void Registry::Drain(size_t slice, size_t slices) {
  std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& session : sessions_) {
    if (session->drained || n++ % (slices - slice) != 0) continue;
    session->drained = true;
    PostDrain(session);
  }
}

}  // namespace godwit::hint

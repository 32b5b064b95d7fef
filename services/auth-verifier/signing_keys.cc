#include "services/auth-verifier/signing_keys.h"

#include <optional>
#include <utility>

#include "libs/base/status.h"

namespace godwit::auth_verifier {
namespace {

// Whatever the database says is no verdict about the sender: he comes again.
absl::Status DatabaseFailed(const absl::Status& status) {
  return base::Unavailable("database: " + base::ToString(status));
}

}  // namespace

SigningKeys::SigningKeys(db::Pool* pool, size_t max_domains)
    : pool_(pool), cache_(std::make_shared<Cache>()) {
  cache_->max_domains = max_domains;
}

KeyList SigningKeys::Cache::Find(const std::string& domain,
                                 const std::vector<int64_t>& key_ids) const {
  std::lock_guard lock(mutex);
  const auto found = domains.find(domain);
  if (found == domains.end() || found->second.key_ids != key_ids) return nullptr;
  return found->second.keys;
}

void SigningKeys::Cache::Put(const std::string& domain, Entry entry) {
  std::lock_guard lock(mutex);
  if (domains.size() >= max_domains && !domains.contains(domain)) domains.clear();
  domains[domain] = std::move(entry);
}

base::Task<absl::StatusOr<KeyList>> SigningKeys::For(store::AccountId account, std::string domain) {
  // What the job finds out is its result; what keeps it from finding out is the pool's status.
  using Found = absl::StatusOr<KeyList>;
  auto job = [cache = cache_, account,
              domain = std::move(domain)](db::Connection& connection) -> absl::StatusOr<Found> {
    return Get(connection, cache.get(), account, domain);
  };
  absl::StatusOr<Found> found = co_await pool_->Run(std::move(job));
  if (!found.ok()) co_return DatabaseFailed(found.status());
  co_return *std::move(found);
}

absl::StatusOr<KeyList> SigningKeys::Get(db::Connection& connection, Cache* cache,
                                         store::AccountId account, const std::string& domain) {
  const auto right = store::LookupSigningRight(connection, account, domain);
  if (!right.ok()) return DatabaseFailed(right.status());
  if (!right->ours) return base::FailedPrecondition("the domain is not ours");
  if (account != store::AccountId::kNone && !right->permitted) {
    return base::PermissionDenied("the account can be no sender in the domain");
  }
  if (right->key_ids.empty()) return base::FailedPrecondition("the domain has no active key");
  KeyList kept = cache->Find(domain, right->key_ids);
  if (kept != nullptr) return kept;
  return Read(connection, cache, domain, right->key_ids);
}

absl::StatusOr<KeyList> SigningKeys::Read(db::Connection& connection, Cache* cache,
                                          const std::string& domain,
                                          const std::vector<int64_t>& key_ids) {
  auto stored = store::ReadSigningKeys(connection, key_ids);
  if (!stored.ok()) return DatabaseFailed(stored.status());
  std::vector<dkim::SigningKey> keys;
  for (const store::StoredSigningKey& key : *stored) {
    auto parsed = dkim::PrivateKey::FromPkcs8(key.private_key.Reveal());
    if (!parsed.ok()) {
      return base::Unavailable("key " + key.selector + " of " + domain + " can't be read");
    }
    keys.push_back({key.selector, *std::move(parsed)});
  }
  // Some may have been removed in between.
  if (keys.size() != key_ids.size()) return base::Unavailable("the keys are changing");
  auto list = std::make_shared<const std::vector<dkim::SigningKey>>(std::move(keys));
  cache->Put(domain, {key_ids, list});
  return list;
}

size_t SigningKeys::size() const {
  std::lock_guard lock(cache_->mutex);
  return cache_->domains.size();
}

}  // namespace godwit::auth_verifier

#pragma once

// SigningKeys: the keys a message is signed with, and whether its sender may have it signed.
//
//   auto keys = co_await signing_keys.For(account, "example.org");
//   if (!keys.ok()) co_return keys.status();
//   signer.Finish(**keys);
//
// The right and the list of active keys are asked of the database each time, in one round trip; so
// a change takes effect with the next message. Parsed keys are kept, by their ids, which are never
// used again: the private halves leave the database once.
//
// Any thread; the pool must outlive it and its callers.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dkim/sign.h"
#include "libs/store/dkim_keys.h"

namespace godwit::auth_verifier {

using KeyList = std::shared_ptr<const std::vector<dkim::SigningKey>>;

class SigningKeys {
 public:
  // `max_domains`: whose keys are kept; above, all are forgotten and read again.
  explicit SigningKeys(db::Pool* pool, size_t max_domains = 10000);

  // The active keys of `domain` (A-labels, lower case), at least one. kNone is the suite itself,
  // which may sign for every domain of ours.
  // FailedPrecondition: the domain is not ours or has no active key. PermissionDenied: the account
  // is disabled, unknown, or can be no sender there. Unavailable: no database, or an unusable key.
  base::Task<absl::StatusOr<KeyList>> For(store::AccountId account, std::string domain);

  // Domains whose keys are kept.
  size_t size() const;

 private:
  struct Entry {
    std::vector<int64_t> key_ids;
    KeyList keys;
  };
  // Shared with jobs of the pool, which may outlast us.
  struct Cache {
    size_t max_domains;
    mutable std::mutex mutex;
    absl::flat_hash_map<std::string, Entry> domains;

    KeyList Find(const std::string& domain, const std::vector<int64_t>& key_ids) const;
    void Put(const std::string& domain, Entry entry);
  };

  static absl::StatusOr<KeyList> Get(db::Connection& connection, Cache* cache,
                                     store::AccountId account, const std::string& domain);
  static absl::StatusOr<KeyList> Read(db::Connection& connection, Cache* cache,
                                      const std::string& domain,
                                      const std::vector<int64_t>& key_ids);

  db::Pool* const pool_;
  const std::shared_ptr<Cache> cache_;
};

}  // namespace godwit::auth_verifier

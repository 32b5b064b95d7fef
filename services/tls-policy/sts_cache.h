#pragma once

// StsCache: the MTA-STS policies of other domains (RFC 8461): asks for the record, fetches the
// policy when mtasts::Decide says so, keeps it in PostgreSQL for all replicas and over restarts,
// and in memory for speed. Of one domain one fetch is under way at a time; those who come meanwhile
// wait for it.
//
// Without the database no policy is given that is not in memory: whether one was kept is not known,
// and to go on without would take the protection away. All functions run on a net::Reactor of the
// daemon; any number of them. The object outlives their tasks.

#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dns/resolver.h"
#include "libs/mtasts/cache.h"
#include "services/tls-policy/decision.h"
#include "services/tls-policy/metrics.h"
#include "services/tls-policy/sts_fetch.h"

namespace godwit::tls_policy {

struct StsCacheOptions {
  // In memory; the least recently used ones go first.
  size_t max_domains = 20000;
  size_t max_bytes = 64 << 20;
  // At the same time. Above, a domain that has a policy which is not known gets ResourceExhausted;
  // others are not concerned.
  size_t max_fetches = 200;
};

class StsCache {
 public:
  // Owns none of them.
  StsCache(StsCacheOptions options, const StsFetcher* fetcher, db::Pool* database,
           const base::Clock* clock, Metrics* metrics);

  // The policy of `domain` (lower-case A-labels) with `resolver` for its record. Unavailable or
  // DeadlineExceeded when the database does not answer, ResourceExhausted as above. `fresh`:
  // nothing that is remembered of the record's fetches counts.
  base::Task<absl::StatusOr<StsState>> Get(std::string domain, dns::Resolver* resolver, bool fresh);

  // Fetches again what is due (RFC 8461 §3.3: in time, not when mail waits for it). A failure keeps
  // the policy that is there.
  base::Task<void> RefreshDue(dns::Resolver* resolver);

 private:
  // What is known of a domain.
  struct Entry {
    std::optional<mtasts::CachedPolicy> policy;
    std::optional<mtasts::FailedFetch> failed;
    TlsResult failure = TlsResult::kNone;
    absl::Time looked = absl::InfinitePast();  // into the database
    absl::Time marked = absl::InfinitePast();  // as used
  };
  using Flight = base::Completion<absl::Status>;

  static size_t SizeOf(const Entry& entry);
  std::optional<Entry> Find(const std::string& domain);
  void Put(const std::string& domain, Entry entry);
  // The flight to wait for, or nothing: the caller flies, and must Land().
  std::optional<Flight> Join(const std::string& domain);
  void Land(const std::string& domain, const absl::Status& status);
  bool BeginFetch();  // false: too many
  void EndFetch();

  bool NeedsLook(const Entry& entry, const mtasts::Decision& decision) const;
  base::Task<absl::Status> Refresh(std::string domain, mtasts::RecordAnswer record, bool fresh);
  base::Task<absl::StatusOr<Entry>> Load(std::string domain, Entry known);
  base::Task<Entry> FetchInto(std::string domain, std::string id, Entry entry);
  base::Task<void> RefreshLater(std::string domain, mtasts::RecordAnswer record);
  base::Task<bool> RefreshOne(std::string domain, dns::Resolver* resolver);
  void MarkUsed(const std::string& domain, Entry entry);
  base::Task<void> WriteUsed(std::string domain, absl::Time now);

  const StsCacheOptions options_;
  const StsFetcher* const fetcher_;
  db::Pool* const database_;
  const base::Clock* const clock_;
  Metrics* const metrics_;

  std::mutex mutex_;                                  // guards what follows
  std::list<std::pair<std::string, Entry>> entries_;  // the most recently used one first
  std::map<std::string, std::list<std::pair<std::string, Entry>>::iterator> index_;
  size_t bytes_ = 0;  // of entries_, roughly
  std::map<std::string, std::vector<Flight>> flights_;
  size_t fetches_ = 0;
};

// The answer for _mta-sts.DOMAIN as what Decide wants.
mtasts::RecordAnswer ReadRecordAnswer(const base::DnsAnswer& answer);

}  // namespace godwit::tls_policy

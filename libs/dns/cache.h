#pragma once

// Cache: a dns::Resolver in front of another one that remembers answers.
//
// Positive and negative answers live for their TTL within bounds (RFC 2308), temporary failures for
// a few seconds, so that a dead server is not asked by every session. Equal questions in flight are
// asked once. At most `max_entries` answers of kMeanBytes each in the mean (strangers choose how
// large they are), the least recently used one goes first. Any thread.
//
// An answer from the cache has the TTL that is left.

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/dns_answer.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"

namespace godwit::dns {

struct CacheOptions {
  size_t max_entries = 20000;
  absl::Duration min_ttl = absl::Seconds(1);
  absl::Duration max_ttl = absl::Hours(1);
  // RFC 2308 §5 advises at most three hours; new domains should not wait that long.
  absl::Duration max_negative_ttl = absl::Minutes(5);
  absl::Duration temp_fail_ttl = absl::Seconds(5);
};

class Cache : public Resolver {
 public:
  static constexpr size_t kMeanBytes = 2048;

  // Owns neither.
  Cache(Resolver* next, const base::Clock* clock, CacheOptions options = {});

  base::Task<base::DnsAnswer> Resolve(base::DnsQuestion question) override;

  struct Stats {
    uint64_t hits = 0;
    uint64_t misses = 0;  // asked of the next resolver
    uint64_t joined = 0;  // waited for an equal question in flight
    size_t entries = 0;
    size_t bytes = 0;
  };
  Stats stats() const;
  void Clear();

 private:
  struct Entry {
    base::DnsQuestion question;
    base::DnsAnswer answer;
    absl::Duration expires;  // monotonic
    size_t bytes;            // of memory, about
  };
  using Waiters = std::vector<base::Completion<base::DnsAnswer>>;

  // What the cache has; else the flight of an equal question; else nothing: the caller asks.
  using Known = std::variant<std::monostate, base::DnsAnswer, base::Completion<base::DnsAnswer>>;
  Known Lookup(const base::DnsQuestion& question);
  void Land(const base::DnsQuestion& question, const base::DnsAnswer& answer);
  using Entries = std::list<Entry>;
  void EraseLocked(Entries::iterator entry);
  void StoreLocked(const base::DnsQuestion& question, const base::DnsAnswer& answer);
  absl::Duration Lifetime(const base::DnsAnswer& answer) const;

  Resolver* const next_;
  const base::Clock* const clock_;
  const CacheOptions options_;
  mutable std::mutex mutex_;
  Entries entries_;  // the most recently used one first
  size_t bytes_ = 0;
  std::map<base::DnsQuestion, Entries::iterator> index_;
  std::map<base::DnsQuestion, Waiters> in_flight_;
  Stats stats_;
};

}  // namespace godwit::dns

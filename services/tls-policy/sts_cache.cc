#include "services/tls-policy/sts_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/store/tls_policy.h"

namespace godwit::tls_policy {
namespace {

constexpr int kMostDue = 200;
// Of these, at the same time.
constexpr size_t kRefreshedAtOnce = 10;

// What is not in memory, or is over, may have come into the database by another replica: as long as
// the record is missing nothing else would tell, and to drop the record is an attacker's way around
// a policy (RFC 8461 §10.2).
constexpr absl::Duration kLookAgain = absl::Minutes(1);
// Mail that is answered from memory is use, too.
constexpr absl::Duration kMarkAgain = absl::Hours(12);

mtasts::CachedPolicy FromStore(store::StsPolicy kept) {
  mtasts::CachedPolicy cached;
  cached.id = std::move(kept.record_id);
  cached.policy.mode = mtasts::ParseMode(kept.mode).value_or(mtasts::Mode::kNone);
  cached.policy.mx = std::move(kept.mx);
  cached.policy.max_age = kept.max_age;
  cached.fetched = kept.fetched;
  return cached;
}

store::StsPolicy ToStore(const std::string& domain, const mtasts::CachedPolicy& cached) {
  return {domain,
          cached.id,
          std::string(mtasts::ModeName(cached.policy.mode)),
          cached.policy.mx,
          cached.policy.max_age,
          cached.fetched};
}

std::string_view FailureLabel(TlsResult result) {
  switch (result) {
    case TlsResult::kStsPolicyInvalid: return "invalid";
    case TlsResult::kStsWebPkiInvalid: return "certificate";
    default: return "unreachable";
  }
}

}  // namespace

mtasts::RecordAnswer ReadRecordAnswer(const base::DnsAnswer& answer) {
  mtasts::RecordAnswer record;
  record.failed = answer.outcome == base::DnsOutcome::kTempFail;
  if (answer.found()) record.id = mtasts::ReadRecord(answer.texts);
  return record;
}

StsCache::StsCache(StsCacheOptions options, const StsFetcher* fetcher, db::Pool* database,
                   const base::Clock* clock, Metrics* metrics)
    : options_(options), fetcher_(fetcher), database_(database), clock_(clock), metrics_(metrics) {}

// --- Memory

std::optional<StsCache::Entry> StsCache::Find(const std::string& domain) {
  std::lock_guard lock(mutex_);
  const auto found = index_.find(domain);
  if (found == index_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().second;
}

size_t StsCache::SizeOf(const Entry& entry) {
  size_t size = 400;
  if (entry.policy) {
    for (const std::string& pattern : entry.policy->policy.mx) size += 40 + pattern.size();
  }
  return size;
}

void StsCache::Put(const std::string& domain, Entry entry) {
  std::lock_guard lock(mutex_);
  const auto found = index_.find(domain);
  if (found != index_.end()) {
    bytes_ -= SizeOf(found->second->second);
    entries_.erase(found->second);
  }
  bytes_ += SizeOf(entry);
  entries_.emplace_front(domain, std::move(entry));
  index_[domain] = entries_.begin();
  while (entries_.size() > options_.max_domains || bytes_ > options_.max_bytes) {
    bytes_ -= SizeOf(entries_.back().second);
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

std::optional<StsCache::Flight> StsCache::Join(const std::string& domain) {
  std::lock_guard lock(mutex_);
  const auto [found, first] = flights_.try_emplace(domain);
  if (first) return std::nullopt;
  found->second.emplace_back();
  return found->second.back();
}

bool StsCache::BeginFetch() {
  std::lock_guard lock(mutex_);
  if (fetches_ >= options_.max_fetches) return false;
  ++fetches_;
  return true;
}

void StsCache::EndFetch() {
  std::lock_guard lock(mutex_);
  --fetches_;
}

void StsCache::Land(const std::string& domain, const absl::Status& status) {
  std::unique_lock lock(mutex_);
  const auto node = flights_.extract(domain);
  lock.unlock();
  for (const Flight& each : node.mapped()) each.Set(status);
}

// --- Asking

bool StsCache::NeedsLook(const Entry& entry, const mtasts::Decision& decision) const {
  return !decision.use_cached && clock_->Now() >= entry.looked + kLookAgain;
}

base::Task<absl::StatusOr<StsState>> StsCache::Get(std::string domain, dns::Resolver* resolver,
                                                   bool fresh) {
  base::DnsQuestion question{"_mta-sts." + domain, base::DnsType::kTxt};
  const base::DnsAnswer answer = co_await resolver->Resolve(std::move(question));
  const mtasts::RecordAnswer record = ReadRecordAnswer(answer);
  std::optional<Entry> entry = Find(domain);
  auto decision = entry ? mtasts::Decide(entry->policy, record, entry->failed, clock_->Now())
                        : mtasts::Decision{};
  if (!entry || fresh || NeedsLook(*entry, decision) ||
      decision.fetch == mtasts::Decision::Fetch::kNow) {
    absl::Status done;
    if (const auto flight = Join(domain)) {
      done = co_await *flight;
    } else {
      done = co_await Refresh(domain, record, fresh);
      Land(domain, done);
    }
    if (!done.ok()) co_return done;
    entry = Find(domain).value_or(Entry{});
    decision = mtasts::Decide(entry->policy, record, entry->failed, clock_->Now());
  } else if (decision.fetch == mtasts::Decision::Fetch::kBackground) {
    base::Spawn(RefreshLater(domain, record));
  }
  if (entry->policy) MarkUsed(domain, *entry);
  StsState state;
  if (decision.use_cached) state.policy = std::move(entry->policy);
  if (record.id && !decision.use_cached) state.failure = entry->failure;
  co_return state;
}

// What is known into memory: from the database, and from the domain where Decide wants it.
base::Task<absl::Status> StsCache::Refresh(std::string domain, mtasts::RecordAnswer record,
                                           bool fresh) {
  Entry entry = Find(domain).value_or(Entry{});
  auto decision = mtasts::Decide(entry.policy, record, entry.failed, clock_->Now());
  if (NeedsLook(entry, decision)) {
    auto loaded = co_await Load(domain, std::move(entry));
    if (!loaded.ok()) co_return loaded.status();
    entry = *std::move(loaded);
  }
  if (fresh) entry.failed.reset();
  decision = mtasts::Decide(entry.policy, record, entry.failed, clock_->Now());
  const bool fetch = decision.fetch != mtasts::Decision::Fetch::kNo || (fresh && record.id);
  absl::Status status;
  if (fetch && BeginFetch()) {
    entry = co_await FetchInto(domain, *record.id, std::move(entry));
    EndFetch();
  } else if (fetch && !decision.use_cached) {
    status = base::ResourceExhausted("too many MTA-STS policies are being fetched");
  }
  Put(domain, std::move(entry));
  co_return status;
}

// `known` with what the database has.
base::Task<absl::StatusOr<StsCache::Entry>> StsCache::Load(std::string domain, Entry known) {
  auto kept = co_await database_->Run(
      [domain](db::Connection& connection) { return store::FindStsPolicy(connection, domain); });
  if (!kept.ok()) co_return kept.status();
  known.looked = clock_->Now();
  if (*kept) known.policy = FromStore(*std::move(*kept));
  co_return known;
}

void StsCache::MarkUsed(const std::string& domain, Entry entry) {
  const absl::Time now = clock_->Now();
  if (now < entry.marked + kMarkAgain) return;
  entry.marked = now;
  Put(domain, std::move(entry));
  base::Spawn(WriteUsed(domain, now));
}

base::Task<void> StsCache::WriteUsed(std::string domain, absl::Time now) {
  const absl::Status marked = co_await database_->Run([domain, now](db::Connection& connection) {
    return store::MarkStsPolicyUsed(connection, domain, now);
  });
  if (!marked.ok()) {
    obs::Log(obs::Level::kWarning, "MTA-STS policy not marked as used", {{"status", marked}});
  }
}

base::Task<StsCache::Entry> StsCache::FetchInto(std::string domain, std::string id, Entry entry) {
  StsFetched fetched = co_await fetcher_->Fetch(domain);
  if (const auto* failure = std::get_if<StsFailure>(&fetched)) {
    metrics_->sts_fetches.At({FailureLabel(failure->result)}).Add();
    obs::Log(obs::Level::kInfo, "no MTA-STS policy",
             {{"domain", domain}, {"reason", failure->reason}});
    // RFC 8461 §3.3: what was fetched before stays good.
    entry.failed = mtasts::FailedFetch{std::move(id), clock_->Now()};
    entry.failure = failure->result;
    co_return entry;
  }
  metrics_->sts_fetches.At({"fetched"}).Add();
  mtasts::CachedPolicy cached{std::move(id), std::get<mtasts::Policy>(std::move(fetched)),
                              clock_->Now()};
  store::StsPolicy kept = ToStore(domain, cached);
  const absl::Time now = clock_->Now();
  const absl::Status put = co_await database_->Run([kept, now](db::Connection& connection) {
    return store::PutStsPolicy(connection, kept, now);
  });
  // It is good all the same; the next to fetch it keeps it.
  if (!put.ok()) obs::Log(obs::Level::kWarning, "MTA-STS policy not kept", {{"status", put}});
  entry.policy = std::move(cached);
  entry.failed.reset();
  entry.failure = TlsResult::kNone;
  co_return entry;
}

// --- In time

base::Task<void> StsCache::RefreshLater(std::string domain, mtasts::RecordAnswer record) {
  if (Join(domain)) co_return;  // somebody does it
  const absl::Status done = co_await Refresh(domain, std::move(record), false);
  Land(domain, done);
}

base::Task<void> StsCache::RefreshDue(dns::Resolver* resolver) {
  const absl::Time now = clock_->Now();
  auto due = co_await database_->Run([now](db::Connection& connection) {
    return store::TakeDueStsPolicies(connection, now, kMostDue);
  });
  if (!due.ok()) {
    obs::Log(obs::Level::kWarning, "due MTA-STS policies not read", {{"status", due.status()}});
    co_return;
  }
  // Servers that are gone take their time: they must not have it one after the other.
  for (size_t begin = 0; begin < due->size(); begin += kRefreshedAtOnce) {
    std::vector<base::Task<bool>> some;
    for (size_t i = begin; i < std::min(due->size(), begin + kRefreshedAtOnce); ++i) {
      some.push_back(RefreshOne((*due)[i], resolver));
    }
    co_await base::WhenAll(std::move(some));
  }
}

// False: the database is away.
base::Task<bool> StsCache::RefreshOne(std::string domain, dns::Resolver* resolver) {
  base::DnsQuestion question{"_mta-sts." + domain, base::DnsType::kTxt};
  const base::DnsAnswer answer = co_await resolver->Resolve(std::move(question));
  mtasts::RecordAnswer record = ReadRecordAnswer(answer);
  // Another replica may have renewed it: what is in memory gives way to the database.
  auto loaded = co_await Load(domain, Find(domain).value_or(Entry{}));
  if (!loaded.ok()) co_return false;
  Put(domain, *std::move(loaded));
  co_await RefreshLater(domain, std::move(record));
  co_return true;
}

}  // namespace godwit::tls_policy

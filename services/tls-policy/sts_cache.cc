#include "services/tls-policy/sts_cache.h"

#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/store/tls_policy.h"

namespace godwit::tls_policy {
namespace {

constexpr int kMostDue = 200;

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

absl::StatusOr<std::optional<StsCache::Flight>> StsCache::Join(const std::string& domain) {
  std::lock_guard lock(mutex_);
  const auto found = flights_.find(domain);
  if (found != flights_.end()) {
    found->second.emplace_back();
    return std::optional(found->second.back());
  }
  if (flights_.size() >= options_.max_fetches) {
    return base::ResourceExhausted("too many MTA-STS policies are being fetched");
  }
  flights_[domain];
  return std::optional<Flight>();
}

void StsCache::Land(const std::string& domain, const absl::Status& status) {
  std::unique_lock lock(mutex_);
  const auto node = flights_.extract(domain);
  lock.unlock();
  for (const Flight& each : node.mapped()) each.Set(status);
}

// --- Asking

base::Task<absl::StatusOr<StsState>> StsCache::Get(std::string domain, dns::Resolver* resolver,
                                                   bool fresh) {
  base::DnsQuestion question{"_mta-sts." + domain, base::DnsType::kTxt};
  const base::DnsAnswer answer = co_await resolver->Resolve(std::move(question));
  const mtasts::RecordAnswer record = ReadRecordAnswer(answer);
  std::optional<Entry> entry = Find(domain);
  auto decision = entry ? mtasts::Decide(entry->policy, record, entry->failed, clock_->Now())
                        : mtasts::Decision{};
  if (!entry || fresh || decision.fetch == mtasts::Decision::Fetch::kNow) {
    const auto flight = Join(domain);
    if (!flight.ok()) co_return flight.status();
    absl::Status done;
    if (*flight) {
      done = co_await **flight;
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
  StsState state;
  if (decision.use_cached) state.policy = std::move(entry->policy);
  if (record.id && !decision.use_cached) state.failure = entry->failure;
  co_return state;
}

// What is known into memory: from the database, and from the domain where Decide wants it.
base::Task<absl::Status> StsCache::Refresh(std::string domain, mtasts::RecordAnswer record,
                                           bool fresh) {
  std::optional<Entry> entry = Find(domain);
  if (!entry) {
    auto loaded = co_await Load(domain);
    if (!loaded.ok()) co_return loaded.status();
    entry = *std::move(loaded);
  }
  if (fresh) entry->failed.reset();
  const auto decision = mtasts::Decide(entry->policy, record, entry->failed, clock_->Now());
  const bool fetch = decision.fetch != mtasts::Decision::Fetch::kNo || (fresh && record.id);
  if (fetch) entry = co_await FetchInto(domain, *record.id, *std::move(entry));
  Put(domain, *std::move(entry));
  co_return absl::OkStatus();
}

base::Task<absl::StatusOr<StsCache::Entry>> StsCache::Load(std::string domain) {
  const absl::Time now = clock_->Now();
  auto kept = co_await database_->Run([domain, now](db::Connection& connection) {
    return store::FindStsPolicy(connection, domain, now);
  });
  if (!kept.ok()) co_return kept.status();
  Entry entry;
  if (*kept) entry.policy = FromStore(*std::move(*kept));
  co_return entry;
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
  co_return Entry{.policy = std::move(cached), .failed = {}, .failure = TlsResult::kNone};
}

// --- In time

base::Task<void> StsCache::RefreshLater(std::string domain, mtasts::RecordAnswer record) {
  const auto flight = Join(domain);
  if (!flight.ok() || *flight) co_return;  // somebody does it
  const absl::Status done = co_await Refresh(domain, std::move(record), false);
  Land(domain, done);
}

base::Task<void> StsCache::RefreshDue(dns::Resolver* resolver) {
  const absl::Time now = clock_->Now();
  auto due = co_await database_->Run([now](db::Connection& connection) {
    return store::DueStsPolicies(connection, now, kMostDue);
  });
  if (!due.ok()) {
    obs::Log(obs::Level::kWarning, "due MTA-STS policies not read", {{"status", due.status()}});
    co_return;
  }
  for (const std::string& domain : *due) {
    base::DnsQuestion question{"_mta-sts." + domain, base::DnsType::kTxt};
    const base::DnsAnswer answer = co_await resolver->Resolve(std::move(question));
    mtasts::RecordAnswer record = ReadRecordAnswer(answer);
    // Another replica may have renewed it: what is in memory gives way to the database.
    auto loaded = co_await Load(domain);
    if (!loaded.ok()) co_return;
    if (const auto entry = Find(domain)) {
      loaded->failed = entry->failed;
      loaded->failure = entry->failure;
    }
    Put(domain, *std::move(loaded));
    co_await RefreshLater(domain, std::move(record));
  }
}

}  // namespace godwit::tls_policy

#include "libs/testing/fake_resolver.h"

#include <utility>

namespace godwit::testing {

base::Task<base::DnsAnswer> FakeResolver::Resolve(base::DnsQuestion question) {
  std::lock_guard lock(mutex_);  // nothing is awaited here
  ++counts_[question];
  co_return zone_.Lookup(question);
}

void FakeResolver::Set(FakeZone zone) {
  std::lock_guard lock(mutex_);
  zone_ = std::move(zone);
}

int FakeResolver::count(const base::DnsQuestion& question) const {
  std::lock_guard lock(mutex_);
  const auto found = counts_.find(question);
  return found == counts_.end() ? 0 : found->second;
}

int FakeResolver::total() const {
  std::lock_guard lock(mutex_);
  int total = 0;
  for (const auto& entry : counts_) total += entry.second;
  return total;
}

}  // namespace godwit::testing

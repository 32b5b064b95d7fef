#include "services/tls-policy/outcomes.h"

#include <tuple>
#include <utility>

#include "libs/base/status.h"

namespace godwit::tls_policy {
namespace {

// Rows of one transaction.
constexpr size_t kBatch = 2000;

auto Key(const store::TlsOutcome& each) {
  return std::tie(each.at, each.domain, each.policy_type, each.policy, each.mx_patterns,
                  each.result, each.mx_host, each.mx_helo, each.sending_ip, each.receiving_ip,
                  each.reason);
}

}  // namespace

bool Outcomes::Less::operator()(const store::TlsOutcome& a, const store::TlsOutcome& b) const {
  return Key(a) < Key(b);
}

void Outcomes::AddLocked(store::TlsOutcome outcome) {
  const int64_t sessions = outcome.sessions;
  outcome.sessions = 0;
  counters_[std::move(outcome)] += sessions;
}

absl::Status Outcomes::Add(std::vector<store::TlsOutcome> outcomes) {
  std::lock_guard lock(mutex_);
  if (counters_.size() + outcomes.size() > max_pending_) {
    metrics_->outcomes.At({"dropped"}).Add(static_cast<double>(outcomes.size()));
    return base::ResourceExhausted("too many TLS outcomes are waiting");
  }
  constexpr int64_t kDay = 24 * 60 * 60;
  for (store::TlsOutcome& each : outcomes) {
    metrics_->outcomes.At({each.result == 1 ? "success" : "failure"}).Add();
    each.at = absl::FromUnixSeconds(absl::ToUnixSeconds(each.at) / kDay * kDay);
    AddLocked(std::move(each));
  }
  metrics_->outcomes_pending.Set(static_cast<double>(counters_.size()));
  return absl::OkStatus();
}

base::Task<absl::Status> Outcomes::Flush() {
  for (;;) {
    std::vector<store::TlsOutcome> batch;
    {
      std::lock_guard lock(mutex_);
      while (!counters_.empty() && batch.size() < kBatch) {
        auto node = counters_.extract(counters_.begin());
        batch.push_back(std::move(node.key()));
        batch.back().sessions = node.mapped();
      }
      metrics_->outcomes_pending.Set(static_cast<double>(counters_.size()));
    }
    if (batch.empty()) co_return absl::OkStatus();
    const absl::Status written = co_await database_->Run(
        [batch](db::Connection& connection) { return store::AddTlsOutcomes(connection, batch); });
    if (written.ok()) continue;
    if (base::IsRetryable(written)) {
      std::lock_guard lock(mutex_);
      for (store::TlsOutcome& each : batch) AddLocked(std::move(each));
    }
    co_return written;
  }
}

size_t Outcomes::pending() const {
  std::lock_guard lock(mutex_);
  return counters_.size();
}

}  // namespace godwit::tls_policy

#include "services/auth-verifier/list_monitor.h"

#include <algorithm>
#include <utility>

#include "libs/dns/drive.h"
#include "libs/obs/log.h"

namespace godwit::auth_verifier {
namespace {

constexpr int kMaxUnanswered = 3;
constexpr absl::Duration kRetry = absl::Minutes(1);

std::string_view KindName(dnsbl::Kind kind) {
  return kind == dnsbl::Kind::kAllow ? "allow" : "block";
}

}  // namespace

ListMonitor::ListMonitor(ListOptions options, dns::Resolver* resolver, Metrics* metrics)
    : options_(std::move(options)),
      resolver_(resolver),
      metrics_(metrics),
      usable_(std::make_shared<const std::vector<dnsbl::List>>()) {
  for (const dnsbl::List& list : options_.lists) states_[list.zone];
  metrics_->lists.At({"out_of_order"}).Set(static_cast<double>(states_.size()));
}

base::Task<void> ListMonitor::Check() {
  std::set<std::string> listed;
  for (const dnsbl::List& list : options_.lists) {
    co_await CheckList(list);
    if (list.kind == dnsbl::Kind::kBlock) co_await CheckOwn(list, &listed);
  }
  metrics_->own_addresses_listed.Set(static_cast<double>(listed.size()));
  own_listed_ = std::move(listed);
}

base::Task<void> ListMonitor::CheckList(dnsbl::List list) {
  const dnsbl::Health health = co_await dns::Drive(
      resolver_,
      [&list](const base::DnsAnswers& answers) { return dnsbl::CheckHealth(list, answers); });
  SetUsable(list.zone, health.problem);
}

// What a list out of order says of our addresses is not worth a word.
base::Task<void> ListMonitor::CheckOwn(dnsbl::List list, std::set<std::string>* listed) {
  {
    std::lock_guard lock(mutex_);
    if (!states_[list.zone].usable) co_return;
  }
  const std::vector<dnsbl::List> one = {list};
  for (const base::IpAddress& own : options_.own_addresses) {
    const dnsbl::Subjects subjects{own, {}};
    const std::vector<dnsbl::Result> results =
        co_await dns::Drive(resolver_, [&one, &subjects](const base::DnsAnswers& answers) {
          return dnsbl::Evaluate(one, subjects, answers);
        });
    for (const dnsbl::Result& result : results) {
      const std::string key = result.subject + " " + result.list;
      const bool before = own_listed_.contains(key);
      if (result.outcome == dnsbl::Outcome::kListed) {
        listed->insert(key);
        if (before) continue;
        obs::Log(obs::Level::kWarning, "an address of ours is listed",
                 {{"address", result.subject}, {"list", result.list}, {"text", result.text}});
      } else if (before) {
        obs::Log(obs::Level::kInfo, "an address of ours is listed no more",
                 {{"address", result.subject}, {"list", result.list}});
      }
    }
  }
}

void ListMonitor::SetUsable(const std::string& zone, const std::string& problem) {
  std::lock_guard lock(mutex_);
  State& state = states_[zone];
  const bool usable = problem.empty();
  if (!usable && state.problem != problem) {
    obs::Log(obs::Level::kWarning, "a DNS list is out of order and not asked",
             {{"list", zone}, {"problem", problem}});
  } else if (usable && !state.problem.empty()) {
    obs::Log(obs::Level::kInfo, "a DNS list is in order again", {{"list", zone}});
  }
  state = {.usable = usable, .unanswered = 0, .problem = problem};
  Publish();
}

void ListMonitor::Publish() {
  auto usable = std::make_shared<std::vector<dnsbl::List>>();
  for (const dnsbl::List& list : options_.lists) {
    if (states_[list.zone].usable) usable->push_back(list);
  }
  metrics_->lists.At({"in_order"}).Set(static_cast<double>(usable->size()));
  metrics_->lists.At({"out_of_order"}).Set(static_cast<double>(states_.size() - usable->size()));
  usable_ = std::move(usable);
}

absl::Duration ListMonitor::pause() const {
  std::lock_guard lock(mutex_);
  const bool all = usable_->size() == states_.size();
  return all ? options_.interval : std::min(options_.interval, kRetry);
}

ListMonitor::Lists ListMonitor::Usable() const {
  std::lock_guard lock(mutex_);
  return usable_;
}

void ListMonitor::Observe(const std::vector<dnsbl::Result>& results) {
  std::set<std::string> silent;
  std::set<std::string> answered;
  for (const dnsbl::Result& result : results) {
    metrics_->list_results.At({KindName(result.kind), dnsbl::OutcomeName(result.outcome)}).Add();
    auto& seen = result.outcome == dnsbl::Outcome::kNoAnswer ? silent : answered;
    seen.insert(result.list);
  }
  std::lock_guard lock(mutex_);
  for (const std::string& zone : answered) states_[zone].unanswered = 0;
  bool changed = false;
  for (const std::string& zone : silent) {
    State& state = states_[zone];
    if (answered.contains(zone) || ++state.unanswered < kMaxUnanswered || !state.usable) continue;
    state.usable = false;
    state.problem = "does not answer";
    changed = true;
    obs::Log(obs::Level::kWarning, "a DNS list does not answer and is not asked", {{"list", zone}});
  }
  if (changed) Publish();
}

}  // namespace godwit::auth_verifier

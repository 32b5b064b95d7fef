#pragma once

// ListMonitor: which DNS lists are in order, and whether they list ourselves.
//
//   ListMonitor monitor(options, resolver, metrics);
//   co_await monitor.Check();                    // again after monitor.pause()
//   options.lists = *monitor.Usable();           // for each message
//   monitor.Observe(verdict.lists);
//
// A list is used after it has passed its check (RFC 5782 §5), until it fails one or does not answer
// for three messages in a row: a dead list then costs time until its next check only. Our own
// addresses are looked up at every check; one that gets on a list is a warning in the log and
// counts in a gauge.

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/dnsbl/list.h"
#include "libs/dnsbl/lookup.h"
#include "services/auth-verifier/metrics.h"

namespace godwit::auth_verifier {

struct ListOptions {
  std::vector<dnsbl::List> lists;
  std::vector<base::IpAddress> own_addresses;
  absl::Duration interval = absl::Minutes(10);
};

class ListMonitor {
 public:
  using Lists = std::shared_ptr<const std::vector<dnsbl::List>>;

  ListMonitor(ListOptions options, dns::Resolver* resolver, Metrics* metrics);

  // One round over all lists. Not twice at the same time.
  base::Task<void> Check();
  // Until the next round: shorter while a list is out of order.
  absl::Duration pause() const;

  // Below: any thread.

  // The lists that are in order; none before the first Check().
  Lists Usable() const;
  // What was found for one message: counts it, and sees lists that do not answer.
  void Observe(const std::vector<dnsbl::Result>& results);

 private:
  struct State {
    bool usable = false;
    int unanswered = 0;   // messages in a row
    std::string problem;  // the last that was logged
  };

  base::Task<void> CheckList(dnsbl::List list);
  base::Task<void> CheckOwn(dnsbl::List list, std::set<std::string>* listed);
  void SetUsable(const std::string& zone, const std::string& problem);
  void Publish();  // with mutex_ held

  const ListOptions options_;
  dns::Resolver* const resolver_;
  Metrics* const metrics_;
  std::set<std::string> own_listed_;  // "192.0.2.1 bl.example"; belongs to Check()

  mutable std::mutex mutex_;
  std::map<std::string, State> states_;  // by zone
  Lists usable_;
};

}  // namespace godwit::auth_verifier

#pragma once

// Router: from a recipient's domain to its route: our own domains to smtp-ingress, what it has sent
// on to the domain's other server, all others as `outbound` says. Answers are remembered: whose a
// domain is for two seconds, hosts for as long as tls-policy says.
//
// One thread (the worker's). Who asks for a domain that is being looked up waits for that answer.
// Find() always ends with a route or a refusal; whatever fails of ours
// is a 451.

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/random.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/dns/resolver.h"
#include "services/delivery-queue/policy_client.h"
#include "services/delivery-queue/route.h"
#include "services/delivery-queue/settings.h"

namespace godwit::delivery_queue {

class Router {
 public:
  struct Parts {
    const Settings* settings = nullptr;
    const base::Clock* clock = nullptr;
    db::Pool* pool = nullptr;
    dns::Resolver* resolver = nullptr;
    PolicyClient* policy = nullptr;  // null with kCapture only
    base::RandomSource* random = nullptr;
  };
  explicit Router(const Parts& parts) : parts_(parts) {}

  // `domain` in A-label form, or an address literal. `sent_on`: smtp-ingress has said already that
  // the message goes on. All other mail of our domains goes there: it knows who is here, what is
  // refused, and which addresses are rewritten senders (SRS).
  base::Task<RouteAnswer> Find(std::string domain, bool sent_on);

 private:
  struct Known {
    RouteAnswer answer;
    absl::Duration until;
  };

  using Cache = std::map<std::string, Known>;

  static const RouteAnswer* Look(const Cache& cache, const std::string& domain, absl::Duration now);
  static void Keep(Cache* cache, const std::string& domain, RouteAnswer answer,
                   absl::Duration until);
  base::Task<RouteAnswer> FindNow(std::string domain, bool sent_on, absl::Duration* valid);
  base::Task<RouteAnswer> SendOn(std::string domain, std::string next_hop, absl::Duration* valid);
  base::Task<RouteAnswer> Outside(std::string domain);
  base::Task<RouteAnswer> ToTarget(RouteKind kind, Target target, absl::Duration* valid);
  base::Task<RouteAnswer> Direct(std::string domain, absl::Duration* valid);
  base::Task<RouteAnswer> BeforeUs(std::string domain, absl::Duration* valid);
  base::Task<RouteAnswer> Host(RouteKind kind, Target target, absl::Duration* valid);
  base::Task<absl::StatusOr<PolicyAnswer>> Ask(std::string domain, uint16_t port, bool host_only);
  // The same, with how long the answer holds; logs that there is none.
  base::Task<absl::StatusOr<PolicyAnswer>> AskPolicy(std::string domain, uint16_t port,
                                                     bool host_only, absl::Duration* valid);

  const Parts parts_;
  Cache known_;    // whose a domain is, with its route; " " behind the domain: sent on
  Cache outside_;  // routes of those that are not ours
  // Domains that are being looked up, and who waits for them.
  std::map<std::string, std::vector<base::Completion<RouteAnswer>>> flights_;
};

}  // namespace godwit::delivery_queue

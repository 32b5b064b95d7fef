#include "services/delivery-queue/router.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/runtime/units.h"
#include "libs/store/directory.h"

namespace godwit::delivery_queue {
namespace {

// What an administrator changes takes effect within two seconds.
constexpr absl::Duration kOwnValid = absl::Seconds(2);
constexpr size_t kMaxKnown = 20000;
// Between questions to a tls-policy that has too much to do: some two minutes in all.
constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Seconds(64);

RouteAnswer Refuse(int code, std::string_view enhanced, std::string_view text) {
  RouteAnswer answer;
  answer.refusal = {code, std::string(enhanced), {std::string(text)}};
  return answer;
}

RouteAnswer Use(Route route) {
  RouteAnswer answer;
  route.site = SiteOf(route);
  route.lane = LaneOf(route);
  answer.route = std::make_shared<const Route>(std::move(route));
  return answer;
}

// RFC 5321 §4.1.3.
std::optional<base::IpAddress> ParseLiteral(std::string_view domain) {
  if (domain.size() < 2 || domain.front() != '[' || domain.back() != ']') return std::nullopt;
  std::string_view inside = domain.substr(1, domain.size() - 2);
  constexpr std::string_view kV6 = "IPv6:";
  if (base::StartsWithIgnoreCase(inside, kV6)) inside.remove_prefix(kV6.size());
  return base::IpAddress::Parse(inside);
}

RouteAnswer ToAddress(RouteKind kind, const std::string& name, const base::IpAddress& address,
                      uint16_t port) {
  Route route;
  route.kind = kind;
  route.port = port;
  RouteHost host;
  host.name = name;
  host.addresses = {address};
  host.need = kind == RouteKind::kInternal ? TlsNeed::kInternal : TlsNeed::kOpportunistic;
  route.hosts.push_back(std::move(host));
  return Use(std::move(route));
}

RouteAnswer FromPolicy(PolicyAnswer policy, RouteKind kind, uint16_t port) {
  switch (policy.outcome) {
    case PolicyOutcome::kOk: break;
    // RFC 7505 §4.2, RFC 7504.
    case PolicyOutcome::kNullMx: return Refuse(556, "5.1.10", "The domain takes no mail");
    case PolicyOutcome::kNoDomain: return Refuse(550, "5.1.2", "There is no such domain");
    case PolicyOutcome::kTemporary:
      return Refuse(451, "4.4.3", "The domain's DNS can not be asked now: " + policy.reason);
  }
  Route route;
  route.kind = kind;
  route.port = port;
  route.hosts = std::move(policy.hosts);
  return Use(std::move(route));
}

RouteAnswer NoPolicy(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kInvalidArgument) {
    return Refuse(550, "5.1.2", "There is no such domain");
  }
  return Refuse(451, "4.4.3", "The domain's hosts can not be looked up now");
}

}  // namespace

const RouteAnswer* Router::Look(const Cache& cache, const std::string& domain, absl::Duration now) {
  const auto known = cache.find(domain);
  return known != cache.end() && known->second.until > now ? &known->second.answer : nullptr;
}

void Router::Keep(Cache* cache, const std::string& domain, RouteAnswer answer,
                  absl::Duration until) {
  // Forgetting all of them now and then is as good as forgetting one by one.
  if (cache->size() >= kMaxKnown) cache->clear();
  (*cache)[domain] = {std::move(answer), until};
}

base::Task<RouteAnswer> Router::Find(std::string domain, bool sent_on) {
  const absl::Duration now = parts_.clock->Monotonic();
  const std::string key = sent_on ? domain + " " : domain;
  if (const RouteAnswer* known = Look(known_, key, now)) co_return *known;
  const auto [flight, first] = flights_.try_emplace(key);
  if (!first) {
    base::Completion<RouteAnswer> landed = flight->second.emplace_back();
    RouteAnswer answer = co_await landed;
    co_return answer;
  }
  absl::Duration valid = absl::ZeroDuration();
  RouteAnswer answer = co_await FindNow(std::move(domain), sent_on, &valid);
  Keep(&known_, key, answer, now + valid);
  const auto waiting = flights_.extract(key);
  for (const auto& landed : waiting.mapped()) landed.Set(answer);
  co_return answer;
}

base::Task<RouteAnswer> Router::FindNow(std::string domain, bool sent_on, absl::Duration* valid) {
  absl::StatusOr<store::DomainRoute> own = co_await parts_.pool->Run(
      [domain](db::Connection& c) { return store::FindDomainRoute(c, domain); });
  if (!own.ok()) {
    obs::Log(obs::Level::kWarning, "no route", {{"domain", domain}, {"status", own.status()}});
    co_return Refuse(451, "4.3.0", "Our directory can not be asked now");
  }
  *valid = kOwnValid;
  if (own->ours && sent_on && own->kind != store::DomainKind::kLocal) {
    RouteAnswer answer = co_await SendOn(std::move(domain), own->next_hop, valid);
    *valid = std::min(*valid, kOwnValid);
    co_return answer;
  }
  if (own->ours) {
    RouteAnswer inside = co_await ToTarget(RouteKind::kInternal, parts_.settings->internal, valid);
    *valid = std::min(*valid, kOwnValid);
    co_return inside;
  }
  // A domain may become ours: asked again in two seconds, though its hosts are remembered for
  // longer.
  RouteAnswer answer = co_await Outside(std::move(domain));
  co_return answer;
}

base::Task<RouteAnswer> Router::SendOn(std::string domain, std::string next_hop,
                                       absl::Duration* valid) {
  // Tests send nothing to anywhere.
  if (parts_.settings->outbound == OutboundMode::kCapture) {
    RouteAnswer captured = co_await Outside(std::move(domain));
    co_return captured;
  }
  RouteAnswer answer;
  if (next_hop.empty()) {
    answer = co_await BeforeUs(std::move(domain), valid);
  } else if (const auto hop = runtime::ParseEndpoint(next_hop)) {
    answer = co_await Host(RouteKind::kRelay, Target{hop->host, hop->port}, valid);
  } else {
    answer = Refuse(451, "4.3.5", "The next hop of the domain can not be read");
  }
  co_return answer;
}

base::Task<RouteAnswer> Router::Outside(std::string domain) {
  if (parts_.settings->outbound == OutboundMode::kCapture) {
    Route route;
    route.kind = RouteKind::kCapture;
    co_return Use(std::move(route));
  }
  const bool smarthost = parts_.settings->outbound == OutboundMode::kSmarthost;
  const std::string key = smarthost ? "" : domain;
  const absl::Duration now = parts_.clock->Monotonic();
  if (const RouteAnswer* known = Look(outside_, key, now)) co_return *known;
  absl::Duration valid = kOwnValid;
  RouteAnswer answer;
  if (smarthost) {
    answer = co_await Host(RouteKind::kSmarthost, parts_.settings->smarthost, &valid);
  } else {
    answer = co_await Direct(domain, &valid);
  }
  Keep(&outside_, key, answer, now + valid);
  co_return answer;
}

// A host of our own network, by name or address.
base::Task<RouteAnswer> Router::ToTarget(RouteKind kind, Target target, absl::Duration* valid) {
  if (const auto address = base::IpAddress::Parse(target.host)) {
    co_return ToAddress(kind, target.host, *address, target.port);
  }
  Route route;
  route.kind = kind;
  route.port = target.port;
  RouteHost host;
  host.name = target.host;
  host.need = TlsNeed::kInternal;
  for (base::DnsType type : {base::DnsType::kAaaa, base::DnsType::kA}) {
    base::DnsAnswer found = co_await parts_.resolver->Resolve({target.host, type});
    host.addresses.insert(host.addresses.end(), found.addresses.begin(), found.addresses.end());
    if (found.found()) *valid = std::min(*valid, found.ttl);
  }
  if (host.addresses.empty()) co_return Refuse(451, "4.4.3", "Our own server has no address now");
  route.hosts.push_back(std::move(host));
  co_return Use(std::move(route));
}

// A tls-policy that has enough to do (its cold start, a storm of others' domains) is asked again:
// it is no fault of the domain's, and no reason to put a message off for minutes.
base::Task<absl::StatusOr<PolicyAnswer>> Router::Ask(std::string domain, uint16_t port,
                                                     bool host_only) {
  absl::Duration pause = kFirstPause;
  for (;;) {
    absl::StatusOr<PolicyAnswer> answer = co_await parts_.policy->Resolve(domain, port, host_only);
    if (answer.status().code() != absl::StatusCode::kResourceExhausted) co_return answer;
    if (pause > kLongestPause) co_return answer;
    // Between half of it and all, so that those that were refused together do not come together.
    const double part = 0.5 + static_cast<double>(parts_.random->Id63() % 1000) / 2000;
    const bool running = co_await net::Reactor::Current()->Sleep(pause * part);
    if (!running) co_return answer;
    pause = pause * 2;
  }
}

base::Task<RouteAnswer> Router::Direct(std::string domain, absl::Duration* valid) {
  const uint16_t port = parts_.settings->outbound_port;
  if (const auto literal = ParseLiteral(domain)) {
    co_return ToAddress(RouteKind::kDirect, domain, *literal, port);
  }
  if (domain.empty() || domain.front() == '[') {
    co_return Refuse(550, "5.1.2", "The address literal can not be read");
  }
  absl::StatusOr<PolicyAnswer> policy = co_await AskPolicy(std::move(domain), port, false, valid);
  if (!policy.ok()) co_return NoPolicy(policy.status());
  co_return FromPolicy(*std::move(policy), RouteKind::kDirect, port);
}

// RFC 5321 §5.1: one that is named in the MX records sends to hosts that are preferred to itself,
// and to no others, or two backups would send to one another for ever. One that does not know its
// name there would send to itself as soon as the others are down.
base::Task<RouteAnswer> Router::BeforeUs(std::string domain, absl::Duration* valid) {
  const uint16_t port = parts_.settings->outbound_port;
  // What it would do with the MX records is its own business.
  if (parts_.settings->outbound == OutboundMode::kSmarthost) {
    co_return Refuse(451, "4.3.5", "Behind a smarthost the domain needs a next hop");
  }
  absl::StatusOr<PolicyAnswer> policy = co_await AskPolicy(std::move(domain), port, false, valid);
  if (!policy.ok()) co_return NoPolicy(policy.status());
  const std::vector<std::string>& own = parts_.settings->own_mx_hosts;
  std::vector<RouteHost>& hosts = policy->hosts;
  const auto ours = std::find_if(hosts.begin(), hosts.end(), [&](const RouteHost& host) {
    return std::find(own.begin(), own.end(), host.name) != own.end();
  });
  if (ours != hosts.end()) {
    const uint32_t preference = ours->preference;
    std::erase_if(hosts, [&](const RouteHost& host) { return host.preference >= preference; });
    if (hosts.empty()) {
      co_return Refuse(451, "4.3.5", "No host of the domain is preferred to ourselves");
    }
  } else if (!parts_.settings->knows_own_mx_hosts && policy->outcome == PolicyOutcome::kOk) {
    co_return Refuse(451, "4.3.5",
                     "Which hosts of the domain are our own is not configured (own_mx_hosts)");
  }
  co_return FromPolicy(*std::move(policy), RouteKind::kRelay, port);
}

// One that was configured, by name or address.
base::Task<RouteAnswer> Router::Host(RouteKind kind, Target target, absl::Duration* valid) {
  if (const auto address = base::IpAddress::Parse(target.host)) {
    co_return ToAddress(kind, target.host, *address, target.port);
  }
  absl::StatusOr<PolicyAnswer> policy = co_await AskPolicy(target.host, target.port, true, valid);
  if (!policy.ok() || policy->outcome != PolicyOutcome::kOk) {
    *valid = absl::ZeroDuration();
    // Whatever is wrong with a host of ours is not the message's fault.
    co_return Refuse(
        451, "4.4.3",
        "The " + std::string(RouteKindName(kind)) + "'s host can not be looked up now");
  }
  co_return FromPolicy(*std::move(policy), kind, target.port);
}

base::Task<absl::StatusOr<PolicyAnswer>> Router::AskPolicy(std::string domain, uint16_t port,
                                                           bool host_only, absl::Duration* valid) {
  absl::StatusOr<PolicyAnswer> policy = co_await Ask(domain, port, host_only);
  *valid = policy.ok() ? policy->valid : absl::ZeroDuration();
  if (!policy.ok()) {
    obs::Log(obs::Level::kWarning, "no route", {{"domain", domain}, {"status", policy.status()}});
  }
  co_return policy;
}

}  // namespace godwit::delivery_queue

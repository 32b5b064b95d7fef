#include "services/tls-policy/route.h"

#include <algorithm>
#include <utility>

#include "libs/dane/tlsa.h"
#include "libs/idna/domain.h"

namespace godwit::tls_policy {
namespace {

using base::DnsAnswer;
using base::DnsQuestion;
using base::DnsType;

// One evaluation: looks into the answers, and collects what is missing.
class Finder {
 public:
  Finder(const RouteQuery& query, const base::DnsAnswers& answers)
      : query_(query), answers_(answers) {}

  base::DnsStep<Route> Run() {
    Find();
    if (!missing_.empty()) return std::move(missing_);
    return std::move(route_);
  }

 private:
  void Find();
  bool TakeMx(const DnsAnswer& mx);
  void FindHost(RouteHost* host);
  void FindTlsa(RouteHost* host, const std::string& canonical);
  void TakeTlsa(const DnsAnswer& answer, std::string_view base, RouteHost* host);
  void DropHosts();
  void End(Route::Outcome outcome, std::string_view reason);
  // nullptr: it has to be asked first.
  const DnsAnswer* Ask(std::string_view name, DnsType type);

  const RouteQuery& query_;
  const base::DnsAnswers& answers_;
  std::vector<DnsQuestion> missing_;
  Route route_;
  std::string canonical_domain_;
};

const DnsAnswer* Finder::Ask(std::string_view name, DnsType type) {
  DnsQuestion question{std::string(name), type};
  const auto found = answers_.find(question);
  if (found == answers_.end()) {
    if (std::find(missing_.begin(), missing_.end(), question) == missing_.end()) {
      missing_.push_back(std::move(question));
    }
    return nullptr;
  }
  route_.ttl = std::min(route_.ttl, found->second.ttl);
  return &found->second;
}

void Finder::End(Route::Outcome outcome, std::string_view reason) {
  route_.outcome = outcome;
  route_.reason = reason;
  route_.hosts.clear();
}

void Finder::Find() {
  canonical_domain_ = query_.domain;
  if (query_.host_only) {
    // RFC 7672 §2.1.3: the host was named by our own configuration, which nobody can forge.
    route_.mx_authentic = true;
    route_.implicit_mx = true;
    route_.hosts.push_back({.name = query_.domain, .mx_secure = true});
  } else {
    const DnsAnswer* mx = Ask(query_.domain, DnsType::kMx);
    if (mx == nullptr || !TakeMx(*mx)) return;
  }
  for (RouteHost& host : route_.hosts) FindHost(&host);
  if (missing_.empty()) DropHosts();
}

// False when the route has ended.
bool Finder::TakeMx(const DnsAnswer& mx) {
  route_.mx_authentic = mx.authentic;
  if (mx.outcome == base::DnsOutcome::kTempFail) {
    End(Route::Outcome::kTemporary, "the MX lookup fails: " + mx.error);
    return false;
  }
  if (mx.outcome == base::DnsOutcome::kNoDomain) {
    End(Route::Outcome::kNoDomain, "the domain does not exist");
    return false;
  }
  // RFC 5321 §5.1: an alias is replaced by what it stands for.
  if (!mx.canonical_name.empty()) canonical_domain_ = mx.canonical_name;
  if (!mx.found()) {
    // RFC 5321 §5.1: without MX the domain is its own host.
    route_.implicit_mx = true;
    route_.hosts.push_back({.name = query_.domain, .mx_secure = mx.authentic});
    return true;
  }
  bool named = false;
  for (const base::DnsMx& each : mx.mx) {
    // RFC 7505 §3: only a null MX that stands alone says something.
    if (each.exchange.empty()) continue;
    named = true;
    // What is no host name has no address either, and must not reach logs or commands.
    if (!idna::IsHostName(each.exchange)) continue;
    route_.hosts.push_back(
        {.name = each.exchange, .preference = each.preference, .mx_secure = mx.authentic});
  }
  if (!named) {
    End(Route::Outcome::kNullMx, "the domain takes no mail (null MX)");
    return false;
  }
  std::stable_sort(route_.hosts.begin(), route_.hosts.end(),
                   [](const auto& a, const auto& b) { return a.preference < b.preference; });
  if (route_.hosts.size() > kMostHosts) route_.hosts.resize(kMostHosts);
  return true;
}

// RFC 6724 prefers IPv6, and RFC 8305 §4 takes the families in turn.
std::vector<base::IpAddress> InTurn(const std::vector<base::IpAddress>& v6,
                                    const std::vector<base::IpAddress>& v4) {
  std::vector<base::IpAddress> all;
  for (size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) all.push_back(v6[i]);
    if (i < v4.size()) all.push_back(v4[i]);
  }
  if (all.size() > kMostAddresses) all.resize(kMostAddresses);
  return all;
}

void Finder::FindHost(RouteHost* host) {
  const DnsAnswer* v4 = Ask(host->name, DnsType::kA);
  const DnsAnswer* v6 = Ask(host->name, DnsType::kAaaa);
  if (v4 == nullptr || v6 == nullptr) return;
  host->addresses = InTurn(v6->addresses, v4->addresses);
  for (const DnsAnswer* each : {v4, v6}) {
    if (each->outcome == base::DnsOutcome::kTempFail) {
      host->address_error = "the address lookup fails: " + each->error;
    }
  }
  if (host->addresses.empty()) return;
  // One family that answers is enough to go on with; that the other fails makes nothing insecure.
  host->address_error.clear();
  host->address_secure = (!v4->found() || v4->authentic) && (!v6->found() || v6->authentic);
  FindTlsa(host, (v4->found() ? v4 : v6)->canonical_name);
}

// RFC 7672 §2.2.
void Finder::FindTlsa(RouteHost* host, const std::string& canonical) {
  // §2.2.1: with an insecure MX answer the host may be anybody's; DANE would protect nothing.
  if (!host->mx_secure) return;
  const bool alias = !canonical.empty() && canonical != host->name;
  const std::string prefix = "_" + std::to_string(query_.port) + "._tcp.";
  if (!host->address_secure) {
    // §2.2.2: an alias into an insecure zone may itself stand in a secure one.
    if (!alias) return;
    const DnsAnswer* cname = Ask(host->name, DnsType::kCname);
    if (cname == nullptr) return;
    if (cname->outcome == base::DnsOutcome::kTempFail) host->tlsa_status = TlsaStatus::kTempFail;
    if (!cname->found() || !cname->authentic) return;
  } else if (alias) {
    // §2.2.3: the end of the alias first, then the name itself.
    const DnsAnswer* tlsa = Ask(prefix + canonical, DnsType::kTlsa);
    if (tlsa == nullptr) return;
    TakeTlsa(*tlsa, canonical, host);
    if (host->tlsa_status != TlsaStatus::kNone) return;
  }
  const DnsAnswer* tlsa = Ask(prefix + host->name, DnsType::kTlsa);
  if (tlsa != nullptr) TakeTlsa(*tlsa, host->name, host);
}

void Finder::TakeTlsa(const DnsAnswer& answer, std::string_view base, RouteHost* host) {
  if (answer.outcome == base::DnsOutcome::kTempFail) {
    host->tlsa_status = TlsaStatus::kTempFail;
    return;
  }
  // §2.2: records that are not authentic are none.
  if (!answer.found() || !answer.authentic) return;
  host->tlsa_base = base;
  host->tlsa = dane::Usable(answer.tlsa);
  host->tlsa_status = host->tlsa.empty() ? TlsaStatus::kUnusable : TlsaStatus::kSecure;
  // RFC 7672 §3.2.2: the base domain, and the next hop with what it is an alias of.
  host->tls_names = {host->tlsa_base};
  for (const std::string& name : {query_.domain, canonical_domain_}) {
    if (std::find(host->tls_names.begin(), host->tls_names.end(), name) == host->tls_names.end()) {
      host->tls_names.push_back(name);
    }
  }
}

// Hosts that do not exist are passed over; those whose addresses can't be had now stay, so that the
// caller knows that not all was tried.
void Finder::DropHosts() {
  std::erase_if(route_.hosts, [](const RouteHost& host) {
    return host.addresses.empty() && host.address_error.empty();
  });
  if (!route_.hosts.empty()) return;
  End(Route::Outcome::kNoDomain, route_.implicit_mx ? "the domain has neither MX nor address"
                                                    : "no MX host of the domain has an address");
}

}  // namespace

base::DnsStep<Route> FindRoute(const RouteQuery& query, const base::DnsAnswers& answers) {
  return Finder(query, answers).Run();
}

}  // namespace godwit::tls_policy
